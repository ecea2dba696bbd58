//! `hearth serve machines` and `hearth vm`, on real sandboxes.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const SECRET: &str = "a secret of thirty-two bytes and more";

/// How long something that must happen may take: far longer than it does on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn hearth(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hearth"));
    command
        .current_dir(folder)
        .env("HEARTH_DATA", folder.join("data"))
        .env("XDG_CONFIG_HOME", folder.join("config"))
        .env("HEARTH_JWT_SECRET", SECRET)
        .env_remove("HEARTH_TOKEN")
        .env_remove("HEARTH_API");
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A running server.
struct Server {
    child: Child,
    folder: PathBuf,
    address: String,
    token: String,
}

impl Server {
    fn start(folder: &Path) -> Server {
        let mut serving = hearth(folder);
        serving.args(["serve", "machines", "--listen", "127.0.0.1:0", "--machine", "sandbox"]);
        let errors = File::options().create(true).append(true).open(folder.join("errors")).expect("a file");
        let mut child = serving.stdout(Stdio::piped()).stderr(errors).spawn().expect("the binary runs");
        let mut address = String::new();
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped"));
        lines.read_line(&mut address).expect("a first line");
        assert!(address.starts_with("http://127.0.0.1:"), "{address:?}: {}", errors_of(folder));
        let token =
            hearth(folder).args(["vm", "token", "--subject", "ann"]).output().expect("the binary runs");
        assert!(token.status.success(), "{}", text(&token.stderr));
        Server {
            child,
            folder: folder.to_owned(),
            address: address.trim().to_owned(),
            token: text(&token.stdout).trim().to_owned(),
        }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = hearth(&self.folder);
        command.arg("vm").args(args).env("HEARTH_API", &self.address).env("HEARTH_TOKEN", &self.token);
        command
    }

    fn vm(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("the binary runs")
    }

    /// What it prints, if it succeeds.
    fn told(&self, args: &[&str]) -> String {
        let output = self.vm(args);
        assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
        text(&output.stdout).trim().to_owned()
    }

    fn end(mut self, signal: Signal) -> Option<i32> {
        kill(Pid::from_raw(self.child.id().try_into().expect("a process id")), signal).expect("it lives");
        self.child.wait().expect("it ends").code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn errors_of(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("errors")).unwrap_or_default()
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < PATIENCE, "never: {what}");
        std::thread::yield_now();
    }
}

/// What machines have left in the data folder.
fn remains(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder.join("data/machines")).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// Processes with this word among their arguments.
fn processes_with(word: &str) -> usize {
    let entries = std::fs::read_dir("/proc").expect("/proc").flatten();
    let has = |path: PathBuf| {
        std::fs::read(path.join("cmdline"))
            .is_ok_and(|line| line.split(|byte| *byte == 0).any(|argument| argument == word.as_bytes()))
    };
    entries.filter(|entry| has(entry.path())).count()
}

#[test]
fn without_a_key_or_with_a_short_one_nothing_is_served() {
    let folder = tempfile::tempdir().expect("a folder");
    let serve = |secret: Option<&str>, args: &[&str]| {
        let mut command = hearth(folder.path());
        match secret {
            Some(secret) => command.env("HEARTH_JWT_SECRET", secret),
            None => command.env_remove("HEARTH_JWT_SECRET"),
        };
        command.args(["serve", "machines"]).args(args).output().expect("the binary runs")
    };
    for secret in [None, Some(""), Some("short")] {
        let output = serve(secret, &[]);
        assert_eq!(output.status.code(), Some(2));
        let error = text(&output.stderr);
        assert!(error.contains("HEARTH_JWT_SECRET") && error.contains("openssl rand"), "{error}");
        assert_eq!(text(&output.stdout), "");
    }
    let host = serve(Some(SECRET), &["--machine", "host"]);
    assert_eq!(host.status.code(), Some(2));
    assert!(text(&host.stderr).contains("no walls"), "{}", text(&host.stderr));
    let image = serve(Some(SECRET), &["--vm-type", "bionic-test=jammy"]);
    assert_eq!(
        image.status.code(),
        Some(2),
        "an image that is not there is found out before anything is served"
    );
    assert!(text(&image.stderr).contains("jammy"), "{}", text(&image.stderr));
}

#[test]
fn a_machine_lives_from_start_to_rm() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path());
    let id = server.told(&["start", "--name", "mine"]);
    let listed = server.told(&["ls"]);
    assert!(listed.contains(&id) && listed.contains("running") && listed.contains("mine"), "{listed}");
    assert!(server.told(&["inspect", &id]).contains("\"part\": \"whole\""));

    let script = "echo out; echo err >&2; id -un; exit 7";
    let ran = server.vm(&["exec", &id, "--", "sh", "-c", script]);
    assert_eq!((ran.status.code(), text(&ran.stderr)), (Some(7), "err\n".to_owned()));
    assert!(text(&ran.stdout).starts_with("out\n"), "{}", text(&ran.stdout));
    let gone = server.vm(&["exec", "vm-0", "--", "true"]);
    assert_eq!(gone.status.code(), Some(125), "not the code of a command: {}", text(&gone.stderr));

    std::fs::create_dir_all(folder.path().join("tree/sub")).expect("folders");
    std::fs::write(folder.path().join("tree/sub/file"), "content").expect("a file");
    std::fs::write(folder.path().join("tool"), "#!/bin/sh\necho tool").expect("a file");
    std::fs::set_permissions(folder.path().join("tool"), PermissionsExt::from_mode(0o755)).expect("a mode");
    server.told(&["cp", "tree", &format!("{id}:in")]);
    server.told(&["cp", "tool", &format!("{id}:bin/")]);
    assert_eq!(server.told(&["exec", &id, "--", "sh", "-c", "cat in/sub/file; bin/tool"]), "contenttool");
    server.told(&["cp", &format!("{id}:in"), "out"]);
    server.told(&["cp", &format!("{id}:in/sub/file"), "single"]);
    for copy in ["out/sub/file", "single"] {
        assert_eq!(std::fs::read_to_string(folder.path().join(copy)).expect("a copy"), "content");
    }
    // Larger than a single file may be in a request.
    const LARGE: u64 = 65 * 1024 * 1024;
    let large = File::create(folder.path().join("large")).expect("a file");
    large.set_len(LARGE).expect("a size");
    server.told(&["cp", "large", &format!("{id}:deep/renamed")]);
    assert_eq!(server.told(&["exec", &id, "--", "stat", "-c", "%s", "deep/renamed"]), LARGE.to_string());
    let climbing = server.vm(&["cp", "tool", &format!("{id}:../tool")]);
    assert!(text(&climbing.stderr).contains("climbs"), "{}", text(&climbing.stderr));

    let snapshot = server.vm(&["snapshot", &id]);
    assert_eq!(snapshot.status.code(), Some(2));
    assert!(text(&snapshot.stderr).contains("can't be snapshotted"), "{}", text(&snapshot.stderr));
    assert!(server.told(&["logs", &id]).contains("exit code 7"));
    assert_eq!(server.told(&["rm", &id]), id);
    assert_eq!(server.vm(&["rm", &id]).status.code(), Some(1));
    assert_eq!(remains(folder.path()), Vec::<String>::new());
}

#[test]
fn a_tokens_subject_sees_its_own_machines_only_and_a_wrong_key_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = Server::start(folder.path());
    let id = server.told(&["start"]);
    let bob =
        hearth(folder.path()).args(["vm", "token", "--subject", "bob"]).output().expect("the binary runs");
    server.token = text(&bob.stdout).trim().to_owned();
    assert!(!server.told(&["ls"]).contains(&id));
    assert_eq!(server.vm(&["rm", &id]).status.code(), Some(1));
    let mut forging = hearth(folder.path());
    forging.env("HEARTH_JWT_SECRET", "another key of more than thirty-two bytes");
    let forged = forging.args(["vm", "token", "--subject", "ann"]).output().expect("the binary runs");
    server.token = text(&forged.stdout).trim().to_owned();
    assert!(text(&server.vm(&["ls"]).stderr).contains("signature"));
    server.address = "http://127.0.0.1:1".to_owned();
    let nobody = text(&server.vm(&["ls"]).stderr);
    assert_eq!(nobody.matches("Connection refused").count(), 1, "the reason is told, and once: {nobody}");
}

#[test]
fn a_second_server_on_one_data_folder_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path());
    let second = hearth(folder.path())
        .args(["serve", "machines", "--listen", "127.0.0.1:0"])
        .output()
        .expect("it runs");
    assert_eq!(second.status.code(), Some(2));
    let error = text(&second.stderr);
    assert!(error.contains(&format!("process {}", server.child.id())) && error.contains("--data"), "{error}");
    server.told(&["ls"]);
}

#[test]
fn an_interrupt_ends_commands_and_machines() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path());
    let id = server.told(&["start"]);
    let word = "86413";
    let mut sleeping = server.command(&["exec", &id, "--", "sleep", word]);
    let sleeping = sleeping.stderr(Stdio::piped()).spawn().expect("the binary runs");
    until("it sleeps", || processes_with(word) > 1);
    assert_eq!(server.end(Signal::SIGTERM), Some(0));
    let told = sleeping.wait_with_output().expect("it ends");
    assert_eq!(told.status.code(), Some(125), "{}", text(&told.stderr));
    assert!(text(&told.stderr).contains("shut down"), "{}", text(&told.stderr));
    assert_eq!((processes_with(word), remains(folder.path())), (0, Vec::new()));
}

#[test]
fn a_server_that_is_killed_leaves_nothing_that_the_next_does_not_remove() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path());
    let id = server.told(&["start"]);
    let word = "86414";
    let mut sleeping = server.command(&["exec", &id, "--", "sleep", word]).spawn().expect("the binary runs");
    until("it sleeps", || processes_with(word) > 1);
    server.end(Signal::SIGKILL);
    sleeping.wait().expect("it ends");
    until("its processes are dead", || processes_with(word) == 0);
    let next = Server::start(folder.path());
    until("its folder is gone", || remains(folder.path()).is_empty());
    assert!(!next.told(&["ls"]).contains(&id));
    next.told(&["start"]);
}

#[test]
fn a_shell_is_a_terminal_in_the_machine_and_leaves_this_one_as_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path());
    let id = server.told(&["start"]);
    let size = Winsize { ws_col: 100, ws_row: 30, ws_xpixel: 0, ws_ypixel: 0 };
    let pty = openpty(&size, None).expect("a terminal");
    let before = rustix::termios::tcgetattr(&pty.slave).expect("a terminal").local_modes;
    let end = || Stdio::from(pty.slave.try_clone().expect("a file descriptor"));
    let mut shell = server.command(&["shell", &id, "--command", "stty size; read x; echo got=$x; exit 9"]);
    let mut shell = shell.stdin(end()).stdout(end()).stderr(end()).spawn().expect("the binary runs");
    let mut terminal = File::from(pty.master);
    let mut seen = String::new();
    let mut see = |terminal: &mut File, wanted: &str| {
        let mut buffer = [0; 1024];
        while !seen.contains(wanted) {
            let read = terminal.read(&mut buffer).expect("output");
            assert!(read > 0, "{seen:?}");
            seen.push_str(&text(&buffer[..read]));
        }
    };
    see(&mut terminal, "30 100");
    terminal.write_all(b"key\r").expect("written");
    see(&mut terminal, "got=key");
    assert_eq!(shell.wait().expect("it ends").code(), Some(9));
    assert_eq!(rustix::termios::tcgetattr(&pty.slave).expect("a terminal").local_modes, before);
    let none = server.command(&["shell", &id]).stdin(Stdio::null()).output().expect("the binary runs");
    assert!(text(&none.stderr).contains("needs a terminal"), "{}", text(&none.stderr));
}
