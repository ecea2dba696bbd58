//! What the agent answers to each call.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::{Uid, gethostname};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming, async_trait};

use super::blocking::{self, Incoming, Outgoing};
use super::children::Children;
use super::memory::Killings;
use super::refusal::Refusal;
use super::spawn::{self, Spawned};
use super::{Options, exec, files, listen, renew, script, users};
use crate::archive::{self, UnpackError};
use crate::bounds::{BATCH_ENTRIES, PROTOCOL, QUEUED_MESSAGES};
use crate::carry::carry;
use crate::wire::agent_server::Agent;
use crate::wire::exec_request::Request as Input;
use crate::wire::exec_response::Event;
use crate::wire::*;

/// The agent's state that calls share, and connections.
#[derive(Clone)]
pub(super) struct Service {
    children: Arc<Children>,
    options: Options,
    running: Arc<Running>,
    /// Where the kernel is the machine's own: what it killed.
    killings: Option<Arc<Killings>>,
    waiting: Arc<listen::Waiting>,
    ending: CancellationToken,
}

/// Running processes by the number that the host knows them by.
#[derive(Default)]
struct Running {
    processes: Mutex<HashMap<u64, Process>>,
    last: AtomicU64,
}

struct Process {
    pid: i32,
    terminal: Option<std::os::fd::OwnedFd>,
}

impl Running {
    fn add(&self, process: Process) -> u64 {
        let exec = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        self.processes().insert(exec, process);
        exec
    }

    fn processes(&self) -> MutexGuard<'_, HashMap<u64, Process>> {
        self.processes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream of answers.
type Answers<T> = ReceiverStream<Result<T, Status>>;
type Answer<T> = Result<Response<T>, Status>;

impl Service {
    pub(super) fn new(children: Arc<Children>, options: Options) -> Self {
        Self {
            children,
            killings: options.init.map(|_| Arc::default()),
            options,
            running: Arc::default(),
            waiting: Arc::default(),
            ending: CancellationToken::new(),
        }
    }

    /// Cancelled when the host has asked for the agent's end and was answered.
    pub(super) fn ending(&self) -> CancellationToken {
        self.ending.clone()
    }

    /// Refuses if this agent plays a full disk.
    fn room_on_disk(&self, path: &str) -> Result<(), Refusal> {
        let full = self.options.full_disk.as_ref().is_some_and(|full| full.load(Ordering::Relaxed));
        if full { Err(Refusal::disk_full(path)) } else { Ok(()) }
    }

    fn start(
        &self,
        start: ExecStart,
        requests: Streaming<ExecRequest>,
    ) -> Result<Answers<ExecResponse>, Refusal> {
        let (events, answers) = mpsc::channel(QUEUED_MESSAGES);
        if let Some(played) = self.options.script.as_ref().and_then(|script| script::play(&**script, &start))
        {
            tokio::spawn(script::perform(played, events));
            return Ok(ReceiverStream::new(answers));
        }
        if let Some(file) = start.files.first() {
            self.room_on_disk(&file.path)?;
            // Few and small: another thread would cost more than they do.
            files::place(&start.files)?;
        }
        let timeout = (start.timeout_millis > 0).then(|| Duration::from_millis(start.timeout_millis));
        let mut spawned = spawn::spawn(&self.children, &start)?;
        let terminal = spawned.terminal.take();
        let on_terminal = terminal.is_some();
        let exec = self.running.add(Process { pid: spawned.pid, terminal });
        if let Some(stdin) = spawned.stdin.take() {
            tokio::spawn(exec::feed(stdin, start.stdin, requests, on_terminal));
        }
        tokio::spawn(self.attend(exec, spawned, timeout, start.report, events));
        Ok(ReceiverStream::new(answers))
    }

    fn attend(
        &self,
        exec: u64,
        spawned: Spawned,
        timeout: Option<Duration>,
        report: Vec<String>,
        events: exec::Events,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (children, running) = (Arc::clone(&self.children), Arc::clone(&self.running));
        let killings = self.killings.clone();
        async move {
            let started = ExecResponse { event: Some(Event::Started(Started { exec })) };
            let _ = events.send(Ok(started)).await;
            let rest = exec::attend(children, spawned, timeout, &report, killings.as_deref(), events).await;
            running.processes().remove(&exec);
            rest.discard().await;
        }
    }
}

/// The first message of a stream.
async fn first<M>(messages: &mut Streaming<M>) -> Result<M, Status> {
    let nothing = || Refusal::invalid("", "the call has no first message");
    messages.message().await?.ok_or_else(|| nothing().into())
}

#[async_trait]
impl Agent for Service {
    async fn info(&self, _: Request<InfoRequest>) -> Answer<InfoResponse> {
        let uid = Uid::effective();
        let user = users::by_uid(uid.as_raw());
        let own = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Ok(Response::new(InfoResponse {
            protocol: PROTOCOL,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            hostname: gethostname()
                .map_or_else(|_| String::new(), |name| name.to_string_lossy().into_owned()),
            arch: std::env::consts::ARCH.to_owned(),
            user: user.as_ref().map_or_else(|| uid.to_string(), |user| user.name.clone()),
            uid: uid.as_raw(),
            home: own("HOME").or_else(|| user.map(|user| user.home)).unwrap_or_else(|| "/".to_owned()),
            path: own("PATH").unwrap_or_else(|| USUAL_PATH.to_owned()),
            init_micros: self
                .options
                .init
                .map_or(0, |took| u64::try_from(took.as_micros()).unwrap_or(u64::MAX)),
        }))
    }

    type ExecStream = Answers<ExecResponse>;
    async fn exec(&self, request: Request<Streaming<ExecRequest>>) -> Answer<Self::ExecStream> {
        let mut requests = request.into_inner();
        let Some(Input::Start(start)) = first(&mut requests).await?.request else {
            return Err(Refusal::invalid("", "the first message does not name a program").into());
        };
        Ok(Response::new(self.start(start, requests)?))
    }

    async fn signal(&self, request: Request<SignalRequest>) -> Answer<SignalResponse> {
        let SignalRequest { exec, signal } = request.into_inner();
        let name = format!("signal {signal}");
        let signal = Signal::try_from(signal).map_err(|_| Refusal::invalid(&name, "no such signal"))?;
        let pid = self.running.processes().get(&exec).map(|process| process.pid);
        if let Some(pid) = pid {
            let sent = self.children.signal_group(pid, signal);
            sent.map_err(|error| Refusal::io(&name, &error.into()))?;
        }
        Ok(Response::new(SignalResponse {}))
    }

    async fn resize(&self, request: Request<ResizeRequest>) -> Answer<ResizeResponse> {
        let ResizeRequest { exec, size } = request.into_inner();
        let size = size.unwrap_or_default();
        if let Some(terminal) =
            self.running.processes().get(&exec).and_then(|process| process.terminal.as_ref())
        {
            spawn::resize(terminal, &size).map_err(|error| Refusal::io("the terminal", &error))?;
        }
        Ok(Response::new(ResizeResponse {}))
    }

    type ReadFileStream = Answers<Chunk>;
    async fn read_file(&self, request: Request<ReadFileRequest>) -> Answer<Self::ReadFileStream> {
        let ReadFileRequest { path, limit } = request.into_inner();
        Ok(Response::new(streamed(move |chunks| files::read(&path, limit, Outgoing::new(chunks)))))
    }

    async fn write_file(&self, request: Request<Streaming<WriteFileRequest>>) -> Answer<WriteFileResponse> {
        let mut requests = request.into_inner();
        let mut start = first(&mut requests).await?;
        let (path, mode) = (std::mem::take(&mut start.path), start.mode);
        self.room_on_disk(&path)?;
        let work = move |incoming: &mut Incoming| files::write(&path, mode, incoming);
        blocking::run_reading(start, requests, work).await?;
        Ok(Response::new(WriteFileResponse {}))
    }

    async fn create(&self, request: Request<CreateRequest>) -> Answer<CreateResponse> {
        let CreateRequest { directories, files } = request.into_inner();
        if let Some(path) = directories.first().or(files.first().map(|file| &file.path)) {
            self.room_on_disk(path)?;
        }
        // Few and small: another thread would cost more than they do.
        directories.iter().try_for_each(|path| files::make_dir(path))?;
        files::place(&files)?;
        Ok(Response::new(CreateResponse {}))
    }

    async fn remove(&self, request: Request<RemoveRequest>) -> Answer<RemoveResponse> {
        blocking::run(move || files::remove(&request.into_inner().path)).await?;
        Ok(Response::new(RemoveResponse {}))
    }

    async fn stat(&self, request: Request<StatRequest>) -> Answer<StatResponse> {
        let stat = files::stat(&request.into_inner().path)?;
        Ok(Response::new(StatResponse { stat }))
    }

    async fn find_program(&self, request: Request<FindProgramRequest>) -> Answer<FindProgramResponse> {
        let FindProgramRequest { names, path } = request.into_inner();
        let found = names.iter().find_map(|name| spawn::search(name, Path::new("/"), &path).ok());
        let path = found.map(|found| found.to_string_lossy().into_owned());
        Ok(Response::new(FindProgramResponse { path }))
    }

    type WalkStream = Answers<WalkResponse>;
    async fn walk(&self, request: Request<WalkRequest>) -> Answer<Self::WalkStream> {
        let WalkRequest { root, limit } = request.into_inner();
        Ok(Response::new(streamed(move |entries| files::walk(&root, limit, &entries))))
    }

    async fn digest(&self, request: Request<DigestRequest>) -> Answer<DigestResponse> {
        let paths = request.into_inner().paths;
        if paths.len() > BATCH_ENTRIES {
            return Err(Refusal::invalid("", format!("more than {BATCH_ENTRIES} files at once")).into());
        }
        let digests = blocking::run(move || paths.iter().map(|path| files::digest(path)).collect()).await?;
        Ok(Response::new(DigestResponse { digests }))
    }

    async fn archive_in(&self, request: Request<Streaming<ArchiveInRequest>>) -> Answer<ArchiveInResponse> {
        let mut requests = request.into_inner();
        let mut start = first(&mut requests).await?;
        let dest = std::mem::take(&mut start.dest);
        self.room_on_disk(&dest)?;
        let work = move |incoming: &mut Incoming| unpack(&dest, incoming);
        blocking::run_reading(start, requests, work).await?;
        Ok(Response::new(ArchiveInResponse {}))
    }

    type ArchiveOutStream = Answers<Chunk>;
    async fn archive_out(&self, request: Request<ArchiveOutRequest>) -> Answer<Self::ArchiveOutStream> {
        let root = request.into_inner().root;
        Ok(Response::new(streamed(move |chunks| {
            let packed = archive::pack(Path::new(&root), Outgoing::new(chunks));
            packed.map_err(|error| Refusal::io(&root, &error))
        })))
    }

    type ListenStream = Answers<ListenResponse>;
    async fn listen(&self, request: Request<ListenRequest>) -> Answer<Self::ListenStream> {
        let (listener, port) = listen::open(request.into_inner().port).await?;
        let (events, answers) = mpsc::channel(QUEUED_MESSAGES);
        tokio::spawn(listen::accept(listener, port, Arc::clone(&self.waiting), events));
        Ok(Response::new(ReceiverStream::new(answers)))
    }

    type CarryStream = Answers<CarryFrame>;
    async fn carry(&self, request: Request<Streaming<CarryFrame>>) -> Answer<Self::CarryStream> {
        let mut frames = request.into_inner();
        let connection = first(&mut frames).await?.connection;
        let unknown = || Refusal::invalid(format!("connection {connection}"), "no such connection");
        let socket = self.waiting.take(connection).ok_or_else(unknown)?;
        let (outgoing, answers) = mpsc::channel(QUEUED_MESSAGES);
        let gone = outgoing.clone();
        tokio::spawn(async move {
            tokio::select! {
                rest = carry(socket, frames, outgoing, Ok) => drop(rest),
                () = gone.closed() => {}
            }
        });
        Ok(Response::new(ReceiverStream::new(answers)))
    }

    async fn renew(&self, request: Request<RenewRequest>) -> Answer<RenewResponse> {
        if self.options.play_renewals {
            return Ok(Response::new(RenewResponse {}));
        }
        if self.options.init.is_none() {
            return Err(Refusal::invalid("the machine", "it shares its kernel with the host").into());
        }
        blocking::run(move || renew::renew(&request.into_inner())).await?;
        Ok(Response::new(RenewResponse {}))
    }

    async fn shutdown(&self, request: Request<ShutdownRequest>) -> Answer<ShutdownResponse> {
        self.children.end_all(Duration::from_millis(request.into_inner().grace_millis)).await;
        self.ending.cancel();
        Ok(Response::new(ShutdownResponse {}))
    }
}

/// `PATH` of a machine whose agent was given none: Debian's for root.
const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Does blocking work whose results stream out; its refusal is the last of them.
fn streamed<T: Send + 'static>(
    work: impl FnOnce(mpsc::Sender<Result<T, Status>>) -> Result<(), Refusal> + Send + 'static,
) -> Answers<T> {
    let (sender, answers) = mpsc::channel(QUEUED_MESSAGES);
    tokio::task::spawn_blocking(move || {
        if let Err(refusal) = work(sender.clone()) {
            let _ = sender.blocking_send(Err(refusal.into()));
        }
    });
    ReceiverStream::new(answers)
}

fn unpack(dest: &str, incoming: &mut Incoming) -> Result<(), Refusal> {
    if !dest.starts_with('/') {
        return Err(Refusal::invalid(dest, "not an absolute path"));
    }
    archive::unpack(Path::new(dest), incoming).map_err(|error| match error {
        UnpackError::Refused { .. } => Refusal::invalid(dest, error.to_string()),
        UnpackError::Io { member, source } => Refusal::io(member, &source),
    })
}
