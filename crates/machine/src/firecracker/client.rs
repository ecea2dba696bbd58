//! Calls to one Firecracker process over its Unix socket.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use model::MachineId;
use serde::Deserialize;

use super::api::{Call, CreateSnapshot, LoadSnapshot, RunState, Wire};
use super::life::Life;
use super::socket;

/// How long an ordinary call may take. Firecracker answers in milliseconds; a swapping host takes longer.
const CALL_DEADLINE: Duration = Duration::from_secs(10);

/// How long calls may take that read or write a guest's memory, or map it.
const MEMORY_DEADLINE: Duration = Duration::from_secs(300);

/// Longest answer that is read: a VM's description is below 1 KiB, a fault's message some hundred bytes.
const ANSWER_BYTES: usize = 64 * 1024;

/// What of an answer that is not what it should be is shown.
const SHOWN_CHARS: usize = 200;

/// The only type that bodies have.
const JSON: &str = "application/json";

/// The API of one Firecracker process. It follows the process's life: a call that the life does
/// not allow is an error before anything is sent.
#[derive(Debug)]
pub struct Client {
    vm: MachineId,
    socket: PathBuf,
    life: Life,
    deadline: Option<Duration>,
}

/// Why a call failed. Each names the VM and the call.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The VM's life does not allow it now. Nothing was sent.
    #[error("VM {vm}: {call} is not possible while the VM is {life}")]
    OutOfTurn {
        /// Which VM.
        vm: MachineId,
        /// Method and path.
        call: String,
        /// How the VM stands.
        life: Life,
    },
    /// Firecracker answered that it can't.
    #[error("VM {vm}: {call}: Firecracker refused ({status}): {fault}")]
    Refused {
        /// Which VM.
        vm: MachineId,
        /// Method and path.
        call: String,
        /// The status of the answer.
        status: u16,
        /// Firecracker's own words (`fault_message`).
        fault: String,
    },
    /// No answer: the process is gone, or does not listen.
    #[error("VM {vm}: {call}: no answer on {}: {reason}", socket.display())]
    Unreachable {
        /// Which VM.
        vm: MachineId,
        /// Method and path.
        call: String,
        /// Where Firecracker should listen.
        socket: PathBuf,
        /// What the transport said.
        reason: String,
    },
    /// No answer in time.
    #[error("VM {vm}: {call}: no answer within {} s", deadline.as_secs_f64())]
    Late {
        /// Which VM.
        vm: MachineId,
        /// Method and path.
        call: String,
        /// How long it was waited for.
        deadline: Duration,
    },
    /// An answer that can't be one of Firecracker's.
    #[error("VM {vm}: {call}: the answer can't be understood: {reason}")]
    Unreadable {
        /// Which VM.
        vm: MachineId,
        /// Method and path.
        call: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// What Firecracker says of a VM.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Description {
    /// Its id.
    pub id: String,
    /// `Not started`, `Running`, or `Paused`.
    pub state: String,
    /// Firecracker's version.
    pub vmm_version: String,
}

#[derive(Deserialize)]
struct Fault {
    fault_message: String,
}

impl Client {
    /// A client for a process that was just started and listens, or will, on `socket`.
    pub fn new(vm: MachineId, socket: impl Into<PathBuf>) -> Self {
        Self { vm, socket: socket.into(), life: Life::Fresh, deadline: None }
    }

    /// The same, with another bound for every call: tests of slow servers are not slow themselves.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// The same for a process that was not just started.
    #[must_use]
    pub fn assume(mut self, life: Life) -> Self {
        self.life = life;
        self
    }

    /// How the VM stands.
    #[must_use]
    pub fn life(&self) -> Life {
        self.life
    }

    /// Where the process listens.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Tells that the process is gone: no call is possible any more.
    pub fn ended(&mut self) {
        self.life = Life::Ended;
    }

    /// Configures something, or starts, pauses, resumes: a call whose answer is only that it worked.
    pub async fn call(&mut self, call: &Call) -> Result<(), ApiError> {
        self.answer(call).await.map(drop)
    }

    /// Asks how the VM is.
    pub async fn describe(&mut self) -> Result<Description, ApiError> {
        let call = Call::Describe;
        let answer = self.answer(&call).await?;
        serde_json::from_slice(&answer).map_err(|error| self.unreadable(&call, &answer, &error.to_string()))
    }

    /// Stops the guest's CPUs.
    pub async fn pause(&mut self) -> Result<(), ApiError> {
        self.call(&Call::PatchVm(RunState::Paused)).await
    }

    /// Lets the guest's CPUs go on.
    pub async fn resume(&mut self) -> Result<(), ApiError> {
        self.call(&Call::PatchVm(RunState::Resumed)).await
    }

    /// Writes the paused guest to files.
    pub async fn create_snapshot(&mut self, snapshot: CreateSnapshot) -> Result<(), ApiError> {
        self.call(&Call::CreateSnapshot(snapshot)).await
    }

    /// Reads a guest from files. A refusal is the process's end.
    pub async fn load_snapshot(&mut self, snapshot: LoadSnapshot) -> Result<(), ApiError> {
        self.call(&Call::LoadSnapshot(snapshot)).await
    }

    async fn answer(&mut self, call: &Call) -> Result<Bytes, ApiError> {
        let Some(next) = self.life.after(call) else {
            return Err(ApiError::OutOfTurn { vm: self.vm.clone(), call: call.name(), life: self.life });
        };
        let wire = call.wire().map_err(|error| self.unreadable(call, &[], &error.to_string()))?;
        let deadline = self.deadline.unwrap_or_else(|| deadline(call));
        let answer = match tokio::time::timeout(deadline, self.exchange(call, wire)).await {
            Err(_) => Err(ApiError::Late { vm: self.vm.clone(), call: call.name(), deadline }),
            Ok(answer) => answer,
        };
        self.life = match &answer {
            Ok(_) => next,
            Err(ApiError::Refused { .. }) => self.life.after_refusal(call),
            // Whether it was carried out is not known: nothing can be built on this VM any more.
            Err(_) => Life::Ended,
        };
        answer
    }

    async fn exchange(&self, call: &Call, wire: Wire) -> Result<Bytes, ApiError> {
        let lost = |reason: String| ApiError::Unreachable {
            vm: self.vm.clone(),
            call: call.name(),
            socket: self.socket.clone(),
            reason,
        };
        let stream = socket::connect(&self.socket).await.map_err(|error| lost(error.to_string()))?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| lost(chain(&error)))?;
        // The connection moves only while it is polled, and has to go with the call that it serves.
        let sent = async {
            let request = request(wire).map_err(|error| lost(chain(&error)))?;
            let response = sender.send_request(request).await.map_err(|error| lost(chain(&error)))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), ANSWER_BYTES).collect().await;
            let body = body.map_err(|error| match error.downcast_ref::<LengthLimitError>() {
                Some(_) => self.unreadable(call, &[], &format!("more than {ANSWER_BYTES} bytes")),
                None => lost(error.to_string()),
            })?;
            Ok((status, body.to_bytes()))
        };
        let connection = async {
            // An end of the connection shows in the request too, and there with a better reason.
            let _ = connection.await;
            std::future::pending::<()>().await;
        };
        let (status, body) = tokio::select! {
            sent = sent => sent?,
            () = connection => return Err(lost("the connection ended".to_owned())),
        };
        self.judge(call, status, body)
    }

    fn judge(&self, call: &Call, status: StatusCode, body: Bytes) -> Result<Bytes, ApiError> {
        if status.is_success() {
            return Ok(body);
        }
        let fault = match serde_json::from_slice::<Fault>(&body) {
            Ok(fault) => fault.fault_message,
            Err(_) => format!("without a reason: {}", shown(&body)),
        };
        Err(ApiError::Refused { vm: self.vm.clone(), call: call.name(), status: status.as_u16(), fault })
    }

    fn unreadable(&self, call: &Call, answer: &[u8], reason: &str) -> ApiError {
        let reason =
            if answer.is_empty() { reason.to_owned() } else { format!("{reason}: {}", shown(answer)) };
        ApiError::Unreadable { vm: self.vm.clone(), call: call.name(), reason }
    }
}

fn request(wire: Wire) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
    let request = Request::builder()
        .method(wire.method)
        .uri(wire.path)
        // HTTP wants a host; on a Unix socket any will do.
        .header(header::HOST, "localhost")
        .header(header::ACCEPT, JSON);
    match wire.body {
        Some(body) => request.header(header::CONTENT_TYPE, JSON).body(Full::new(body.to_string().into())),
        None => request.body(Full::new(Bytes::new())),
    }
}

fn deadline(call: &Call) -> Duration {
    match call {
        Call::CreateSnapshot(_) | Call::LoadSnapshot(_) | Call::Start => MEMORY_DEADLINE,
        _ => CALL_DEADLINE,
    }
}

/// An error with what stands behind it: hyper's own words alone say little.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

fn shown(bytes: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(bytes).chars().take(SHOWN_CHARS).collect();
    format!("{text:?}")
}
