//! Concurrency groups: who holds each group and who waits for it, whoever "who" is: the jobs of one run,
//! runs that begin together, or all runs and jobs of a repository.
//!
//! One holds a group at a time. Who comes while it is held waits; by default one may wait,
//! and a newer one takes its place. With `queue: max` all wait in line.
//! <https://docs.github.com/en/actions/how-tos/write-workflows/choose-when-workflows-run/control-workflow-concurrency>

use std::collections::{BTreeMap, VecDeque};

/// Most that wait for one group with `queue: max`: GitHub's documented limit.
pub const WAITING: usize = 100;

/// `concurrency`, evaluated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Concurrency {
    /// Name of the group; groups are the same without regard to case.
    pub group: String,
    /// Whether to cancel who holds the group.
    pub cancel_in_progress: bool,
    /// `queue: max`: everybody waits in line instead of replacing who waits.
    pub keep_all: bool,
}

/// All groups, and who of the `Id`s is in them.
///
/// ```text
/// enter ──► holds ──────────────leave──► (out)
///   │         ▲ the holder leaves          ▲
///   ├──► waits in line ──leave, displaced──┤
///   └──► full ─────────────────────────────┘
/// ```
#[derive(Clone, Debug)]
pub struct Groups<Id> {
    /// By name in lower case: GitHub compares without case.
    groups: BTreeMap<String, Group<Id>>,
    /// The names of the groups that each is in.
    members: BTreeMap<Id, Vec<String>>,
}

#[derive(Clone, Debug)]
struct Group<Id> {
    holder: Id,
    waiting: VecDeque<Id>,
}

/// What became of who asked for a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry<Id> {
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
        Groups { groups: BTreeMap::new(), members: BTreeMap::new() }
    }
}

impl<Id: Copy + Ord> Groups<Id> {
    /// `id` asks for a group.
    pub fn enter(&mut self, id: Id, wish: &Concurrency) -> Entry<Id> {
        let name = wish.group.to_lowercase();
        let Some(group) = self.groups.get_mut(&name) else {
            self.groups.insert(name.clone(), Group { holder: id, waiting: VecDeque::new() });
            self.members.entry(id).or_default().push(name);
            return Entry::Holds;
        };
        if wish.keep_all && group.waiting.len() >= WAITING {
            return Entry::Full;
        }
        let displaced: Vec<Id> = if wish.keep_all { Vec::new() } else { group.waiting.drain(..).collect() };
        group.waiting.push_back(id);
        let holder = group.holder;
        for other in &displaced {
            self.forget(*other, &name);
        }
        self.members.entry(id).or_default().push(name);
        Entry::Waits { displaced, cancel: wish.cancel_in_progress.then_some(holder) }
    }

    /// `id` needs its groups no more; whoever now holds one of them is returned.
    pub fn leave(&mut self, id: Id) -> Vec<Id> {
        let mut next = Vec::new();
        for name in self.members.remove(&id).unwrap_or_default() {
            let Some(group) = self.groups.get_mut(&name) else { continue };
            group.waiting.retain(|waiting| *waiting != id);
            if group.holder != id {
                continue;
            }
            match group.waiting.pop_front() {
                Some(first) => {
                    group.holder = first;
                    next.push(first);
                }
                None => {
                    self.groups.remove(&name);
                }
            }
        }
        next
    }

    /// Who holds a group.
    #[must_use]
    pub fn holder(&self, group: &str) -> Option<Id> {
        self.groups.get(&group.to_lowercase()).map(|group| group.holder)
    }

    /// How many wait for a group before `id` does; `None` if `id` does not wait for it.
    #[must_use]
    pub fn ahead(&self, id: Id, group: &str) -> Option<usize> {
        self.groups.get(&group.to_lowercase())?.waiting.iter().position(|waiting| *waiting == id)
    }

    /// Whether nobody is in any group.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    fn forget(&mut self, id: Id, name: &str) {
        if let Some(names) = self.members.get_mut(&id) {
            names.retain(|other| other != name);
            if names.is_empty() {
                self.members.remove(&id);
            }
        }
    }
}

/// Why one does not wait, in GitHub's words.
#[must_use]
pub fn displaced_by_newer(group: &str) -> String {
    format!("a higher priority waiting request for '{group}' exists")
}

/// Why one may not wait.
#[must_use]
pub fn too_many_wait(group: &str) -> String {
    format!("too many wait for concurrency group '{group}' already")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(group: &str, cancel_in_progress: bool, keep_all: bool) -> Concurrency {
        Concurrency { group: group.to_owned(), cancel_in_progress, keep_all }
    }

    #[test]
    fn a_newer_one_takes_the_place_of_who_waits_and_can_come_back_later() {
        let mut groups = Groups::default();
        assert_eq!(groups.enter(1, &wish("Deploy", false, false)), Entry::Holds);
        assert_eq!(
            groups.enter(2, &wish("deploy", false, false)),
            Entry::Waits { displaced: vec![], cancel: None }
        );
        assert_eq!(
            groups.enter(3, &wish("DEPLOY", true, false)),
            Entry::Waits { displaced: vec![2], cancel: Some(1) }
        );
        assert_eq!(
            (groups.holder("deploy"), groups.ahead(3, "Deploy"), groups.ahead(2, "deploy")),
            (Some(1), Some(0), None)
        );
        assert!(groups.leave(2).is_empty());
        assert_eq!(groups.leave(1), [3]);
        assert!(groups.leave(3).is_empty());
        assert!(groups.is_empty());
    }

    #[test]
    fn a_hundred_wait_in_line_and_the_next_is_turned_away() {
        let mut groups = Groups::default();
        for id in 0..=WAITING {
            assert_ne!(groups.enter(id, &wish("line", false, true)), Entry::Full);
        }
        assert_eq!(groups.enter(1000, &wish("line", false, true)), Entry::Full);
        assert!(groups.leave(1000).is_empty());
        for id in 0..WAITING {
            assert_eq!(groups.leave(id), [id + 1]);
        }
    }
}
