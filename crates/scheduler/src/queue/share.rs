//! What each repository has, and has had lately: the measure of fairness.

use std::collections::BTreeMap;
use std::time::Duration;

use model::{RepositoryId, Timestamp};

/// After this long half of what a repository has used is forgotten: a busy morning does not cost the
/// afternoon, and a burst does count while others still wait behind it.
pub(crate) const HALF_LIFE: Duration = Duration::from_secs(15 * 60);

/// Uses below this are forgotten, in machines: a job that ended three hours ago, say.
const FORGOTTEN: f64 = 1.0 / 4096.0;

/// One machine, in the unit of shares: parts of a million, so that they have an order.
pub(crate) const MACHINE: u64 = 1_000_000;

/// Shares of all repositories.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shares(BTreeMap<RepositoryId, Share>);

#[derive(Clone, Copy, Debug, Default)]
struct Share {
    running: usize,
    /// Machines that it has had, on an average over the recent past, as of `at`.
    recent: f64,
    at: Timestamp,
}

impl Shares {
    /// One more of this repository runs.
    pub(crate) fn started(&mut self, repository: RepositoryId, now: Timestamp) {
        let share = self.0.entry(repository).or_default();
        share.recent = share.recent_at(now);
        share.at = now;
        share.running += 1;
    }

    /// One that had begun at `since` has ended.
    pub(crate) fn ended(&mut self, repository: RepositoryId, since: Timestamp, now: Timestamp) {
        let Some(share) = self.0.get_mut(&repository) else { return };
        share.recent = share.recent_at(now) + recent_of(now.since(since));
        share.at = now;
        share.running = share.running.saturating_sub(1);
        self.0.retain(|_, share| share.running > 0 || share.recent_at(now) > FORGOTTEN);
    }

    /// How many of this repository run.
    pub(crate) fn running(&self, repository: RepositoryId) -> usize {
        self.0.get(&repository).map_or(0, |share| share.running)
    }

    /// What it has and has had, in parts of a [`MACHINE`]: the repository with less comes first.
    pub(crate) fn of(&self, repository: RepositoryId, now: Timestamp) -> u64 {
        let of =
            |share: &Share| share.running as u64 * MACHINE + (share.recent_at(now) * MACHINE as f64) as u64;
        self.0.get(&repository).map_or(0, of)
    }
}

impl Share {
    fn recent_at(&self, now: Timestamp) -> f64 {
        self.recent * left_after(now.since(self.at))
    }
}

/// What is left of a use this long after it.
fn left_after(time: Duration) -> f64 {
    (-time.as_secs_f64() / HALF_LIFE.as_secs_f64()).exp2()
}

/// What one machine counts that was used for this long until now, its beginning half forgotten already:
/// at most 1.44, however long, so that a clock that jumps can't ruin anybody.
fn recent_of(time: Duration) -> f64 {
    (1.0 - left_after(time)) / std::f64::consts::LN_2
}
