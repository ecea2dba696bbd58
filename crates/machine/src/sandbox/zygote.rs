//! The zygote: the process of which keepers are forked, one for each machine.
//!
//! To execute a large program costs more than to fork a small process, and Hearth itself can't
//! fork: it has many threads, and secrets in its memory. So the first machine of a driver starts
//! the program anew once, with an empty environment. That process does nothing but wait for
//! orders and fork; it never hears what a machine is like.
//!
//! ```text
//! hearth ── zygote ──┬ keeper ── machine
//!                    └ keeper ── machine
//! ```
//!
//! An order is one byte with three descriptors: the keeper's control stream, the agent's stream,
//! and where last words go. When the driver lets go of the orders' stream, the zygote ends; its
//! keepers live on as long as their own streams.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, PipeReader, PipeWriter};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use tokio::process::{Child, Command};

use super::keeper::{fork, shut_all_but};
use super::{KEEPER_ARGUMENT, KeeperProgram};

/// Descriptors in an order.
const DESCRIPTORS: usize = 3;

/// The driver's end: starts the zygote when it is first needed, and anew when it has died.
#[derive(Debug)]
pub(super) struct Zygote {
    program: KeeperProgram,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    orders: UnixStream,
    _process: Child,
}

/// The driver's ends of what a new keeper got.
pub(super) struct Hatched {
    pub(super) control: UnixStream,
    pub(super) agent: UnixStream,
    pub(super) last_words: PipeReader,
}

impl Zygote {
    pub(super) fn new(program: KeeperProgram) -> Self {
        Zygote { program, running: Mutex::new(None) }
    }

    /// What it is started from.
    pub(super) fn program(&self) -> &Path {
        &self.program.program
    }

    /// A new keeper.
    pub(super) fn hatch(&self) -> io::Result<Hatched> {
        let (control, keeper_control) = UnixStream::pair()?;
        let (agent, keeper_agent) = UnixStream::pair()?;
        let (last_words, words) = io::pipe()?;
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let ordered = match &*running {
            Some(zygote) => zygote.order(&keeper_control, &keeper_agent, &words),
            None => Err(io::ErrorKind::NotConnected.into()),
        };
        if ordered.is_err() {
            let zygote = Running::start(&self.program, &words)?;
            zygote.order(&keeper_control, &keeper_agent, &words)?;
            *running = Some(zygote);
        }
        Ok(Hatched { control, agent, last_words })
    }
}

impl Running {
    /// Starts a zygote. What it says itself goes where the words of its first keeper go.
    fn start(program: &KeeperProgram, words: &PipeWriter) -> io::Result<Running> {
        let (orders, theirs) = UnixStream::pair()?;
        let process = Command::new(&program.program)
            .args(&program.args)
            .arg(KEEPER_ARGUMENT)
            // Nothing of our environment may be found in a machine.
            .env_clear()
            .current_dir("/")
            // Ctrl-C on our terminal is for us: machines must live on to run `always()` steps.
            .process_group(0)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::from(words.try_clone()?))
            .spawn()?;
        Ok(Running { orders, _process: process })
    }

    fn order(&self, control: &UnixStream, agent: &UnixStream, words: &PipeWriter) -> io::Result<()> {
        let descriptors = [control.as_fd(), agent.as_fd(), words.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut buffer = SendAncillaryBuffer::new(&mut space);
        buffer.push(SendAncillaryMessage::ScmRights(&descriptors));
        sendmsg(&self.orders, &[IoSlice::new(&[0])], &mut buffer, SendFlags::NOSIGNAL)?;
        Ok(())
    }
}

/// What a keeper begins with.
pub(super) struct Streams {
    /// From the driver: what to keep. Its end is the order to end.
    pub(super) control: UnixStream,
    /// To the driver, from the machine's agent.
    pub(super) agent: UnixStream,
}

/// Becomes the zygote. Returns in each keeper, with its streams, and in the zygote itself, with
/// nothing, when the driver is gone.
///
/// Must be called before the process has a second thread.
pub(super) fn become_zygote() -> io::Result<Option<Streams>> {
    let orders = take_orders()?;
    let ended = SignalFd::with_flags(&ends_of_children()?, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    loop {
        let mut waits =
            [PollFd::new(orders.as_fd(), PollFlags::POLLIN), PollFd::new(ended.as_fd(), PollFlags::POLLIN)];
        poll(&mut waits, PollTimeout::NONE)?;
        let ordered = waits[0].any() == Some(true);
        bury(&ended)?;
        if !ordered {
            continue;
        }
        let Some(order) = Order::next(&orders)? else { return Ok(None) };
        // Where a keeper can't be forked, its streams end, and the driver knows.
        if let Ok(None) = fork() {
            return order.fulfil().map(Some);
        }
        // What the zygote says before its first keeper goes to that one's words; later it has nothing to say.
        nix::unistd::dup2_stderr(&null()?)?;
    }
}

/// Takes the orders' stream from standard input, and shuts every other descriptor: whatever the
/// caller of Hearth left open must not reach a job.
fn take_orders() -> io::Result<UnixStream> {
    let orders = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    // Fails if it is no socket.
    orders.peer_addr()?;
    let null = null()?;
    nix::unistd::dup2_stdin(&null)?;
    nix::unistd::dup2_stdout(&null)?;
    drop(null);
    shut_all_but(&[0, 1, 2, orders.as_raw_fd()])?;
    Ok(orders)
}

fn null() -> io::Result<File> {
    File::options().read(true).write(true).open("/dev/null")
}

/// The signal by which a child says that it has ended, which is blocked from now on.
fn ends_of_children() -> io::Result<SigSet> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGCHLD);
    signals.thread_block()?;
    Ok(signals)
}

/// Collects the keepers that have ended.
fn bury(ended: &SignalFd) -> io::Result<()> {
    if ended.read_signal()?.is_some() {
        while let Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..)) =
            waitpid(None, Some(WaitPidFlag::WNOHANG))
        {}
    }
    Ok(())
}

/// An order as it arrived.
struct Order {
    control: OwnedFd,
    agent: OwnedFd,
    words: OwnedFd,
}

impl Order {
    /// The next one; `None` when the driver is gone.
    fn next(orders: &UnixStream) -> io::Result<Option<Order>> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut buffer = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0];
        let mut bytes = [IoSliceMut::new(&mut byte)];
        if recvmsg(orders, &mut bytes, &mut buffer, RecvFlags::CMSG_CLOEXEC)?.bytes == 0 {
            return Ok(None);
        }
        let descriptors = buffer.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
            _ => None,
        });
        let descriptors: Vec<OwnedFd> = descriptors.flatten().collect();
        let [control, agent, words] =
            descriptors.try_into().map_err(|_| io::Error::other("an order without its descriptors"))?;
        Ok(Some(Order { control, agent, words }))
    }

    /// In the keeper: makes the process what it is to be.
    fn fulfil(self) -> io::Result<Streams> {
        let mut signals = SigSet::empty();
        signals.add(Signal::SIGCHLD);
        signals.thread_unblock()?;
        nix::unistd::dup2_stderr(&self.words)?;
        Ok(Streams { control: UnixStream::from(self.control), agent: UnixStream::from(self.agent) })
    }
}
