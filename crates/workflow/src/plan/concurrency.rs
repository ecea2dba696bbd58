//! Concurrency groups inside one run: who holds each group and who waits for it.
//!
//! One holds a group at a time. Who comes while it is held waits; by default one may wait,
//! and a newer one takes its place. With `queue: max` all wait in line.
//! <https://docs.github.com/en/actions/concepts/workflows-and-actions/concurrency>

use std::collections::{BTreeMap, VecDeque};

use super::evaluate::Concurrency;
use super::state::LegId;

/// Most that wait for one group with `queue: max`: GitHub's documented limit.
const WAITING: usize = 100;

/// All groups of a run.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// By name in lower case: GitHub compares without case.
    groups: BTreeMap<String, Group>,
}

#[derive(Debug, Default)]
struct Group {
    holder: Option<LegId>,
    waiting: VecDeque<LegId>,
}

/// What became of who asked for a group.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// It holds the group.
    Holds,
    /// It waits; those in `displaced` wait no more, and `cancel` holds the group but shall give it up.
    Waits {
        /// They lost their place.
        displaced: Vec<LegId>,
        /// The holder, where the newcomer cancels what is in progress.
        cancel: Option<LegId>,
    },
    /// As many wait as may.
    Full,
}

impl Groups {
    /// `leg` asks for a group.
    pub(super) fn enter(&mut self, leg: LegId, wish: &Concurrency) -> Entry {
        let group = self.groups.entry(wish.group.to_lowercase()).or_default();
        let Some(holder) = group.holder else {
            group.holder = Some(leg);
            return Entry::Holds;
        };
        if wish.keep_all && group.waiting.len() >= WAITING {
            return Entry::Full;
        }
        let displaced = if wish.keep_all { Vec::new() } else { group.waiting.drain(..).collect() };
        group.waiting.push_back(leg);
        Entry::Waits { displaced, cancel: wish.cancel_in_progress.then_some(holder) }
    }

    /// `leg` needs its groups no more; whoever now holds one of them is returned.
    pub(super) fn leave(&mut self, leg: LegId) -> Vec<LegId> {
        let mut next = Vec::new();
        for group in self.groups.values_mut() {
            group.waiting.retain(|waiting| *waiting != leg);
            if group.holder == Some(leg) {
                group.holder = group.waiting.pop_front();
                next.extend(group.holder);
            }
        }
        self.groups.retain(|_, group| group.holder.is_some());
        next
    }
}
