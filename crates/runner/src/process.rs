//! Runs one process of a step, and ends it when it shall end.

use std::time::Duration;

use guest::client::{Exec, ExecEvent, ExecSpec, ExitStatus, Guest, GuestError};
use model::Stream;
use tokio::time::{Instant, sleep_until};

use crate::cancel::Cancellation;

/// A process has this long after SIGINT: GitHub's figure.
const INTERRUPT_GRACE: Duration = Duration::from_millis(7500);

/// And this long after SIGTERM: GitHub's figure.
const TERMINATE_GRACE: Duration = Duration::from_millis(2500);

/// The agent has this long to report the end of a killed process.
const KILL_GRACE: Duration = Duration::from_secs(10);

const SIGINT: i32 = 2;
const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;

/// What ends a process before it ends by itself.
#[derive(Clone, Debug)]
pub(crate) struct Stop {
    /// The job's cancellation.
    pub(crate) cancellation: Cancellation,
    /// Whether a cancellation ends the step at all: one with `if: always()` goes on.
    pub(crate) on_cancel: bool,
    /// When the time of the step is up.
    pub(crate) deadline: Option<Instant>,
}

impl Stop {
    /// The same, ended by the earlier of two deadlines.
    pub(crate) fn with_deadline(&self, deadline: Option<Instant>) -> Stop {
        let earliest = [self.deadline, deadline].into_iter().flatten().min();
        Stop { deadline: earliest, ..self.clone() }
    }

    /// The first reason to stop, when it comes.
    pub(crate) async fn stopped(&self) -> StopReason {
        let cancelled = async {
            match self.on_cancel {
                true => self.cancellation.cancelled().await,
                false => std::future::pending().await,
            }
        };
        let timed_out = async {
            match self.deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.cancellation.killed() => StopReason::Killed,
            () = cancelled => StopReason::Cancelled,
            () = timed_out => StopReason::TimedOut,
        }
    }
}

/// Why a process was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StopReason {
    /// The job was cancelled.
    Cancelled,
    /// Everything ends now.
    Killed,
    /// The step's time was up.
    TimedOut,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProcessEnd {
    /// By itself, with this code; 128 and more for a signal, as shells count.
    Exited(i32),
    /// It was ended.
    Stopped(StopReason),
}

/// A process that is over.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    /// How.
    pub(crate) end: ProcessEnd,
    /// Sizes of the files that the agent was to report; empty if it could not.
    pub(crate) sizes: Vec<u64>,
    /// Whether it failed while the machine's memory ran out.
    pub(crate) out_of_memory: bool,
}

/// Takes what a process prints.
pub(crate) trait OutputReader {
    /// A chunk, in the order in which the machine read it. `Err`: the machine failed on the way.
    fn read(&mut self, stream: Stream, chunk: &[u8]) -> impl Future<Output = Result<(), GuestError>> + Send;
}

/// Runs a process to its end.
pub(crate) async fn run(
    guest: &Guest,
    spec: ExecSpec,
    stop: &Stop,
    output: &mut (impl OutputReader + Send),
) -> Result<Ended, GuestError> {
    let mut exec = guest.exec(spec).await?;
    let mut ladder = Ladder::default();
    loop {
        let event = tokio::select! {
            biased;
            signal = ladder.next(stop) => {
                match signal {
                    Rung::Signal(signal) => send(&exec, signal).await?,
                    Rung::GiveUp => {
                        let end = ProcessEnd::Stopped(ladder.reason());
                        return Ok(Ended { end, sizes: Vec::new(), out_of_memory: false });
                    }
                }
                continue;
            }
            event = exec.next() => event?,
        };
        match event {
            Some(ExecEvent::Stdout(chunk)) => output.read(Stream::Stdout, &chunk).await?,
            Some(ExecEvent::Stderr(chunk)) => output.read(Stream::Stderr, &chunk).await?,
            Some(ExecEvent::Exited(status)) => {
                let (end, sizes) = (ladder.end(status), exec.sizes().to_vec());
                return Ok(Ended { end, sizes, out_of_memory: exec.out_of_memory() });
            }
            None => {
                return Err(GuestError::Lost {
                    operation: "running a process",
                    reason: "the agent closed the stream before it said how the process ended".to_owned(),
                });
            }
        }
    }
}

/// A process that has ended meanwhile needs no signal.
async fn send(exec: &Exec, signal: i32) -> Result<(), GuestError> {
    match exec.signal(signal).await {
        Err(lost @ GuestError::Lost { .. }) => Err(lost),
        _ => Ok(()),
    }
}

/// From SIGINT to SIGTERM to SIGKILL.
#[derive(Default)]
struct Ladder {
    reason: Option<StopReason>,
    /// When the next rung comes, and which.
    next: Option<(Instant, u8)>,
}

enum Rung {
    Signal(i32),
    GiveUp,
}

impl Ladder {
    async fn next(&mut self, stop: &Stop) -> Rung {
        let Some((at, rung)) = self.next else {
            let reason = stop.stopped().await;
            self.reason = Some(reason);
            return match reason {
                StopReason::Killed => self.climb(KILL_GRACE, 2, SIGKILL),
                _ => self.climb(INTERRUPT_GRACE, 0, SIGINT),
            };
        };
        if rung < 2 {
            tokio::select! {
                () = stop.cancellation.killed() => {
                    self.reason = Some(StopReason::Killed);
                    return self.climb(KILL_GRACE, 2, SIGKILL);
                }
                () = sleep_until(at) => {}
            }
        } else {
            sleep_until(at).await;
        }
        match rung {
            0 => self.climb(TERMINATE_GRACE, 1, SIGTERM),
            1 => self.climb(KILL_GRACE, 2, SIGKILL),
            _ => Rung::GiveUp,
        }
    }

    fn climb(&mut self, grace: Duration, rung: u8, signal: i32) -> Rung {
        self.next = Some((Instant::now() + grace, rung));
        Rung::Signal(signal)
    }

    fn reason(&self) -> StopReason {
        self.reason.unwrap_or(StopReason::Killed)
    }

    fn end(&self, status: ExitStatus) -> ProcessEnd {
        match (self.reason, status) {
            (Some(reason), _) => ProcessEnd::Stopped(reason),
            (None, ExitStatus::Code(code)) => ProcessEnd::Exited(code),
            (None, ExitStatus::Signal(signal)) => ProcessEnd::Exited(128 + signal),
            (None, ExitStatus::TimedOut) => ProcessEnd::Stopped(StopReason::TimedOut),
        }
    }
}
