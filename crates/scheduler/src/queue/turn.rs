//! That nobody waits for ever: now and then it is the turn of who has waited longest.

use std::collections::BTreeMap;
use std::time::Duration;

/// Who has waited this long may be next for no other reason. Before that, priority and fairness decide
/// alone: most queues are empty again by then.
pub const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// So many start by priority and fairness before it is the turn of who has waited longest: four of five
/// places stay theirs, and a queue of n is through after 5 n starts at the latest.
pub const STARTS_BETWEEN_TURNS: u32 = 4;

/// Starts since the last such turn: of all, and of each pool, as either may be what there is too little of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Turns {
    all: u32,
    pools: BTreeMap<usize, u32>,
}

impl Turns {
    /// Whether it is the turn of who has waited longest of all.
    pub(crate) fn is_due(&self) -> bool {
        self.all >= STARTS_BETWEEN_TURNS
    }

    /// Whether it is the turn of who has waited longest for this pool.
    pub(crate) fn is_due_in(&self, pool: usize) -> bool {
        self.pools.get(&pool).is_some_and(|starts| *starts >= STARTS_BETWEEN_TURNS)
    }

    /// Somebody starts; `impatient` if it had waited beyond [`PATIENCE`] and it was its turn.
    pub(crate) fn started(&mut self, pool: usize, impatient: bool) {
        let starts = self.pools.entry(pool).or_default();
        if impatient {
            self.all = 0;
            *starts = 0;
        } else {
            self.all = self.all.saturating_add(1);
            *starts = starts.saturating_add(1);
        }
    }
}
