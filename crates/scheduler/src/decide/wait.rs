//! Why somebody waits, in words.

use std::fmt;
use std::time::Duration;

use model::Timestamp;

use crate::environment::moment;
use crate::queue::line::{Member, Stage};
use crate::queue::room::Shortage;
use crate::queue::{Closed, Hold, Key, Queue, Subject};

use super::admit::{JobRoom, RunRoom};
use super::{contest_of_jobs, contest_of_runs};

/// Somebody who waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Who.
    pub subject: Subject,
    /// For what.
    pub reason: WaitReason,
    /// Its place among the runs, or among the jobs, that start as soon as there is room, from 1; none while
    /// something else keeps it from that.
    pub place: Option<usize>,
}

/// For what somebody waits. `Display` is a clause that goes on from the name of who waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaitReason {
    /// Somebody must approve it.
    Approval,
    /// Somebody must let it into this environment.
    Environment(String),
    /// It waits before its environment as long as that says.
    Timer {
        /// Which.
        environment: String,
        /// Until when.
        until: Timestamp,
    },
    /// Its concurrency group belongs to another.
    Group {
        /// The group.
        group: String,
        /// To whom.
        holder: Subject,
        /// How many wait before it.
        ahead: usize,
    },
    /// It is tried again after its machine has failed, what its plan needs could not be had, or the store could not be
    /// read.
    Retry {
        /// Still to wait.
        wait: Duration,
        /// Why the last try failed.
        after: String,
    },
    /// Nothing new starts: the server is about to stop, or paused.
    Draining,
    /// Nothing new starts: the disk is nearly full.
    DiskLow(String),
    /// As many runs have started as may.
    RunningWorkflows {
        /// So many.
        running: usize,
        /// May.
        limit: usize,
    },
    /// As many jobs have started as may.
    Jobs {
        /// So many.
        running: usize,
        /// May.
        limit: usize,
    },
    /// As many jobs of this repository have started as may.
    RepositoryJobs {
        /// So many.
        running: usize,
        /// May.
        limit: usize,
    },
    /// Its machine does not fit beside those that run.
    Room {
        /// Where.
        whose: Whose,
        /// What there is too little of.
        shortage: Shortage,
    },
    /// Its machine would fit, but another was first, whose machine does not; nobody passes that one.
    Behind {
        /// The other.
        first: Subject,
    },
    /// Nothing: it is about to start.
    Next,
}

/// Whose room there is too little of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// That of a profile.
    Profile(String),
    /// That of the host.
    Host,
}

/// Everybody who waits, with the reason: those with a place first, in their order, then the others.
#[must_use]
pub fn waits(queue: &Queue, now: Timestamp) -> Vec<Wait> {
    let mut waits = waiting_runs(queue, now);
    waits.extend(waiting_jobs(queue, now));
    for line in [&queue.runs, &queue.jobs] {
        let others = line.iter().filter_map(|(subject, member)| held_back(queue, subject, member, now));
        waits.extend(others);
    }
    waits
}

fn waiting_runs(queue: &Queue, now: Timestamp) -> Vec<Wait> {
    let mut contest = contest_of_runs(queue, now);
    let mut room = RunRoom::new(queue);
    let mut waits = Vec::new();
    while let Some(next) = contest.next() {
        let reason = closed(queue).or_else(|| room.take().err()).unwrap_or(WaitReason::Next);
        contest.started(next);
        waits.push(Wait { subject: next.id, reason, place: Some(waits.len() + 1) });
    }
    waits
}

fn waiting_jobs(queue: &Queue, now: Timestamp) -> Vec<Wait> {
    let mut contest = contest_of_jobs(queue, now);
    let mut room = JobRoom::new(queue);
    let mut waits = Vec::new();
    while let Some(next) = contest.next() {
        let reason = closed(queue).or_else(|| room.take(&next).err()).unwrap_or(WaitReason::Next);
        contest.started(next);
        waits.push(Wait { subject: next.id, reason, place: Some(waits.len() + 1) });
    }
    waits
}

fn closed(queue: &Queue) -> Option<WaitReason> {
    Some(match queue.limits.closed.as_ref()? {
        Closed::Draining => WaitReason::Draining,
        Closed::DiskLow(left) => WaitReason::DiskLow(left.clone()),
    })
}

/// The wait of somebody who does not compete yet.
fn held_back(queue: &Queue, subject: Subject, member: &Member, now: Timestamp) -> Option<Wait> {
    let reason = match (&member.stage, &member.retry) {
        (Stage::Approval, _) => match queue.hold(subject) {
            Some(Hold { environment, key: Key::Time { until } }) => {
                WaitReason::Timer { environment: environment.clone(), until: *until }
            }
            Some(Hold { environment, key: Key::Word { .. } }) => WaitReason::Environment(environment.clone()),
            None => WaitReason::Approval,
        },
        (Stage::Group, _) => {
            let groups = queue.groups.get(&member.lane.repository)?;
            let (waiting, group) = queue.awaited_group(subject)?;
            let (holder, ahead) = (queue.holder_shown(groups.holder(group)?), groups.ahead(waiting, group)?);
            WaitReason::Group { group: group.to_owned(), holder, ahead }
        }
        (Stage::Ready, Some(retry)) if !retry.is_due(now) => {
            WaitReason::Retry { wait: retry.not_before.since(now), after: retry.after.clone() }
        }
        _ => return None,
    };
    Some(Wait { subject, reason, place: None })
}

impl fmt::Display for WaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WaitReason::Approval => f.write_str("waits for approval"),
            WaitReason::Environment(name) => write!(f, "waits for approval to use the environment `{name}`"),
            WaitReason::Timer { environment, until } => {
                write!(f, "waits until {} before it uses the environment `{environment}`", moment(*until))
            }
            WaitReason::Group { group, holder, ahead: 0 } => {
                write!(f, "its concurrency group `{group}` is held by {holder}")
            }
            WaitReason::Group { group, holder, ahead } => {
                write!(
                    f,
                    "its concurrency group `{group}` is held by {holder}, and {ahead} more wait before it"
                )
            }
            WaitReason::Retry { wait, after } => {
                write!(f, "retry in {} s after: {after}", wait.as_millis().div_ceil(1000))
            }
            WaitReason::Draining => {
                f.write_str("the server starts nothing new: it is being stopped or paused")
            }
            WaitReason::DiskLow(left) => {
                write!(f, "the server starts nothing new: its disk is nearly full ({left})")
            }
            WaitReason::RunningWorkflows { running, limit } => {
                write!(f, "{running} of at most {limit} workflows are running")
            }
            WaitReason::Jobs { running, limit } => write!(f, "{running} of at most {limit} jobs are running"),
            WaitReason::RepositoryJobs { running, limit } => {
                write!(f, "{running} of at most {limit} jobs of its repository are running")
            }
            WaitReason::Room { whose: Whose::Profile(name), shortage } => {
                write!(f, "no room: profile {name} has {shortage}")
            }
            WaitReason::Room { whose: Whose::Host, shortage } => {
                write!(f, "no room: the host has {shortage}")
            }
            WaitReason::Behind { first } => {
                write!(f, "{first} was first, and there is no room yet for the machine that it needs")
            }
            WaitReason::Next => f.write_str("about to start"),
        }
    }
}
