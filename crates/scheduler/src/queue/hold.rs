//! Jobs that stand before their environments, and those of them that time lets in.

use std::collections::BTreeSet;
use std::time::Duration;

use model::{JobId, Timestamp};

use crate::environment::LONGEST_WAIT_MINUTES;

/// What keeps a job out of its environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The environment.
    pub environment: String,
    /// When time lets it in. While there is none, somebody must.
    pub until: Option<Timestamp>,
}

/// Jobs that nothing but time keeps out, by when it does no more.
#[derive(Clone, Debug, Default)]
pub(super) struct Timers(BTreeSet<(Timestamp, JobId)>);

impl Timers {
    pub(super) fn insert(&mut self, at: Timestamp, job: JobId) {
        self.0.insert((at, job));
    }

    pub(super) fn remove(&mut self, at: Timestamp, job: JobId) {
        self.0.remove(&(at, job));
    }

    /// Those whose time has come.
    pub(super) fn due(&self, now: Timestamp) -> impl Iterator<Item = JobId> {
        self.0.iter().take_while(move |(at, _)| *at <= now).map(|(_, job)| *job)
    }

    /// Those whose time nobody could have set by this clock: it was set before the clock was set back. That they have
    /// waited, nobody can say.
    pub(super) fn astray(&self, now: Timestamp) -> impl Iterator<Item = JobId> {
        let latest = now.after(Duration::from_secs(60) * LONGEST_WAIT_MINUTES);
        self.0.iter().rev().take_while(move |(at, _)| *at > latest).map(|(_, job)| *job)
    }

    pub(super) fn wakes_at(&self, now: Timestamp) -> Option<Timestamp> {
        self.0.iter().map(|(at, _)| *at).find(|at| *at > now)
    }
}
