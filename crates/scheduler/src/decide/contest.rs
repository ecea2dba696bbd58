//! Who of those who may start is next: priority, then fair share between repositories, then age;
//! now and then, who has waited longest.

use std::cmp::Reverse;
use std::collections::btree_set;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use model::{RepositoryId, Timestamp};

use crate::queue::Subject;
use crate::queue::lanes::{Lane, Lanes};
use crate::queue::share::{MACHINE, Shares};
use crate::queue::turn::{PATIENCE, Turns};

/// Somebody whose turn it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Next {
    pub(crate) id: Subject,
    pub(crate) pool: usize,
    pub(crate) repository: RepositoryId,
    /// It is its turn because it has waited so long.
    pub(crate) impatient: bool,
    runner: usize,
}

/// The contest at one moment. It looks at the queue and changes nothing of it.
pub(crate) struct Contest<'a> {
    now: Timestamp,
    runners: Vec<Runner<'a>>,
    pools: BTreeMap<usize, Pool>,
    shares: BTreeMap<RepositoryId, u64>,
    closed: BTreeSet<RepositoryId>,
    turns: Turns,
}

/// The head of a lane, and who comes behind it.
struct Runner<'a> {
    lane: Lane,
    head: Option<(Timestamp, Subject)>,
    rest: Option<btree_set::Iter<'a, (Timestamp, Subject)>>,
}

/// The heads that compete for one pool, in both orders. An entry that is out of date stays until it is on top.
struct Pool {
    by_share: BinaryHeap<Reverse<ByShare>>,
    by_age: BinaryHeap<Reverse<(Timestamp, Subject, usize)>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct ByShare {
    priority: Reverse<i32>,
    share: u64,
    queued_at: Timestamp,
    id: Subject,
    runner: usize,
}

impl<'a> Contest<'a> {
    /// Those of the lanes compete, and beside them `singles`, who are in none.
    pub(crate) fn new(
        lanes: &'a Lanes,
        singles: impl Iterator<Item = (Lane, Timestamp, Subject)>,
        shares: &Shares,
        turns: &Turns,
        now: Timestamp,
    ) -> Contest<'a> {
        let mut contest = Contest {
            now,
            runners: Vec::new(),
            pools: BTreeMap::new(),
            shares: BTreeMap::new(),
            closed: BTreeSet::new(),
            turns: turns.clone(),
        };
        for (lane, ids) in lanes.iter() {
            let mut rest = ids.iter();
            let head = rest.next().copied();
            contest.runners.push(Runner { lane, head, rest: Some(rest) });
        }
        let single = |(lane, queued_at, id)| Runner { lane, head: Some((queued_at, id)), rest: None };
        contest.runners.extend(singles.map(single));
        for runner in 0..contest.runners.len() {
            let repository = contest.runners[runner].lane.repository;
            contest.shares.entry(repository).or_insert_with(|| shares.of(repository, now));
            contest.compete(runner);
        }
        contest
    }

    /// Who is next; the same until it is said what became of it.
    pub(crate) fn next(&mut self) -> Option<Next> {
        let pools: Vec<usize> = self.pools.keys().copied().collect();
        let mut oldest: Option<(Timestamp, Subject, usize)> = None;
        let mut best: Option<ByShare> = None;
        for pool in pools {
            self.drop_stale(pool);
            let Some(entries) = self.pools.get(&pool) else { continue };
            if let Some(Reverse(first)) = entries.by_share.peek() {
                best = Some(best.map_or(*first, |best| best.min(*first)));
            }
            let due = self.turns.is_due() || self.turns.is_due_in(pool);
            if let (true, Some(Reverse(first))) = (due, entries.by_age.peek())
                && self.now.since(first.0) >= PATIENCE
            {
                oldest = Some(oldest.map_or(*first, |oldest| oldest.min(*first)));
            }
        }
        let (id, runner) = match (oldest, best) {
            (Some((_, id, runner)), _) => (id, runner),
            (None, Some(best)) => (best.id, best.runner),
            (None, None) => return None,
        };
        let Lane { pool, repository, .. } = self.runners[runner].lane;
        Some(Next { id, pool, repository, impatient: oldest.is_some(), runner })
    }

    /// It starts, or would if there were room: the next of its lane competes, and its repository has more.
    pub(crate) fn started(&mut self, next: Next) {
        self.turns.started(next.pool, next.impatient);
        *self.shares.entry(next.repository).or_default() += MACHINE;
        let runner = &mut self.runners[next.runner];
        runner.head = runner.rest.as_mut().and_then(Iterator::next).copied();
        self.compete(next.runner);
    }

    /// Nobody else starts.
    pub(crate) fn close(&mut self) {
        self.pools.clear();
    }

    /// Nobody else of this pool starts.
    pub(crate) fn close_pool(&mut self, pool: usize) {
        self.pools.remove(&pool);
    }

    /// Nobody else of this repository starts.
    pub(crate) fn close_repository(&mut self, repository: RepositoryId) {
        self.closed.insert(repository);
    }

    fn compete(&mut self, runner: usize) {
        let Runner { lane, head, .. } = &self.runners[runner];
        let Some((queued_at, id)) = *head else { return };
        let share = self.share(lane.repository);
        let entry = ByShare { priority: Reverse(lane.priority), share, queued_at, id, runner };
        let pool = self.pools.entry(lane.pool).or_insert_with(Pool::new);
        pool.by_share.push(Reverse(entry));
        pool.by_age.push(Reverse((queued_at, id, runner)));
    }

    /// Brings the tops of both orders up to date. Shares only grow, so an entry can only be too far ahead.
    fn drop_stale(&mut self, pool: usize) {
        let Some(mut entries) = self.pools.remove(&pool) else { return };
        while let Some(Reverse(first)) = entries.by_share.peek().copied() {
            let repository = self.runners[first.runner].lane.repository;
            let share = self.share(repository);
            if self.is_head(first.runner, first.id) && share == first.share {
                break;
            }
            entries.by_share.pop();
            if self.is_head(first.runner, first.id) {
                entries.by_share.push(Reverse(ByShare { share, ..first }));
            }
        }
        while let Some(Reverse((_, id, runner))) = entries.by_age.peek().copied()
            && !self.is_head(runner, id)
        {
            entries.by_age.pop();
        }
        self.pools.insert(pool, entries);
    }

    fn is_head(&self, runner: usize, id: Subject) -> bool {
        let Runner { lane, head, .. } = &self.runners[runner];
        !self.closed.contains(&lane.repository) && head.is_some_and(|(_, head)| head == id)
    }

    fn share(&self, repository: RepositoryId) -> u64 {
        self.shares.get(&repository).copied().unwrap_or_default()
    }
}

impl Pool {
    fn new() -> Pool {
        Pool { by_share: BinaryHeap::new(), by_age: BinaryHeap::new() }
    }
}
