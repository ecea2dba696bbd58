//! An agent to test with.

use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use guest::client::{Exec, ExecEvent, ExecSpec, ExitStatus, Guest};

/// How long something may take that must happen.
const PATIENCE: Duration = Duration::from_secs(10);

/// An agent in a process of its own, and a folder for its files. Its end ends the agent.
pub(crate) struct Agent {
    pub(crate) guest: Guest,
    pub(crate) folder: tempfile::TempDir,
    process: Child,
    stream: UnixStream,
}

impl Agent {
    pub(crate) async fn start() -> Self {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_hearth-agent"))
            .args(["__agent", "--fd", "0"])
            .stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs)))
            .spawn()
            .unwrap();
        ours.set_nonblocking(true).unwrap();
        let stream = ours.try_clone().unwrap();
        let guest = Guest::connect(tokio::net::UnixStream::from_std(ours).unwrap()).await.unwrap();
        Self { guest, folder: tempfile::tempdir().unwrap(), process, stream }
    }

    /// Cuts the stream on which it speaks.
    pub(crate) fn cut(&mut self) {
        self.stream.shutdown(std::net::Shutdown::Both).unwrap();
    }

    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
    }

    /// A path in its folder.
    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    pub(crate) async fn run(&self, spec: ExecSpec) -> Output {
        collect(&mut self.guest.exec(spec).await.unwrap()).await
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
        self.process.wait().unwrap();
    }
}

/// All that a process told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Output {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    pub(crate) status: ExitStatus,
}

impl Output {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }
}

/// Reads a process to its end.
pub(crate) async fn collect(exec: &mut Exec) -> Output {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    loop {
        match exec.next().await.unwrap().expect("an end with a status") {
            ExecEvent::Stdout(data) => stdout.extend_from_slice(&data),
            ExecEvent::Stderr(data) => stderr.extend_from_slice(&data),
            ExecEvent::Exited(status) => return Output { stdout, stderr, status },
        }
    }
}

/// A script for bash with a usual `PATH`.
pub(crate) fn bash(script: &str) -> ExecSpec {
    ExecSpec {
        argv: vec!["bash".into(), "-c".into(), script.into()],
        env: vec![("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into())],
        ..ExecSpec::default()
    }
}

/// Waits for a condition that nobody announces.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < PATIENCE, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until a process is no more.
pub(crate) async fn gone(pid: &str) {
    let running = || match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => !stat.rsplit(')').next().unwrap().trim_start().starts_with('Z'),
        Err(_) => false,
    };
    until(&format!("process {pid} is gone"), || !running()).await;
}
