//! The host's side of the protocol.

use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};

/// A connection to the agent of one machine. Clones share it; calls may overlap.
#[derive(Clone)]
pub struct Guest {
    _private: (),
}

/// What can go wrong on the way into a machine.
#[derive(Debug, thiserror::Error)]
pub enum GuestError {
    /// The stream to the agent broke or the agent is gone.
    #[error("lost the agent while {operation}: {reason}")]
    Lost {
        /// What was being done.
        operation: &'static str,
        /// What the transport said.
        reason: String,
    },
    /// The agent answered that it can't.
    #[error("{operation} {object}: {reason}")]
    Refused {
        /// What was being done.
        operation: &'static str,
        /// On which file or program.
        object: String,
        /// Why not; `kind` tells programs.
        reason: String,
        /// The class of the refusal.
        kind: RefusalKind,
    },
    /// The agent sent more than was agreed.
    #[error("{operation} {object}: more than {limit} bytes")]
    TooLarge {
        /// What was being done.
        operation: &'static str,
        /// On which file.
        object: String,
        /// The bound.
        limit: u64,
    },
}

/// Classes of refusal that callers treat differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// No such file or program.
    NotFound,
    /// No permission.
    Denied,
    /// The machine's disk is full.
    DiskFull,
    /// Bad arguments.
    Invalid,
    /// Anything else.
    Other,
}

/// A process to run.
#[derive(Clone, Debug, Default)]
pub struct ExecSpec {
    /// Program and arguments; a program without `/` is looked up in `PATH` of `env`.
    pub argv: Vec<String>,
    /// Working directory; the machine's root when empty.
    pub cwd: String,
    /// The whole environment: nothing is inherited from the agent.
    pub env: Vec<(String, String)>,
    /// User name or numeric id; the agent's own when `None`.
    pub user: Option<String>,
    /// Bytes for standard input, which then ends. More can follow by [`Exec::write_stdin`] if `stdin_open`.
    pub stdin: Bytes,
    /// Keep standard input open for [`Exec::write_stdin`].
    pub stdin_open: bool,
    /// Give it a terminal of this size; stdout and stderr are then one stream.
    pub tty: Option<TtySize>,
    /// Kill it (its whole process group, then what is left of its tree) after this long.
    pub timeout: Option<Duration>,
}

/// Size of a terminal in characters.
#[derive(Clone, Copy, Debug)]
pub struct TtySize {
    /// Rows.
    pub rows: u16,
    /// Columns.
    pub columns: u16,
}

/// What a running process tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecEvent {
    /// Standard output (and error, with a terminal).
    Stdout(Bytes),
    /// Standard error.
    Stderr(Bytes),
    /// It is over. The last event.
    Exited(ExitStatus),
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// With this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// Its time was up, and it was killed.
    TimedOut,
}

/// A running process. Dropping it kills the process and its group.
pub struct Exec {
    _private: (),
}

impl Exec {
    /// The next event, in the order in which the agent read the pipes; `None` after `Exited`.
    pub async fn next(&mut self) -> Result<Option<ExecEvent>, GuestError> {
        unimplemented!()
    }
    /// Sends a signal to the process group (numbers of Linux).
    pub async fn signal(&self, _signal: i32) -> Result<(), GuestError> {
        unimplemented!()
    }
    /// More standard input; an empty chunk closes it.
    pub async fn write_stdin(&self, _data: Bytes) -> Result<(), GuestError> {
        unimplemented!()
    }
    /// New size of the terminal.
    pub async fn resize(&self, _size: TtySize) -> Result<(), GuestError> {
        unimplemented!()
    }
}

/// What the agent says of its machine.
#[derive(Clone, Debug)]
pub struct Info {
    /// Version of the agent.
    pub version: String,
    /// Host name.
    pub hostname: String,
    /// `x86_64`, `aarch64`.
    pub arch: String,
    /// Name of the user that the agent runs processes as by default.
    pub user: String,
    /// Its numeric id.
    pub uid: u32,
    /// Its home.
    pub home: String,
    /// `PATH` of the machine.
    pub path: String,
}

/// Kind of a directory entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// Regular file.
    File,
    /// Directory.
    Directory,
    /// Symbolic link.
    Symlink,
    /// Anything else.
    Other,
}

/// A file as the agent sees it. Links are followed by `stat`, not by `walk`.
#[derive(Clone, Debug)]
pub struct FileStat {
    /// Absolute path (`stat`), or path relative to the root of the walk (`walk`).
    pub path: String,
    /// Kind.
    pub kind: FileKind,
    /// Bytes.
    pub size: u64,
    /// Permission bits.
    pub mode: u32,
}

/// An open tunnel: connections to a port in the guest reach a service on the host. Dropping it closes it.
pub struct Tunnel {
    /// The port in the guest, on 127.0.0.1.
    pub guest_port: u16,
}

impl Guest {
    /// Speaks to the agent at the other end of `stream`.
    pub async fn connect<S>(_stream: S) -> Result<Guest, GuestError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        unimplemented!()
    }
    /// Who is there. Also the health check.
    pub async fn info(&self) -> Result<Info, GuestError> {
        unimplemented!()
    }
    /// Starts a process.
    pub async fn exec(&self, _spec: ExecSpec) -> Result<Exec, GuestError> {
        unimplemented!()
    }
    /// Reads a file of at most `limit` bytes.
    pub async fn read_file(&self, _path: &str, _limit: u64) -> Result<Bytes, GuestError> {
        unimplemented!()
    }
    /// Writes a file (parents are made), replacing it.
    pub async fn write_file(&self, _path: &str, _mode: u32, _data: Bytes) -> Result<(), GuestError> {
        unimplemented!()
    }
    /// Makes a directory and its parents; fine if it is there.
    pub async fn make_dir(&self, _path: &str) -> Result<(), GuestError> {
        unimplemented!()
    }
    /// Removes a file or a whole tree; fine if it is not there. Links are not followed.
    pub async fn remove(&self, _path: &str) -> Result<(), GuestError> {
        unimplemented!()
    }
    /// Looks at one path; `None` when nothing is there.
    pub async fn stat(&self, _path: &str) -> Result<Option<FileStat>, GuestError> {
        unimplemented!()
    }
    /// Everything below `root`, parents first, sorted; at most `limit` entries.
    pub async fn walk(&self, _root: &str, _limit: usize) -> Result<Vec<FileStat>, GuestError> {
        unimplemented!()
    }
    /// SHA-256 of each file, in order.
    pub async fn digest(&self, _paths: Vec<String>) -> Result<Vec<[u8; 32]>, GuestError> {
        unimplemented!()
    }
    /// Unpacks a tar stream below `dest`; a member that would climb out is an error.
    pub async fn archive_in<R>(&self, _dest: &str, _tar: R) -> Result<(), GuestError>
    where
        R: AsyncRead + Send + Unpin + 'static,
    {
        unimplemented!()
    }
    /// Packs `root` (a file or a tree) as a tar stream with relative names into `to`; at most `limit` bytes.
    pub async fn archive_out<W>(&self, _root: &str, _to: W, _limit: u64) -> Result<(), GuestError>
    where
        W: AsyncWrite + Send + Unpin,
    {
        unimplemented!()
    }
    /// Listens on `guest_port` of 127.0.0.1 in the guest (0: any) and carries each connection to `target` on the host.
    pub async fn tunnel(
        &self,
        _guest_port: u16,
        _target: std::net::SocketAddr,
    ) -> Result<Tunnel, GuestError> {
        unimplemented!()
    }
    /// Ends all processes (TERM, then KILL after `grace`) and the agent.
    pub async fn shutdown(&self, _grace: Duration) -> Result<(), GuestError> {
        unimplemented!()
    }
}
