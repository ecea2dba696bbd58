//! The host's side of the protocol.

mod error;
mod exec;
mod files;
mod tunnel;
mod watched;

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use bytes::Bytes;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tokio_util::task::AbortOnDropHandle;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint, Uri};

use crate::bounds::{
    CONNECTION_WINDOW_BYTES, KEEP_ALIVE_INTERVAL, KEEP_ALIVE_TIMEOUT, MESSAGE_BYTES, PROTOCOL,
    STREAM_WINDOW_BYTES,
};
use crate::wire;
use crate::wire::agent_client::AgentClient;
use crate::wire::{ExecRequest, ExecResponse, InfoRequest, ShutdownRequest};
use error::failure;
use exec::Last;
use watched::Watched;

/// A connection to the agent of one machine. Clones share it; calls may overlap.
#[derive(Clone)]
pub struct Guest {
    rpc: AgentClient<Channel>,
    over: CancellationToken,
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
    /// Files to write before the process starts, parents included: few and small, all of this in one message.
    pub files: Vec<NewFile>,
    /// Files whose sizes are wanted when the process is over: [`Exec::sizes`].
    pub report: Vec<String>,
}

/// A file to write before a process starts. One that is there is overwritten.
#[derive(Clone, Debug, Default)]
pub struct NewFile {
    /// Its absolute path.
    pub path: String,
    /// Its permission bits, if it is new.
    pub mode: u32,
    /// What it holds.
    pub data: Bytes,
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
    guest: Guest,
    /// What the agent calls it.
    number: u64,
    program: String,
    events: Streaming<ExecResponse>,
    stdin: Mutex<Option<mpsc::Sender<ExecRequest>>>,
    last: Last,
    ended: bool,
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
    /// Where the agent is the init of a kernel of its own: how long it took until it could listen.
    pub init: Duration,
}

/// What makes a machine with a kernel of its own unique.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Renewal {
    /// Its host name.
    pub hostname: String,
    /// Random bytes, at most [`ENTROPY_BYTES`](crate::bounds::ENTROPY_BYTES).
    pub entropy: Vec<u8>,
    /// The time, since 1970.
    pub now: Duration,
    /// 32 hexadecimal digits.
    pub machine_id: String,
    /// A UUID.
    pub boot_id: String,
    /// How its network interface is set up; `None`: left as it is.
    pub interface: Option<Interface>,
}

/// How a machine's one network interface is set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// `None`: as the hardware has it.
    pub mac: Option<[u8; 6]>,
    /// Its address.
    pub address: Ipv4Addr,
    /// Length of the network's prefix.
    pub prefix_length: u8,
    /// Where everything beyond the network goes; `None`: nowhere.
    pub gateway: Option<Ipv4Addr>,
    /// Who resolves names.
    pub name_servers: Vec<IpAddr>,
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
    _task: AbortOnDropHandle<()>,
}

impl Guest {
    /// Speaks to the agent at the other end of `stream`. Waits until it has answered; the bound
    /// of that time is the caller's. When the last clone is dropped, the stream is closed, on
    /// which the agent ends everything that it started.
    ///
    /// # Errors
    /// [`GuestError::Lost`] when nobody is there or it is no agent; refused as
    /// [`RefusalKind::Invalid`] when it speaks another version of the protocol.
    pub async fn connect<S>(stream: S) -> Result<Guest, GuestError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        const CONNECT: &str = "connecting";
        let (stream, over) = Watched::new(stream);
        let mut stream = Some(stream);
        let connector = tower::service_fn(move |_: Uri| {
            let stream = stream.take().map(TokioIo::new);
            async move { stream.ok_or_else(|| io::Error::other("the stream to the agent has ended")) }
        });
        // HTTP/2 wants an authority; nobody looks at it.
        let channel = Endpoint::from_static("http://agent")
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
            .connect_with_connector(connector)
            .await
            .map_err(|error| failure(CONNECT, "", &tonic::Status::from_error(error.into())))?;
        let guest = Guest { rpc: AgentClient::new(channel).max_decoding_message_size(MESSAGE_BYTES), over };
        let answer = guest.rpc().info(InfoRequest {}).await;
        let protocol = answer.map_err(|status| failure(CONNECT, "", &status))?.into_inner().protocol;
        if protocol != PROTOCOL {
            return Err(GuestError::Refused {
                operation: CONNECT,
                object: "to the agent".to_owned(),
                reason: format!(
                    "it speaks version {protocol} of the protocol, this is version {PROTOCOL}; rebuild the machine's image"
                ),
                kind: RefusalKind::Invalid,
            });
        }
        Ok(guest)
    }

    /// Who is there. Also the health check.
    ///
    /// # Errors
    /// When the agent is lost.
    pub async fn info(&self) -> Result<Info, GuestError> {
        let answer = self.rpc().info(InfoRequest {}).await;
        let info = answer.map_err(|status| failure("asking", "the agent", &status))?.into_inner();
        Ok(Info {
            version: info.version,
            hostname: info.hostname,
            arch: info.arch,
            user: info.user,
            uid: info.uid,
            home: info.home,
            path: info.path,
            init: Duration::from_micros(info.init_micros),
        })
    }

    /// Makes a machine with a kernel of its own unique: after its start, and after each restore
    /// from a snapshot, before anything else is asked of it.
    ///
    /// # Errors
    /// Refused by an agent that shares the host's kernel, and when something can't be set.
    pub async fn renew(&self, renewal: &Renewal) -> Result<(), GuestError> {
        let interface = renewal.interface.as_ref().map(|interface| wire::Interface {
            mac: Bytes::from(interface.mac.map_or_else(Vec::new, |mac| mac.to_vec())),
            address: Bytes::copy_from_slice(&interface.address.octets()),
            prefix_length: interface.prefix_length.into(),
            gateway: interface
                .gateway
                .map_or_else(Bytes::new, |gateway| Bytes::copy_from_slice(&gateway.octets())),
            name_servers: interface.name_servers.iter().map(ToString::to_string).collect(),
        });
        let request = wire::RenewRequest {
            hostname: renewal.hostname.clone(),
            entropy: Bytes::from(renewal.entropy.clone()),
            unix_micros: u64::try_from(renewal.now.as_micros()).unwrap_or(u64::MAX),
            machine_id: renewal.machine_id.clone(),
            boot_id: renewal.boot_id.clone(),
            interface,
        };
        let answer = self.rpc().renew(request).await;
        answer.map(drop).map_err(|status| failure("renewing", "the machine", &status))
    }

    /// Ends all processes (TERM, then KILL after `grace`) and the agent.
    ///
    /// # Errors
    /// When the agent is lost before it has answered.
    pub async fn shutdown(&self, grace: Duration) -> Result<(), GuestError> {
        let grace_millis = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        let answer = self.rpc().shutdown(ShutdownRequest { grace_millis }).await;
        answer.map(drop).map_err(|status| failure("ending", "the machine", &status))
    }

    /// Whether the stream to the agent is known to be over, as when the machine has died. Costs no call.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.over.is_cancelled()
    }

    /// Waits until the stream to the agent is over. Who waits does not keep it open, as a clone would.
    pub fn over(&self) -> WaitForCancellationFutureOwned {
        self.over.clone().cancelled_owned()
    }

    /// A handle for one call.
    fn rpc(&self) -> AgentClient<Channel> {
        self.rpc.clone()
    }
}
