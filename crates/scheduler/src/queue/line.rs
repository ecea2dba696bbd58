//! All runs, or all jobs, each at its stage. The stages and their transitions are drawn at
//! [`Queue`](super::Queue).

use std::collections::{BTreeMap, BTreeSet};

use model::Timestamp;
use workflow::concurrency::Concurrency;

use super::lanes::{Lane, Lanes};
use super::share::Shares;
use super::turn::{PATIENCE, Turns};
use super::{Retry, Subject};

/// Where a run or a job stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Somebody must approve it.
    Approval,
    /// No machine suits it.
    Refused,
    /// Another holds its concurrency group.
    Group,
    /// It may start as soon as there is room.
    Ready,
    /// It has started, then.
    Started(Timestamp),
    /// It shall stop; if it had started, then.
    Stopping { started: Option<Timestamp>, reason: String },
}

/// One run or job.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) lane: Lane,
    pub(crate) queued_at: Timestamp,
    pub(crate) concurrency: Option<Concurrency>,
    pub(crate) retry: Option<Retry>,
    pub(crate) stage: Stage,
}

impl Member {
    pub(super) fn new(
        lane: Lane,
        queued_at: Timestamp,
        concurrency: Option<Concurrency>,
        retry: Option<Retry>,
    ) -> Member {
        Member { lane, queued_at, concurrency, retry, stage: Stage::Approval }
    }
}

/// All runs, or all jobs, with indexes by what is to be done with them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line {
    members: BTreeMap<Subject, Member>,
    /// Those who are ready and not tried again.
    pub(crate) lanes: Lanes,
    /// Those who are ready and tried again, by when that may be.
    later: BTreeSet<(Timestamp, Subject)>,
    /// Those who shall stop and were not told yet.
    untold: BTreeSet<Subject>,
    refused: BTreeSet<Subject>,
    running: usize,
    pub(crate) shares: Shares,
    pub(crate) turns: Turns,
}

impl Line {
    pub(crate) fn member(&self, id: Subject) -> Option<&Member> {
        self.members.get(&id)
    }

    pub(crate) fn stage(&self, id: Subject) -> Option<&Stage> {
        self.members.get(&id).map(|member| &member.stage)
    }

    pub(crate) fn is_started(&self, id: Subject) -> bool {
        self.stage(id).is_some_and(|stage| stage.started().is_some())
    }

    pub(super) fn awaits_group(&self, id: Subject) -> bool {
        self.stage(id) == Some(&Stage::Group)
    }

    pub(crate) fn running(&self) -> usize {
        self.running
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Subject, &Member)> {
        self.members.iter().map(|(id, member)| (*id, member))
    }

    pub(crate) fn untold(&self) -> impl Iterator<Item = (Subject, &str)> {
        self.untold.iter().filter_map(|id| match self.stage(*id)? {
            Stage::Stopping { reason, .. } => Some((*id, reason.as_str())),
            _ => None,
        })
    }

    pub(crate) fn refused(&self) -> impl Iterator<Item = Subject> {
        self.refused.iter().copied()
    }

    /// Those who are tried again and may be by now.
    pub(crate) fn due(&self, now: Timestamp) -> impl Iterator<Item = (Lane, Timestamp, Subject)> {
        // Those that nobody could have asked for by this clock come last; mostly there are none.
        let astray = Retry::latest(now);
        let due = self.later.iter().take_while(move |(at, _)| *at <= now);
        let due = due.chain(self.later.iter().rev().take_while(move |(at, _)| *at > astray));
        due.filter_map(|(_, id)| self.members.get(id).map(|member| (member.lane, member.queued_at, *id)))
    }

    pub(super) fn wakes_at(&self, now: Timestamp) -> Option<Timestamp> {
        self.later.iter().map(|(at, _)| *at).find(|at| *at > now)
    }

    /// Those who have not started and may still do.
    pub(super) fn waiting(&self) -> Vec<Subject> {
        let waits = |member: &Member| matches!(member.stage, Stage::Refused | Stage::Group | Stage::Ready);
        self.iter().filter(|(_, member)| waits(member)).map(|(id, _)| id).collect()
    }

    /// Whether it was new.
    pub(super) fn insert(&mut self, id: Subject, member: Member) -> bool {
        let new = !self.members.contains_key(&id);
        if new {
            self.members.insert(id, member);
        }
        new
    }

    /// It is as old as this from now on.
    pub(super) fn queued_anew(&mut self, id: Subject, at: Timestamp) {
        self.change(id, |member| member.queued_at = at);
    }

    pub(super) fn set_pool(&mut self, id: Subject, pool: usize) {
        self.change(id, |member| member.lane.pool = pool);
    }

    pub(super) fn refuse(&mut self, id: Subject) {
        self.change(id, |member| member.stage = Stage::Refused);
    }

    pub(super) fn await_group(&mut self, id: Subject) {
        self.change(id, |member| member.stage = Stage::Group);
    }

    pub(super) fn ready(&mut self, id: Subject) {
        self.change(id, |member| member.stage = Stage::Ready);
    }

    /// Whether it could.
    pub(super) fn start(&mut self, id: Subject, now: Timestamp) -> bool {
        let Some(member) = self.members.get(&id).filter(|member| member.stage == Stage::Ready) else {
            return false;
        };
        let Lane { pool, repository, .. } = member.lane;
        let due = self.turns.is_due() || self.turns.is_due_in(pool);
        self.turns.started(pool, due && now.since(member.queued_at) >= PATIENCE);
        self.shares.started(repository, now);
        self.running += 1;
        self.change(id, |member| member.stage = Stage::Started(now));
        true
    }

    /// Whether it could.
    pub(super) fn retry(&mut self, id: Subject, retry: Retry, now: Timestamp) -> bool {
        let Some(Stage::Started(since)) = self.stage(id).cloned() else { return false };
        self.stopped(id, since, now);
        self.change(id, |member| {
            member.retry = Some(retry);
            member.stage = Stage::Ready;
        });
        true
    }

    /// Whether it will therefore never start.
    pub(super) fn cancel(&mut self, id: Subject, reason: String) -> bool {
        let Some(stage) = self.stage(id) else { return false };
        if matches!(stage, Stage::Stopping { .. }) {
            return false;
        }
        let started = stage.started();
        self.change(id, |member| member.stage = Stage::Stopping { started, reason });
        self.untold.insert(id);
        started.is_none()
    }

    pub(super) fn told(&mut self, id: Subject) {
        self.untold.remove(&id);
    }

    pub(super) fn end(&mut self, id: Subject, now: Timestamp) {
        if let Some(since) = self.stage(id).and_then(Stage::started) {
            self.stopped(id, since, now);
        }
        if let Some(member) = self.members.get(&id).cloned() {
            self.unlist(id, &member);
        }
        self.members.remove(&id);
    }

    fn stopped(&mut self, id: Subject, since: Timestamp, now: Timestamp) {
        self.running = self.running.saturating_sub(1);
        if let Some(member) = self.members.get(&id) {
            self.shares.ended(member.lane.repository, since, now);
        }
    }

    /// The one way in which a member changes: the indexes follow.
    fn change(&mut self, id: Subject, change: impl FnOnce(&mut Member)) {
        let Some(mut member) = self.members.remove(&id) else { return };
        self.unlist(id, &member);
        change(&mut member);
        match (&member.stage, &member.retry) {
            (Stage::Ready, None) => self.lanes.insert(member.lane, member.queued_at, id),
            (Stage::Ready, Some(retry)) => {
                self.later.insert((retry.not_before, id));
            }
            (Stage::Refused, _) => {
                self.refused.insert(id);
            }
            _ => {}
        }
        self.members.insert(id, member);
    }

    fn unlist(&mut self, id: Subject, member: &Member) {
        match (&member.stage, &member.retry) {
            (Stage::Ready, None) => self.lanes.remove(member.lane, member.queued_at, id),
            (Stage::Ready, Some(retry)) => {
                self.later.remove(&(retry.not_before, id));
            }
            (Stage::Refused, _) => {
                self.refused.remove(&id);
            }
            (Stage::Stopping { .. }, _) => {
                self.untold.remove(&id);
            }
            _ => {}
        }
    }
}

impl Stage {
    /// When it started, if it has.
    pub(crate) fn started(&self) -> Option<Timestamp> {
        match self {
            Stage::Started(at) => Some(*at),
            Stage::Stopping { started, .. } => *started,
            _ => None,
        }
    }
}
