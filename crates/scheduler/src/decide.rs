//! From the queue to commands, and to the reasons why others wait.

mod admit;
mod contest;
mod wait;

use model::{JobId, RunId, Timestamp};

use crate::queue::hold::DAYS_TO_ANSWER;
use crate::queue::{Placement, Queue, Subject};

pub use crate::queue::room::Shortage;
pub use wait::{Wait, WaitReason, Whose, waits};

use admit::{JobRoom, RunRoom};
use contest::Contest;

/// What the caller shall do. Each is said again until the queue is told that it was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Make the run's plan and begin; tell [`Queue::started`].
    StartRun(RunId),
    /// Lease a machine and run the job; tell [`Queue::started`].
    StartJob {
        /// Which.
        job: JobId,
        /// On what machine.
        placement: Placement,
    },
    /// The job has waited as long as its environment said: write that, and tell [`Queue::approved`]. Or it says something
    /// else by now: tell [`Queue::held`].
    LetIn(JobId),
    /// It waits for a time that was set before the clock was set back, or for people who were asked before that: set the
    /// time by this clock, write it, and tell [`Queue::held`] of a job, [`Queue::asked`] of a run; or [`Queue::approved`],
    /// if nothing asks it to wait any more.
    WaitAnew(Subject),
    /// Cancel the run. One that has not started is over: tell [`Queue::ended`]; otherwise [`Queue::told`].
    CancelRun {
        /// Which.
        run: RunId,
        /// Why, in a sentence.
        reason: String,
    },
    /// Cancel the job. One that has not started is over: tell [`Queue::ended`]; otherwise [`Queue::told`].
    CancelJob {
        /// Which.
        job: JobId,
        /// Why, in a sentence.
        reason: String,
    },
    /// End the job as failed: no machine will ever suit it. Tell [`Queue::ended`].
    Refuse {
        /// Which.
        job: JobId,
        /// Why, in a sentence that says what there is.
        reason: String,
    },
}

/// What is to be done now: who stops, then who starts, the first first. The same queue at the same time gives
/// the same commands.
#[must_use]
pub fn decide(queue: &Queue, now: Timestamp) -> Vec<Command> {
    let mut commands: Vec<Command> = stops(queue).chain(given_up(queue, now)).collect();
    commands.extend(queue.let_in(now).map(Command::LetIn));
    commands.extend(queue.astray(now).map(Command::WaitAnew));
    if queue.limits.closed.is_some() {
        return commands;
    }
    let mut contest = contest_of_runs(queue, now);
    let mut room = RunRoom::new(queue);
    while let Some(next) = contest.next() {
        if room.take().is_err() {
            break;
        }
        contest.started(next);
        if let Subject::Run(run) = next.id {
            commands.push(Command::StartRun(run));
        }
    }
    let mut contest = contest_of_jobs(queue, now);
    let mut room = JobRoom::new(queue);
    while let Some(next) = contest.next() {
        match room.take(&next) {
            Err(reason) => reason.close(&mut contest, &next),
            Ok(placement) => {
                contest.started(next);
                if let Subject::Job(job) = next.id {
                    commands.push(Command::StartJob { job, placement: placement.clone() });
                }
            }
        }
    }
    commands
}

fn stops(queue: &Queue) -> impl Iterator<Item = Command> {
    let untold = queue.runs.untold().chain(queue.jobs.untold()).map(|(subject, reason)| match subject {
        Subject::Run(run) => Command::CancelRun { run, reason: reason.to_owned() },
        Subject::Job(job) => Command::CancelJob { job, reason: reason.to_owned() },
    });
    let refused = queue.jobs.refused().filter_map(|subject| {
        let Subject::Job(job) = subject else { return None };
        let reason = queue.asked.get(&job)?.placement.as_ref().err()?.to_string();
        Some(Command::Refuse { job, reason })
    });
    untold.chain(refused)
}

/// Those that people were to let go on and have not.
fn given_up(queue: &Queue, now: Timestamp) -> impl Iterator<Item = Command> {
    queue.given_up(now).map(move |subject| match subject {
        Subject::Run(run) => {
            Command::CancelRun { run, reason: format!("nobody has approved it within {DAYS_TO_ANSWER} days") }
        }
        Subject::Job(job) => {
            let environment = queue.hold(subject).map_or("its environment", |hold| hold.environment.as_str());
            let reason = format!("nobody has let it into {environment} within {DAYS_TO_ANSWER} days");
            Command::Refuse { job, reason }
        }
    })
}

fn contest_of_runs(queue: &Queue, now: Timestamp) -> Contest<'_> {
    let runs = &queue.runs;
    Contest::new(&runs.lanes, runs.due(now), &runs.shares, &runs.turns, now)
}

fn contest_of_jobs(queue: &Queue, now: Timestamp) -> Contest<'_> {
    let jobs = &queue.jobs;
    Contest::new(&jobs.lanes, jobs.due(now), &jobs.shares, &jobs.turns, now)
}
