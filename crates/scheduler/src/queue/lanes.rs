//! Those who may start as soon as there is room, in lanes within which the oldest is first.
//!
//! Of a lane only its head competes, so that deciding looks at the heads and not at everybody.

use std::collections::{BTreeMap, BTreeSet};

use model::{RepositoryId, Timestamp};

use super::Subject;

/// Who is in one lane: the same machines, the same repository, the same priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Lane {
    /// What they compete for: the place of a machine profile among all.
    pub(crate) pool: usize,
    pub(crate) repository: RepositoryId,
    /// More is sooner.
    pub(crate) priority: i32,
}

/// All lanes that have somebody in them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lanes(BTreeMap<Lane, BTreeSet<(Timestamp, Subject)>>);

impl Lanes {
    pub(crate) fn insert(&mut self, lane: Lane, queued_at: Timestamp, id: Subject) {
        self.0.entry(lane).or_default().insert((queued_at, id));
    }

    pub(crate) fn remove(&mut self, lane: Lane, queued_at: Timestamp, id: Subject) {
        if let Some(ids) = self.0.get_mut(&lane) {
            ids.remove(&(queued_at, id));
            if ids.is_empty() {
                self.0.remove(&lane);
            }
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Lane, &BTreeSet<(Timestamp, Subject)>)> {
        self.0.iter().map(|(lane, ids)| (*lane, ids))
    }
}
