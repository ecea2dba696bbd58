//! A shell, or a command, where a failed step was.

use std::io::Write;

use anyhow::{Context, Result, bail};
use guest::client::{Exec, ExecEvent, ExecSpec, ExitStatus};
use machine::Machine;
use runner::Surroundings;
use tokio::signal::unix::{SignalKind, signal};

use crate::terminal::{self, Raw};

/// Shells, the best first.
const SHELLS: [&str; 2] = ["bash", "sh"];

/// Where shells are looked for if the step had no `PATH`.
const STANDARD_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Where a step was, with its environment; no program yet.
fn there(seen: &Surroundings) -> ExecSpec {
    ExecSpec { cwd: seen.folder.clone(), env: seen.env.clone(), ..ExecSpec::default() }
}

/// This terminal in the machine, until the shell ends. Its exit code.
pub(super) async fn shell(machine: &Machine, seen: &Surroundings) -> Result<u8> {
    let mut spec = there(seen);
    let path = spec.env.iter().find(|(name, _)| name == "PATH").map_or(STANDARD_PATH, |(_, path)| path);
    let shells = SHELLS.map(str::to_owned);
    let program = machine.guest.find_program(&shells, path).await?;
    spec.argv = vec![program.unwrap_or_else(|| format!("/bin/{}", SHELLS[1]))];
    spec.env.retain(|(name, _)| name != "TERM");
    spec.env.push(("TERM".to_owned(), std::env::var("TERM").unwrap_or_else(|_| "xterm-256color".to_owned())));
    (spec.stdin_open, spec.tty) = (true, Some(terminal::size()?));
    let mut resized = signal(SignalKind::window_change())?;
    let mut exec = machine.guest.exec(spec).await.context("can't start a shell")?;
    let raw = Raw::enter()?;
    let mut keys = terminal::keys();
    let mut typing = true;
    let ended = loop {
        tokio::select! {
            event = exec.next() => match shown(event?)? {
                Some(code) => break code,
                None => continue,
            },
            typed = keys.recv(), if typing => match typed {
                Some(typed) => exec.write_stdin(typed.into()).await?,
                // No more keys: what runs may still end by itself.
                None => typing = false,
            },
            _ = resized.recv() => exec.resize(terminal::size()?).await?,
        }
    };
    drop(raw);
    Ok(ended)
}

/// A command in the machine, with its output as it comes. Its exit code.
pub(super) async fn command(machine: &Machine, seen: &Surroundings, argv: &[String]) -> Result<u8> {
    let spec = ExecSpec { argv: argv.to_vec(), ..there(seen) };
    let mut exec: Exec = machine.guest.exec(spec).await?;
    loop {
        if let Some(code) = shown(exec.next().await?)? {
            return Ok(code);
        }
    }
}

/// Writes what came; the exit code at the end. A reader that has gone away is no error.
fn shown(event: Option<ExecEvent>) -> Result<Option<u8>> {
    match event {
        Some(ExecEvent::Stdout(data)) => {
            let mut output = std::io::stdout();
            let _ = output.write_all(&data).and_then(|()| output.flush());
        }
        Some(ExecEvent::Stderr(data)) => {
            let _ = std::io::stderr().write_all(&data);
        }
        // A code that does not fit must not become a success.
        Some(ExecEvent::Exited(ExitStatus::Code(code))) => {
            return Ok(Some(u8::try_from(code).unwrap_or(u8::MAX)));
        }
        Some(ExecEvent::Exited(ExitStatus::Signal(signal))) => {
            return Ok(Some(u8::try_from(128 + signal).unwrap_or(u8::MAX)));
        }
        Some(ExecEvent::Exited(ExitStatus::TimedOut)) => return Ok(Some(u8::MAX)),
        None => bail!("the machine did not tell how it ended"),
    }
    Ok(None)
}
