//! Running git: without prompts, hooks, or a user's settings, within bounds of time and output.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::Secret;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// Bytes of git's error output that are kept: its end, where the reason stands.
const MAX_STDERR: usize = 16 * 1024;

/// Addresses that git may use; `ext::` and the like would run programs.
const PROTOCOLS: &str = "file:http:https:ssh";

/// Settings of every git here. A server that sends nothing for a minute hangs. One that packs a large repository keeps the
/// connection alive with five bytes every five seconds, which curl counts as nothing; so fetches ask it to say how far it
/// is (`--progress`), which is some dozen bytes a second
/// (<https://git-scm.com/docs/git-config#Documentation/git-config.txt-uploadpackkeepAlive>).
const SETTINGS: &[(&str, &str)] = &[
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.logAllRefUpdates", "false"),
    ("credential.helper", ""),
    ("gc.autoDetach", "false"),
    ("maintenance.auto", "false"),
    ("http.lowSpeedLimit", "1"),
    ("http.lowSpeedTime", "60"),
];

/// The same for servers that are reached by ssh: it is done with a silent one after a minute too.
const SSH: &str = "ssh -oBatchMode=yes -oConnectTimeout=60 -oServerAliveInterval=15 -oServerAliveCountMax=4";

/// Variables of git that are the administrator's business, and not of whatever started Hearth.
const KEPT: &[&str] = &["GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "GIT_SSH", "GIT_SSH_COMMAND", "GIT_EXEC_PATH"];

/// One call of git.
pub(super) struct Git<'a> {
    /// The bare repository.
    pub(super) folder: &'a Path,
    /// How long it may take.
    pub(super) timeout: Duration,
    /// Bytes that it may answer with.
    pub(super) limit: usize,
    /// Server and token.
    pub(super) auth: Option<(&'a str, &'a Secret)>,
}

/// What git answered.
pub(super) struct Answer {
    pub(super) success: bool,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: String,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum NoAnswer {
    NoGit(io::Error),
    TimedOut,
    TooLong,
}

impl Git<'_> {
    /// Runs it, with `input` to read.
    pub(super) async fn run(&self, args: &[&str], input: &[u8]) -> Result<Answer, NoAnswer> {
        let mut child = self.command(args).spawn().map_err(NoAnswer::NoGit)?;
        let group = Group::of(&child);
        let outcome = tokio::time::timeout(self.timeout, converse(&mut child, input, self.limit)).await;
        let outcome = match outcome {
            Ok(Ok(Some(answer))) => return Ok(group.ended(answer)),
            Ok(Ok(None)) => NoAnswer::TooLong,
            Ok(Err(error)) => NoAnswer::NoGit(error),
            Err(_) => NoAnswer::TimedOut,
        };
        drop(group);
        // Killed above, so this does not last; whatever it ended with is not of interest.
        let _ = child.wait().await;
        Err(outcome)
    }

    /// Starts it, to be spoken with. It is killed when the answer is dropped.
    pub(super) fn start(&self, args: &[&str]) -> Result<Running, NoAnswer> {
        let child = self.command(args).spawn().map_err(NoAnswer::NoGit)?;
        Ok(Running { group: Group::of(&child), child })
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("git");
        for (name, _) in std::env::vars_os() {
            let is_git = name.to_str().is_some_and(|name| name.starts_with("GIT_") && !KEPT.contains(&name));
            if is_git {
                command.env_remove(name);
            }
        }
        if std::env::var_os("GIT_SSH").is_none() && std::env::var_os("GIT_SSH_COMMAND").is_none() {
            command.env("GIT_SSH_COMMAND", SSH);
        }
        let settings = SETTINGS.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        for (place, (key, value)) in settings.chain(self.auth.map(header)).enumerate() {
            command.env(format!("GIT_CONFIG_KEY_{place}"), key);
            command.env(format!("GIT_CONFIG_VALUE_{place}"), value);
            command.env("GIT_CONFIG_COUNT", (place + 1).to_string());
        }
        command
            .env("GIT_ALLOW_PROTOCOL", PROTOCOLS)
            .env("GIT_ASKPASS", "")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_DIR", self.folder)
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("LC_ALL", "C")
            .env_remove("LANGUAGE")
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        command
    }
}

/// The setting that has git send a token to one server, as GitHub's own checkout does.
fn header((server, token): (&str, &Secret)) -> (String, String) {
    let credentials = STANDARD.encode(format!("x-access-token:{}", token.0));
    (format!("http.{server}.extraHeader"), format!("Authorization: Basic {credentials}"))
}

/// A git that is spoken with.
pub(super) struct Running {
    child: Child,
    group: Group,
}

impl Running {
    /// What it hears, and what it says; once.
    pub(super) fn pipes(&mut self) -> Result<(ChildStdin, ChildStdout), NoAnswer> {
        let pipes = self.child.stdin.take().zip(self.child.stdout.take());
        pipes.ok_or_else(|| NoAnswer::NoGit(io::ErrorKind::BrokenPipe.into()))
    }

    /// Waits for its end, and gives the end of what it has said of errors.
    pub(super) async fn last_words(mut self) -> String {
        let said = end_of(self.child.stderr.take()).await.unwrap_or_default();
        if self.child.wait().await.is_ok() {
            self.group.ended(());
        }
        said
    }
}

/// Feeds git and reads what it answers; `None` when that is more than `limit` bytes.
async fn converse(child: &mut Child, input: &[u8], limit: usize) -> io::Result<Option<Answer>> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let Some(mut stdin) = stdin {
            // A git that has failed reads no more; why it did is in what it wrote.
            let _ = stdin.write_all(input).await;
        }
        Ok(())
    };
    let read = async {
        let mut bytes = Vec::new();
        if let Some(stdout) = stdout {
            stdout.take(limit as u64 + 1).read_to_end(&mut bytes).await?;
        }
        Ok(bytes)
    };
    let ((), stdout, stderr) = tokio::try_join!(feed, read, end_of(stderr))?;
    if stdout.len() > limit {
        return Ok(None);
    }
    let success = child.wait().await?.success();
    Ok(Some(Answer { success, stdout, stderr }))
}

/// The end of what comes.
async fn end_of(stream: Option<impl AsyncRead + Unpin>) -> io::Result<String> {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    let Some(mut stream) = stream else { return Ok(String::new()) };
    loop {
        let count = stream.read(&mut piece).await?;
        if count == 0 {
            return Ok(String::from_utf8_lossy(&bytes).into_owned());
        }
        bytes.extend_from_slice(&piece[..count]);
        if bytes.len() > MAX_STDERR {
            bytes.drain(..bytes.len() - MAX_STDERR);
        }
    }
}

/// Git and the programs that it runs; all are killed when nobody waits for them any more.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Group {
        Group(child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw))
    }

    /// Git has ended by itself: its number may be somebody else's by now.
    fn ended<T>(mut self, answer: T) -> T {
        self.0 = None;
        answer
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            // It may have ended in the meantime.
            let _ = killpg(pid, Signal::SIGKILL);
        }
    }
}
