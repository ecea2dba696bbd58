//! One running process: its output out, its input in, its end told.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use nix::sys::termios::{SpecialCharacterIndices, tcgetattr};
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tonic::{Status, Streaming};

use super::children::{Children, Ended};
use super::files;
use super::memory::Killings;
use super::spawn::{Spawned, enlarge};
use crate::bounds::{CHUNK_BYTES, OUTPUT_LINGER, OUTPUT_QUIET};
use crate::wire::exec_request::Request;
use crate::wire::exec_response::Event;
use crate::wire::{ExecRequest, ExecResponse, Exited, TimedOut, exited};

/// Where a process's events go.
pub(super) type Events = mpsc::Sender<Result<ExecResponse, Status>>;

/// What a pipe is made to hold once its process has filled it: a flood then needs fewer turns.
const FLOOD_PIPE_BYTES: i32 = 1024 * 1024;

/// With less room than this a buffer is not used further: each read costs a turn.
const SMALLEST_READ_BYTES: usize = 8 * 1024;

/// Attends to a process until it is over and told so, or its caller is gone and it is killed.
/// What is returned may still be held open by processes that it left behind.
pub(super) async fn attend(
    children: Arc<Children>,
    spawned: Spawned,
    timeout: Option<Duration>,
    report: &[String],
    killings: Option<&Killings>,
    events: Events,
) -> Rest {
    let Spawned { pid, stdout, stderr, ended, .. } = spawned;
    let mut output = Output { stdout: Some(Source::new(stdout)), stderr: stderr.map(Source::new) };
    let timed_out = AtomicBool::new(false);
    tokio::select! {
        biased;
        () = watch(&children, pid, timeout, &timed_out, &events) => {}
        ended = relay(&mut output, ended, &events) => {
            if let Some(ended) = ended {
                let failed = ended != Ended::Code(0);
                let look = || killings.is_some_and(Killings::look);
                let told = Exited {
                    status: Some(status(ended, timed_out.load(Ordering::Relaxed))),
                    sizes: files::sizes(report),
                    out_of_memory: failed && look(),
                };
                let _ = events.send(Ok(ExecResponse { event: Some(Event::Exited(told)) })).await;
                // What a process got over is not the next one's. The kernel takes its time to count: the end is told
                // meanwhile.
                if !failed {
                    tokio::task::yield_now().await;
                    look();
                }
            }
        }
    }
    Rest(output)
}

/// Output of a process that is over.
pub(super) struct Rest(Output);

impl Rest {
    /// Reads to nowhere what background processes still write: a closed pipe would kill them.
    pub(super) async fn discard(mut self) {
        while self.0.open() {
            self.0.next().await;
        }
    }
}

/// Kills the process when its time is up, and when its caller is gone; returns in the second case.
async fn watch(
    children: &Children,
    pid: i32,
    timeout: Option<Duration>,
    timed_out: &AtomicBool,
    events: &Events,
) {
    let time_is_up = async {
        match timeout {
            Some(timeout) => tokio::time::sleep(timeout).await,
            None => pending().await,
        }
    };
    tokio::select! {
        () = events.closed() => {}
        () = time_is_up => {
            timed_out.store(true, Ordering::Relaxed);
            children.kill_tree(pid);
            events.closed().await;
        }
    }
    children.kill_tree(pid);
}

/// Passes on all output until the process is over and its output has ended or fallen quiet. What the process
/// itself wrote is read to its end, however slowly the caller takes it. `None`: the caller is gone.
async fn relay(output: &mut Output, mut ended: oneshot::Receiver<Ended>, events: &Events) -> Option<Ended> {
    let mut result = None;
    let mut give_up = None;
    loop {
        tokio::select! {
            event = output.next(), if output.open() => {
                if let Some(event) = event {
                    events.send(Ok(ExecResponse { event: Some(event) })).await.ok()?;
                }
            }
            status = &mut ended, if result.is_none() => {
                result = Some(status.ok()?);
                give_up = Some(Instant::now() + OUTPUT_LINGER);
                output.owe();
            }
            () = quiet(give_up), if !output.owes() => return result,
        }
        let out_of_time = give_up.is_some_and(|give_up| Instant::now() >= give_up);
        if result.is_some() && (out_of_time || !output.open()) && !output.owes() {
            return result;
        }
    }
}

/// Returns when nothing more is to be expected of processes that outlived the one we run.
async fn quiet(give_up: Option<Instant>) {
    match give_up {
        Some(give_up) => tokio::time::sleep_until(give_up.min(Instant::now() + OUTPUT_QUIET)).await,
        None => pending().await,
    }
}

fn status(ended: Ended, timed_out: bool) -> exited::Status {
    match ended {
        _ if timed_out => exited::Status::TimedOut(TimedOut {}),
        Ended::Code(code) => exited::Status::Code(code),
        Ended::Signal(signal) => exited::Status::Signal(signal),
    }
}

/// Both outputs of a process.
struct Output {
    stdout: Option<Source>,
    stderr: Option<Source>,
}

impl Output {
    fn open(&self) -> bool {
        self.stdout.is_some() || self.stderr.is_some()
    }

    /// Notes what the process has written, which is over: nothing of that may be left unread.
    fn owe(&mut self) {
        for source in [&mut self.stdout, &mut self.stderr].into_iter().flatten() {
            source.owed = source.unread();
        }
    }

    /// Whether something of that is still to be read.
    fn owes(&self) -> bool {
        [&self.stdout, &self.stderr].into_iter().flatten().any(Source::owes)
    }

    /// What was written next; `None` when one of both has ended.
    async fn next(&mut self) -> Option<Event> {
        tokio::select! {
            data = read(&mut self.stdout) => data.map(Event::Stdout),
            data = read(&mut self.stderr) => data.map(Event::Stderr),
        }
    }
}

/// Reads from a source, which is taken away at its end.
async fn read(place: &mut Option<Source>) -> Option<Bytes> {
    let Some(source) = place else { return pending().await };
    let data = source.read().await;
    if data.is_none() {
        *place = None;
    }
    data
}

/// One output of a process: a pipe, or its terminal.
struct Source {
    pipe: pipe::Receiver,
    buffer: BytesMut,
    enlarged: bool,
    /// Bytes that its process wrote before its end, and that are not read yet.
    owed: u64,
}

impl Source {
    fn new(pipe: pipe::Receiver) -> Self {
        Self { pipe, buffer: BytesMut::new(), enlarged: false, owed: 0 }
    }

    /// Bytes that can be read at once.
    fn unread(&self) -> u64 {
        rustix::io::ioctl_fionread(&self.pipe).unwrap_or(0)
    }

    /// Whether there is something to read that the process wrote. Others may have read it in our place.
    fn owes(&self) -> bool {
        self.owed > 0 && self.unread() > 0
    }

    /// Room in the buffer.
    fn spare(&self) -> usize {
        self.buffer.capacity() - self.buffer.len()
    }

    /// The next bytes; `None` at the end.
    async fn read(&mut self) -> Option<Bytes> {
        loop {
            // A terminal whose processes are gone fails instead of ending: EIO.
            self.pipe.readable().await.ok()?;
            if self.spare() < SMALLEST_READ_BYTES {
                self.buffer.reserve(CHUNK_BYTES);
            }
            match self.pipe.try_read_buf(&mut self.buffer) {
                Ok(0) => return None,
                Ok(length) => {
                    self.owed = self.owed.saturating_sub(length as u64);
                    if self.spare() == 0 && !self.enlarged {
                        enlarge(&self.pipe, FLOOD_PIPE_BYTES);
                        self.enlarged = true;
                    }
                    return Some(self.buffer.split().freeze());
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return None,
            }
        }
    }
}

/// Writes what the caller sends to the process, and tells it the end.
/// Once nobody reads any more, the rest goes nowhere, so that the caller does not wait for ever.
pub(super) async fn feed(
    mut stdin: pipe::Sender,
    first: Bytes,
    mut requests: Streaming<ExecRequest>,
    terminal: bool,
) {
    let mut broken = stdin.write_all(&first).await.is_err();
    drop(first);
    while let Ok(Some(request)) = requests.message().await {
        if let Some(Request::Stdin(data)) = request.request
            && !broken
        {
            broken = stdin.write_all(&data).await.is_err();
        }
    }
    if terminal && !broken {
        let _ = stdin.write_all(&[end_of_file(&stdin)]).await;
    }
}

/// The character that ends input on a terminal.
fn end_of_file(terminal: &pipe::Sender) -> u8 {
    const CONTROL_D: u8 = 4;
    tcgetattr(terminal)
        .map_or(CONTROL_D, |settings| settings.control_chars[SpecialCharacterIndices::VEOF as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long this caller takes for each piece: with the linger's time, it has read a part only.
    const SLOW: Duration = Duration::from_secs(2);

    #[tokio::test(start_paused = true)]
    async fn what_a_process_wrote_arrives_however_slowly_it_is_taken() {
        let (mut process, stdout) = pipe::pipe().unwrap();
        enlarge(&stdout, FLOOD_PIPE_BYTES);
        let written = vec![7; 8 * CHUNK_BYTES];
        process.write_all(&written).await.unwrap();
        let (tell, ended) = oneshot::channel();
        assert!(tell.send(Ended::Code(0)).is_ok());
        let (events, mut taken) = mpsc::channel(1);
        let relaying = tokio::spawn(async move {
            let mut output = Output { stdout: Some(Source::new(stdout)), stderr: None };
            relay(&mut output, ended, &events).await
        });
        let mut arrived = 0;
        while let Some(event) = taken.recv().await {
            let Some(Event::Stdout(data)) = event.unwrap().event else { panic!("no output") };
            arrived += data.len();
            tokio::time::sleep(SLOW).await;
        }
        // A background process holds the pipe open, and the caller is not kept waiting for it.
        assert_eq!((arrived, relaying.await.unwrap()), (written.len(), Some(Ended::Code(0))));
        drop(process);
    }
}
