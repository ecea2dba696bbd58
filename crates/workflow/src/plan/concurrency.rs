//! Concurrency groups, of the jobs of one run or of runs that begin together: who holds each group
//! and who waits for it.
//!
//! One holds a group at a time. Who comes while it is held waits; by default one may wait,
//! and a newer one takes its place. With `queue: max` all wait in line.
//! <https://docs.github.com/en/actions/concepts/workflows-and-actions/concurrency>

use std::collections::{BTreeMap, VecDeque};

use super::RunPlan;
use super::evaluate::Concurrency;

/// Most that wait for one group with `queue: max`: GitHub's documented limit.
const WAITING: usize = 100;

/// All groups, and who of the `Id`s is in them.
#[derive(Debug)]
pub(super) struct Groups<Id> {
    /// By name in lower case: GitHub compares without case.
    groups: BTreeMap<String, Group<Id>>,
}

#[derive(Debug)]
struct Group<Id> {
    holder: Option<Id>,
    waiting: VecDeque<Id>,
}

/// What became of who asked for a group.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entry<Id> {
    /// It holds the group.
    Holds,
    /// It waits; those in `displaced` wait no more, and `cancel` holds the group but shall give it up.
    Waits {
        /// They lost their place.
        displaced: Vec<Id>,
        /// The holder, where the newcomer cancels what is in progress.
        cancel: Option<Id>,
    },
    /// As many wait as may.
    Full,
}

impl<Id> Default for Groups<Id> {
    fn default() -> Self {
        Groups { groups: BTreeMap::new() }
    }
}

impl<Id: Copy + PartialEq> Groups<Id> {
    /// `id` asks for a group.
    pub(super) fn enter(&mut self, id: Id, wish: &Concurrency) -> Entry<Id> {
        let group = self
            .groups
            .entry(wish.group.to_lowercase())
            .or_insert_with(|| Group { holder: None, waiting: VecDeque::new() });
        let Some(holder) = group.holder else {
            group.holder = Some(id);
            return Entry::Holds;
        };
        if wish.keep_all && group.waiting.len() >= WAITING {
            return Entry::Full;
        }
        let displaced = if wish.keep_all { Vec::new() } else { group.waiting.drain(..).collect() };
        group.waiting.push_back(id);
        Entry::Waits { displaced, cancel: wish.cancel_in_progress.then_some(holder) }
    }

    /// `id` needs its groups no more; whoever now holds one of them is returned.
    pub(super) fn leave(&mut self, id: Id) -> Vec<Id> {
        let mut next = Vec::new();
        for group in self.groups.values_mut() {
            group.waiting.retain(|waiting| *waiting != id);
            if group.holder == Some(id) {
                group.holder = group.waiting.pop_front();
                next.extend(group.holder);
            }
        }
        self.groups.retain(|_, group| group.holder.is_some());
        next
    }
}

/// Lets runs begin together, as those do that one event starts: they ask for the groups of their
/// workflows in this order. Who holds a group that a later one claims with `cancel-in-progress` is
/// cancelled as it begins; who waits and is displaced starts no job. The others may run, those of
/// one group one after the other.
pub fn begin_together(plans: &mut [&mut RunPlan]) {
    let mut groups = Groups::default();
    for place in 0..plans.len() {
        let Some(wish) = plans[place].run_group.clone() else { continue };
        match groups.enter(place, &wish) {
            Entry::Holds => {}
            Entry::Full => plans[place].give_up(too_many_wait(&wish.group)),
            Entry::Waits { displaced, cancel } => {
                for other in displaced {
                    plans[other].give_up(displaced_by_newer(&wish.group));
                }
                if let Some(holder) = cancel {
                    plans[holder].cancel_because(displaced_by_newer(&wish.group));
                }
            }
        }
    }
}

/// Why one does not wait, in GitHub's words.
pub(super) fn displaced_by_newer(group: &str) -> String {
    format!("a higher priority waiting request for '{group}' exists")
}

/// Why one may not wait.
pub(super) fn too_many_wait(group: &str) -> String {
    format!("too many wait for concurrency group '{group}' already")
}
