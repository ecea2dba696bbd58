//! `hearth run` on a terminal, as somebody sees it who sits in front of it.

use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use nix::pty::{Winsize, openpty};
use rustix::termios;

/// How long something that must happen may take: far longer than it does on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What came out of the terminal so far.
struct Seen {
    screen: vt100::Parser,
    bytes: Vec<u8>,
    closed: bool,
}

/// A terminal with a run in it.
struct Window {
    child: Child,
    keyboard: File,
    seen: Arc<(Mutex<Seen>, Condvar)>,
}

impl Window {
    fn open(repository: &Path, args: &[&str], env: &[(&str, &str)]) -> Window {
        Window::open_under(&[], repository, args, env)
    }

    /// With words in front of the command.
    fn open_under(before: &[&str], repository: &Path, args: &[&str], env: &[(&str, &str)]) -> Window {
        let size = Winsize { ws_col: 80, ws_row: 24, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(&size, None).expect("a terminal");
        let end = || Stdio::from(pty.slave.try_clone().expect("a file descriptor"));
        // `setsid --ctty` makes it the controlling terminal, so that Ctrl-C is a signal.
        let child = Command::new("setsid")
            .arg("--ctty")
            .args(before)
            .args([env!("CARGO_BIN_EXE_hearth"), "run", "--machine", "host", "--network", "host"])
            .args(args)
            .current_dir(repository)
            .env_remove("CI")
            .env_remove("NO_COLOR")
            .env("TERM", "xterm-256color")
            .env("HEARTH_DATA", repository.join("data"))
            .env("XDG_CONFIG_HOME", repository.join("config"))
            .envs(env.iter().copied())
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .expect("setsid is part of every Linux");
        let keyboard = File::from(pty.master);
        let seen = Arc::new((
            Mutex::new(Seen {
                screen: vt100::Parser::new(cells(24), cells(80), 0),
                bytes: Vec::new(),
                closed: false,
            }),
            Condvar::new(),
        ));
        let (reader, shown) = (keyboard.try_clone().expect("a file descriptor"), Arc::clone(&seen));
        std::thread::spawn(move || watch(reader, &shown));
        Window { child, keyboard, seen }
    }

    fn press(&mut self, keys: &[u8]) {
        self.keyboard.write_all(keys).expect("the terminal is open");
    }

    fn resize(&self, columns: u16, rows: u16) {
        let size = termios::Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 };
        self.seen.0.lock().unwrap().screen.set_size(cells(rows), cells(columns));
        termios::tcsetwinsize(&self.keyboard, size).expect("a terminal has a size");
    }

    /// Waits until the screen is as it should be, and gives it back.
    fn wait_for(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = self.seen.0.lock().unwrap();
        loop {
            let screen = seen.screen.screen().contents();
            if wanted(&screen) {
                return screen;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero() && !seen.closed, "not seen: {what}\n{screen}");
            seen = self.seen.1.wait_timeout(seen, left).unwrap().0;
        }
    }

    /// Waits for the end of the run. Gives back the exit code and what is left on the screen.
    fn end(mut self) -> (Option<i32>, Seen) {
        let code = self.child.wait().expect("a child").code();
        let deadline = Instant::now() + PATIENCE;
        let mut seen = self.seen.0.lock().unwrap();
        while !seen.closed {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "somebody holds the terminal open");
            seen = self.seen.1.wait_timeout(seen, left).unwrap().0;
        }
        let empty =
            Seen { screen: vt100::Parser::new(cells(1), cells(1), 0), bytes: Vec::new(), closed: true };
        (code, std::mem::replace(&mut seen, empty))
    }
}

impl Seen {
    fn text(&self) -> String {
        self.screen.screen().contents()
    }
}

fn cells(count: u16) -> NonZeroU16 {
    NonZeroU16::new(count).expect("a terminal has rows and columns")
}

/// Carries what comes out of the terminal to the screen until nobody has it open any more.
fn watch(mut terminal: File, seen: &(Mutex<Seen>, Condvar)) {
    let mut buffer = [0; 4096];
    loop {
        let count = terminal.read(&mut buffer).unwrap_or(0);
        let mut shown = seen.0.lock().unwrap();
        shown.screen.process(&buffer[..count]);
        shown.bytes.extend_from_slice(&buffer[..count]);
        shown.closed = count == 0;
        seen.1.notify_all();
        if count == 0 {
            return;
        }
    }
}

/// A repository with a workflow; `GATE` in it is a pipe that holds up whoever reads it.
fn repository(workflow: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let gate = folder.path().join("gate");
    nix::unistd::mkfifo(&gate, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    let workflows = folder.path().join(".github/workflows");
    std::fs::create_dir_all(&workflows).expect("folders");
    let workflow = workflow.replace("GATE", &gate.display().to_string());
    std::fs::write(workflows.join("ci.yml"), workflow).expect("a file");
    (folder, gate)
}

fn open_gate(gate: &Path) {
    drop(File::options().write(true).open(gate).expect("a step reads from the gate"));
}

const GREETING: &str = r"
name: Grüße
on: push
jobs:
  greet:
    name: Begrüßung
    runs-on: ubuntu-latest
    steps:
      - name: Grüße an alle, die dieses hier lesen, und auch an alle anderen
        run: echo hallo; cat GATE
  after:
    needs: greet
    runs-on: ubuntu-latest
    steps: [{run: 'true'}]
";

#[test]
fn a_run_is_live_while_it_lasts_and_lines_that_stay_at_its_end() {
    let (folder, gate) = repository(GREETING);
    let window = Window::open(folder.path(), &[], &[]);
    let screen = window.wait_for("the running step with its log", |screen| screen.contains("│   hallo"));
    assert!(screen.contains("lesen, und auch") && screen.contains("1 running · 1 waiting"), "{screen}");
    window.resize(40, 24);
    window.wait_for("a row for the narrower terminal", |screen| {
        let row = screen.lines().find(|row| row.contains("Grüße an alle") && !row.contains('✓'));
        row.is_some_and(|row| row.contains('…') && row.ends_with('s') && row.chars().count() == 39)
    });
    window.resize(100, 24);
    window.wait_for("a row for the wider terminal", |screen| screen.contains("auch an alle anderen  "));
    open_gate(&gate);
    let (code, seen) = window.end();
    let screen = seen.text();
    assert_eq!(code, Some(0), "{screen}");
    for line in [
        "Begrüßung │ ✓ Grüße an alle, die dieses hier lesen, und auch an alle anderen  ",
        "after     │ ✓ Run true",
        "✓ run succeeded",
    ] {
        assert!(screen.contains(line), "{line}\n{screen}");
    }
    assert!(!screen.contains("hallo") && !screen.contains("running"), "{screen}");
    assert!(!seen.screen.screen().hide_cursor());
    let logs = screen.lines().find_map(|line| line.strip_prefix("Logs: ")).expect("a folder of logs");
    let whole: String = std::fs::read_dir(logs.trim())
        .expect("the folder exists")
        .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    assert!(whole.contains("\nhallo\n"), "{whole}");
}

const STUBBORN: &str = r"
on: push
jobs:
  work:
    runs-on: ubuntu-latest
    steps:
      - name: Long work
        run: cat GATE
      - name: Tidy up
        if: always()
        run: cat GATE
";

#[test]
fn ctrl_c_cancels_and_a_second_one_ends_the_run_with_the_terminal_as_it_was() {
    let (folder, _gate) = repository(STUBBORN);
    let mut window = Window::open(folder.path(), &[], &[]);
    window.wait_for("the running step", |screen| screen.contains("Long work  "));
    window.press(b"\x03");
    let screen = window.wait_for("the step that runs all the same", |screen| screen.contains("Tidy up  "));
    assert!(screen.contains("note: cancelling") && screen.contains("■ Long work"), "{screen}");
    window.press(b"\x03");
    let (code, seen) = window.end();
    let screen = seen.text();
    assert_eq!(code, Some(130), "{screen}");
    assert!(
        screen.trim_end().lines().last().is_some_and(|row| row.starts_with("■ run cancelled")),
        "{screen}"
    );
    assert!(!screen.contains("1 running"), "{screen}");
    assert!(!seen.screen.screen().hide_cursor());
    assert_eq!(seen.screen.screen().cursor_position().1, 0, "the shell's prompt begins a row");
}

#[test]
fn what_is_typed_meanwhile_moves_nothing_and_the_echo_is_back_at_the_end() {
    let (folder, _gate) = repository(STUBBORN);
    let mut window = Window::open(folder.path(), &[], &[]);
    let began = window.wait_for("the running step", |screen| screen.contains("Long work  "));
    window.press(b"ls\r\r");
    let status = |screen: &str| screen.lines().rfind(|row| row.contains("running")).map(str::to_owned);
    let next = window.wait_for("a frame", |screen| status(screen) != status(&began));
    let screen = window
        .wait_for("another frame", |screen| ![&began, &next].map(|s| status(s)).contains(&status(screen)));
    assert!(!screen.contains("ls\n") && !screen.contains("\n\n\nwork │"), "{screen}");
    window.press(b"\x03");
    window.wait_for("the step that runs all the same", |screen| screen.contains("Tidy up  "));
    window.press(b"\x03");
    let terminal = window.keyboard.try_clone().expect("a file descriptor");
    let (code, seen) = window.end();
    assert_eq!(code, Some(130), "{}", seen.text());
    let modes = termios::tcgetattr(&terminal).expect("a terminal has modes");
    assert!(modes.local_modes.contains(termios::LocalModes::ECHO));
}

#[test]
fn a_run_that_is_stopped_leaves_the_terminal_to_the_shell_and_goes_on_below() {
    let (folder, gate) = repository(GREETING);
    // A shell that takes the run into the foreground again as soon as it is stopped.
    let shell = ["bash", "-c", "set -m; \"$@\"; echo asleep; fg > /dev/null", "bash"];
    let mut window = Window::open_under(&shell, folder.path(), &[], &[]);
    window.wait_for("the running step with its log", |screen| screen.contains("│   hallo"));
    window.press(b"\x1a");
    let screen = window.wait_for("the run that goes on", |screen| {
        screen.split_once("asleep").is_some_and(|(_, below)| below.contains("1 running"))
    });
    assert_eq!(screen.matches("1 running").count(), 1, "{screen}");
    open_gate(&gate);
    let (code, seen) = window.end();
    assert_eq!(code, Some(0), "{}", seen.text());
    assert!(!seen.text().contains("running") && !seen.text().contains("hallo"), "{}", seen.text());
}

const SHORT: &str = "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps: [{run: echo hallo}]\n";

/// What a short run writes.
fn bytes_of_short_run(env: &[(&str, &str)]) -> String {
    let (folder, _gate) = repository(SHORT);
    let (code, seen) = Window::open(folder.path(), &[], env).end();
    let text = String::from_utf8(seen.bytes).expect("text");
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("Run echo hallo") && text.contains("run succeeded"), "{text}");
    text
}

#[test]
fn a_dumb_terminal_and_a_ci_system_get_plain_lines() {
    for env in [("TERM", "dumb"), ("CI", "true")] {
        let text = bytes_of_short_run(&[env]);
        assert!(!text.contains('\x1b'), "{text:?}");
        assert!(text.contains("a │   hallo\r\n"), "{text}");
    }
}

#[test]
fn no_color_leaves_the_live_display_and_takes_its_colours() {
    let coloured = bytes_of_short_run(&[]);
    assert!(coloured.contains("\x1b[32m✓\x1b[0m"), "{coloured:?}");
    let plain = bytes_of_short_run(&[("NO_COLOR", "1")]);
    assert!(plain.contains("\x1b[?2026h") && !plain.contains("\x1b[0m"), "{plain:?}");
}
