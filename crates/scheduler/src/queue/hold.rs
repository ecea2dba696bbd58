//! Runs and jobs that people must let go on, jobs that time lets into their environments, and how long either may take.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use model::Timestamp;

use super::Subject;
use crate::environment::LONGEST_WAIT_MINUTES;

/// How many days people have to let a run or a job go on: as many as on GitHub.
/// <https://docs.github.com/en/actions/managing-workflow-runs/reviewing-deployments>
/// <https://docs.github.com/en/actions/managing-workflow-runs/approving-workflow-runs-from-public-forks>
pub const DAYS_TO_ANSWER: u32 = 30;

/// The longest time that an environment lets a job wait.
pub(super) const LONGEST_TIME: Duration = Duration::from_secs(60 * LONGEST_WAIT_MINUTES as u64);

/// The same as [`DAYS_TO_ANSWER`].
pub(super) const TIME_TO_ANSWER: Duration = Duration::from_secs(24 * 60 * 60 * DAYS_TO_ANSWER as u64);

/// What keeps a job out of its environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The environment.
    pub environment: String,
    /// What lets it in.
    pub key: Key,
}

/// What lets a job into its environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// Somebody's word.
    Word {
        /// Since when they are asked for it.
        asked_at: Timestamp,
    },
    /// Time alone.
    Time {
        /// When it does.
        until: Timestamp,
    },
}

impl Hold {
    /// When time lets it in. While there is none, somebody must.
    #[must_use]
    pub fn until(&self) -> Option<Timestamp> {
        match self.key {
            Key::Word { .. } => None,
            Key::Time { until } => Some(until),
        }
    }
}

/// Runs and jobs to which something happens at a set time.
#[derive(Clone, Debug, Default)]
pub(super) struct Timers {
    times: BTreeMap<Subject, Timestamp>,
    in_order: BTreeSet<(Timestamp, Subject)>,
}

impl Timers {
    /// It happens then, and not when it was to happen before.
    pub(super) fn set(&mut self, subject: Subject, at: Timestamp) {
        self.remove(subject);
        self.times.insert(subject, at);
        self.in_order.insert((at, subject));
    }

    pub(super) fn remove(&mut self, subject: Subject) {
        if let Some(at) = self.times.remove(&subject) {
            self.in_order.remove(&(at, subject));
        }
    }

    /// Those whose time has come.
    pub(super) fn due(&self, now: Timestamp) -> impl Iterator<Item = Subject> {
        self.in_order.iter().take_while(move |(at, _)| *at <= now).map(|(_, subject)| *subject)
    }

    /// Those whose time nobody could have set by this clock, where it is at most so far away when it is set: it was set
    /// before the clock was set back. That they have waited, nobody can say.
    pub(super) fn astray(&self, now: Timestamp, longest: Duration) -> impl Iterator<Item = Subject> {
        let latest = now.after(longest);
        self.in_order.iter().rev().take_while(move |(at, _)| *at > latest).map(|(_, subject)| *subject)
    }

    pub(super) fn wakes_at(&self, now: Timestamp) -> Option<Timestamp> {
        self.in_order.iter().map(|(at, _)| *at).find(|at| *at > now)
    }
}
