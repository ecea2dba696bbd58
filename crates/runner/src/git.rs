//! Runs the `git` binary: bounded in time and output, with nothing of the caller's repository leaking in.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

/// What a git command may print: the file list of a repository with some hundred thousand paths.
const OUTPUT_BYTES: u64 = 256 * 1024 * 1024;

/// What is kept of standard error: its end, where the reason stands behind what a server said of its progress.
const STDERR_BYTES: usize = 64 * 1024;

/// Time for commands that only read the local repository: ample for a cold disk and a huge index.
const LOCAL_TIMEOUT: Duration = Duration::from_secs(120);

/// Variables that point git at one repository (`git rev-parse --local-env-vars`). They are set when
/// Hearth is started from a hook, and would make every command here act on that repository.
const LOCAL_VARIABLES: [&str; 14] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_CONFIG",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_PARAMETERS",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_INDEX_FILE",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
];

/// Settings of every command: no hooks, no background work, no prompts.
const SETTINGS: [&str; 6] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.askPass=true",
    "gc.auto=0",
    "maintenance.auto=false",
    "protocol.ext.allow=never",
];

/// Why a git command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GitError {
    /// There is no git, or it can't be started.
    #[error("can't start git: {0}; install git (2.30 or newer) and put it on the PATH")]
    Start(#[source] io::Error),
    /// It ended with an error.
    #[error("git {command}: {reason}")]
    Failed {
        /// The subcommand.
        command: String,
        /// The last line that it printed on standard error.
        reason: String,
    },
    /// It took too long.
    #[error("git {command}: no end after {} s", limit.as_secs())]
    TimedOut {
        /// The subcommand.
        command: String,
        /// How long it was given.
        limit: Duration,
    },
    /// It printed too much.
    #[error("git {command}: more than {OUTPUT_BYTES} bytes of output")]
    TooMuch {
        /// The subcommand.
        command: String,
    },
    /// Its pipes broke.
    #[error("git {command}: {source}")]
    Pipe {
        /// The subcommand.
        command: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// One call of git, being built.
pub(crate) struct Git {
    name: String,
    command: std::process::Command,
    input: Option<Vec<u8>>,
    limit: Duration,
}

impl Git {
    /// `git <subcommand>` with `-c` settings before it.
    pub(crate) fn with_settings(subcommand: &str, settings: &[&str]) -> Self {
        let mut command = std::process::Command::new("git");
        for name in LOCAL_VARIABLES {
            command.env_remove(name);
        }
        command
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GCM_INTERACTIVE", "never")
            .env("LC_ALL", "C");
        if ["GIT_SSH", "GIT_SSH_COMMAND"].iter().all(|name| std::env::var_os(name).is_none()) {
            command.env("GIT_SSH_COMMAND", format!("ssh {}", crate::ssh::PATIENCE));
        }
        for setting in SETTINGS.iter().chain(settings) {
            command.arg("-c").arg(setting);
        }
        command.arg(subcommand);
        Git { name: subcommand.to_owned(), command, input: None, limit: LOCAL_TIMEOUT }
    }

    /// `git <subcommand>`.
    pub(crate) fn new(subcommand: &str) -> Self {
        Git::with_settings(subcommand, &[])
    }

    /// Runs in this folder.
    pub(crate) fn dir(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// One more argument.
    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// More arguments.
    pub(crate) fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    /// One more environment variable.
    pub(crate) fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.command.env(name, value.into());
        self
    }

    /// Settings that the list of processes does not show. A second call replaces those of the first.
    pub(crate) fn unseen_settings(mut self, settings: &[(String, String)]) -> Self {
        self.command.env("GIT_CONFIG_COUNT", settings.len().to_string());
        for (index, (key, value)) in settings.iter().enumerate() {
            self.command.env(format!("GIT_CONFIG_KEY_{index}"), key);
            self.command.env(format!("GIT_CONFIG_VALUE_{index}"), value);
        }
        self
    }

    /// Standard input.
    pub(crate) fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = Some(input.into());
        self
    }

    /// How long it may take.
    pub(crate) fn timeout(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// The plain command, for callers that stream its output on a blocking thread.
    pub(crate) fn into_std(self) -> std::process::Command {
        self.command
    }

    /// Runs it and gives its standard output.
    pub(crate) async fn output(self) -> Result<Vec<u8>, GitError> {
        let (name, limit) = (self.name.clone(), self.limit);
        match tokio::time::timeout(limit, self.run()).await {
            Ok(result) => result,
            Err(_elapsed) => Err(GitError::TimedOut { command: name, limit }),
        }
    }

    /// Runs it and gives its standard output as text, without trailing newlines.
    pub(crate) async fn text(self) -> Result<String, GitError> {
        let output = self.output().await?;
        Ok(String::from_utf8_lossy(&output).trim_end_matches('\n').to_owned())
    }

    async fn run(mut self) -> Result<Vec<u8>, GitError> {
        use std::os::unix::process::CommandExt;
        let pipe_error = |command: &str| {
            let command = command.to_owned();
            move |source| GitError::Pipe { command, source }
        };
        self.command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
        self.command.stdin(if self.input.is_some() { Stdio::piped() } else { Stdio::null() });
        let mut child = tokio::process::Command::from(self.command)
            .kill_on_drop(true)
            .spawn()
            .map_err(GitError::Start)?;
        let group = KillGroup(child.id());
        let input = child.stdin.take().zip(self.input.take());
        let feed = async move {
            if let Some((mut stdin, bytes)) = input {
                // A command that stops reading early says why on its standard error.
                let _ = stdin.write_all(&bytes).await;
            }
        };
        let (((), stdout), stderr) = tokio::join!(
            async { tokio::join!(feed, read_bounded(child.stdout.take(), OUTPUT_BYTES)) },
            read_end(child.stderr.take(), STDERR_BYTES),
        );
        let stdout = stdout.map_err(pipe_error(&self.name))?;
        let stderr = stderr.map_err(pipe_error(&self.name))?;
        let Some(stdout) = stdout else { return Err(GitError::TooMuch { command: self.name }) };
        let status = child.wait().await.map_err(pipe_error(&self.name))?;
        group.disarm();
        if status.success() {
            return Ok(stdout);
        }
        Err(GitError::Failed { command: self.name, reason: last_line(&stderr, &status.to_string()) })
    }
}

/// Kills git and the transports that it started, unless the command has ended.
struct KillGroup(Option<u32>);

impl KillGroup {
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for KillGroup {
    fn drop(&mut self) {
        let pid = self.0.and_then(|pid| rustix::process::Pid::from_raw(i32::try_from(pid).ok()?));
        if let Some(pid) = pid {
            let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
        }
    }
}

/// Reads to the end; `None` where there is more than `limit`.
async fn read_bounded(from: Option<impl AsyncRead + Unpin>, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        from.take(limit + 1).read_to_end(&mut bytes).await?;
    }
    Ok((bytes.len() as u64 <= limit).then_some(bytes))
}

/// Reads to the end, and gives the last `limit` bytes.
async fn read_end(from: Option<impl AsyncRead + Unpin>, limit: usize) -> io::Result<Vec<u8>> {
    let (mut bytes, mut piece) = (Vec::new(), vec![0; 4096]);
    let Some(mut from) = from else { return Ok(bytes) };
    loop {
        let count = from.read(&mut piece).await?;
        if count == 0 {
            return Ok(bytes);
        }
        bytes.extend_from_slice(&piece[..count]);
        bytes.drain(..bytes.len().saturating_sub(limit));
    }
}

/// Whether a server says with this line how far it is.
fn is_progress(line: &str) -> bool {
    line.starts_with("remote: ") && line.contains(" objects: ")
}

/// The line of standard error that tells the cause: what LFS says of a file, else the last `fatal:` or `error:` that
/// is not a general remark on what failed before, else the first line that is no frame around others.
pub(crate) fn last_line(stderr: &[u8], otherwise: &str) -> String {
    let text = String::from_utf8_lossy(stderr);
    // How far a server is stands in one line that is written over and over.
    let lines = text.split(['\n', '\r']).map(|line| line.trim().trim_matches('@').trim());
    let mut lines = lines.filter(|line| !line.is_empty() && !is_progress(line));
    let remarks = ["Could not read from remote repository", "external filter", "smudge filter lfs failed"];
    let telling = |line: &&str| {
        ["fatal:", "error:"].iter().any(|mark| line.starts_with(mark))
            && !remarks.iter().any(|remark| line.contains(remark))
    };
    let lfs = lines.clone().find(|line| line.contains("Smudge error:"));
    lfs.or_else(|| lines.clone().rfind(telling)).or_else(|| lines.next()).unwrap_or(otherwise).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_failing_command_is_told_by_its_last_line() {
        let dir = tempfile::tempdir().unwrap();
        let error = Git::new("rev-parse").dir(dir.path()).arg("HEAD").output().await.unwrap_err();
        assert!(error.to_string().starts_with("git rev-parse: fatal: not a git repository"), "{error}");
    }

    #[test]
    fn the_reason_is_found_behind_what_a_server_said_of_its_progress() {
        let said = b"remote: Counting objects:  50% (1/2)        \rremote: Counting objects: 100% (2/2)        \rfatal: early EOF\n";
        assert_eq!(last_line(said, "status 128"), "fatal: early EOF");
    }

    #[tokio::test]
    async fn what_was_said_last_is_told_of_a_command_that_says_much() {
        let says_much = "!for i in $(seq 9000); do echo \"remote: Counting $i\" >&2; done; echo 'fatal: it broke' >&2; exit 1";
        let error =
            Git::with_settings("much", &[&format!("alias.much={says_much}")]).output().await.unwrap_err();
        assert_eq!(error.to_string(), "git much: fatal: it broke");
    }

    #[tokio::test]
    async fn a_command_that_hangs_is_ended() {
        let hanging =
            Git::with_settings("hang", &["alias.hang=!sleep 600"]).timeout(Duration::from_millis(50));
        let error = hanging.output().await.unwrap_err();
        assert!(matches!(error, GitError::TimedOut { .. }), "{error}");
    }

    #[tokio::test]
    async fn input_reaches_the_command() {
        let dir = tempfile::tempdir().unwrap();
        let hash =
            Git::new("hash-object").dir(dir.path()).arg("--stdin").input(*b"hello\n").text().await.unwrap();
        assert_eq!(hash, "ce013625030ba8dba906f756967f9e9ca394464a");
    }
}
