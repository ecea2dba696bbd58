//! Running the binary. All that depends on the shape of its command line is here.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::report::{Entry, Outcome};
use crate::repository::Place;
use crate::scenario::{Machine, Run};

/// The binary: `HEARTH_BIN`, or the one beside this test.
///
/// # Errors
/// It was not built.
pub fn binary() -> Result<PathBuf, String> {
    if let Some(path) = std::env::var_os("HEARTH_BIN") {
        return Ok(path.into());
    }
    let test = std::env::current_exe().map_err(|error| format!("where is this test? {error}"))?;
    let profile = test.parent().and_then(|deps| deps.parent()).ok_or("this test lies in no target folder")?;
    let path = profile.join("hearth");
    if path.exists() { Ok(path) } else { Err(format!("no {}: `cargo build -p hearth`", path.display())) }
}

fn arguments(place: &Place, run: &Run, machine: Machine) -> Vec<String> {
    let mut arguments = vec!["run".to_owned()];
    let mut add = |name: &str, value: String| arguments.extend([name.to_owned(), value]);
    add("-C", place.repository().display().to_string());
    add("--machine", machine.to_string());
    add("--format", "json".to_owned());
    add("--data", place.data().display().to_string());
    add("--artifacts", place.artifacts().display().to_string());
    add("--actions-mirror", place.mirror());
    if let Some(event) = &run.event {
        add("--event", event.clone());
    }
    if let Some(payload) = &run.payload {
        add("--event-file", place.repository().join(payload).display().to_string());
    }
    for (option, values) in [("--input", &run.inputs), ("--secret", &run.secrets), ("--var", &run.vars)] {
        for (name, value) in values {
            add(option, format!("{name}={value}"));
        }
    }
    arguments.extend(run.arguments.iter().cloned());
    arguments
}

enum Heard {
    Line(String),
    Ended,
}

/// Runs the binary to its end, or kills it when it takes longer than the scenario allows.
///
/// # Errors
/// When it can't be run at all.
pub fn carry_out(place: &Place, run: &Run, machine: Machine) -> Result<Outcome, String> {
    place.script("before", run.before.as_deref())?;
    let binary = binary()?;
    let mut command = Command::new(&binary);
    command
        .args(arguments(place, run, machine))
        .current_dir(place.root())
        .env("XDG_CONFIG_HOME", place.root().join("config"))
        .env_remove("GITHUB_TOKEN")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let started = Instant::now();
    let mut child = command.spawn().map_err(|error| format!("can't run {}: {error}", binary.display()))?;
    let (sender, heard) = channel();
    let stdout = child.stdout.take().ok_or("no pipe")?;
    let mut stderr = child.stderr.take().ok_or("no pipe")?;
    let errors = std::thread::spawn(move || {
        let mut text = Vec::new();
        // What was read before an error is what can be shown.
        let _ = stderr.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    });
    std::thread::spawn(move || read_lines(stdout, &sender));

    let mut outcome = Outcome::default();
    let deadline = started + run.within(machine);
    loop {
        match heard.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(Heard::Line(line)) => {
                let entry = Entry::read(&line);
                if let (Some(at), Entry::Log { text, .. }) = (&run.interrupt_at, &entry)
                    && text == at
                {
                    interrupt(&child)?;
                }
                outcome.entries.push(entry);
                outcome.stdout.push_str(&line);
            }
            Ok(Heard::Ended) | Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                outcome.too_slow = true;
                child.kill().map_err(|error| format!("can't kill it: {error}"))?;
                break;
            }
        }
    }
    outcome.exit = child.wait().map_err(|error| format!("can't wait for it: {error}"))?.code();
    outcome.stderr = errors.join().unwrap_or_default();
    outcome.took = started.elapsed();
    outcome.artifacts = place.artifacts();
    Ok(outcome)
}

fn read_lines(from: impl Read, to: &Sender<Heard>) {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        if to.send(Heard::Line(String::from_utf8_lossy(&line).into_owned())).is_err() {
            return;
        }
        line.clear();
    }
    // Nobody listens any more once the run was too slow.
    let _ = to.send(Heard::Ended);
}

fn interrupt(child: &Child) -> Result<(), String> {
    let id = i32::try_from(child.id()).map_err(|error| error.to_string())?;
    kill(Pid::from_raw(id), Signal::SIGINT).map_err(|error| format!("can't interrupt it: {error}"))
}
