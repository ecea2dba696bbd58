//! Whether there is room for one more, those counted that have just been let in.

use std::collections::{BTreeMap, btree_map};

use model::RepositoryId;

use crate::queue::room::Used;
use crate::queue::{Placement, Queue, Subject};

use super::contest::{Contest, Next};
use super::wait::{WaitReason, Whose};

/// Room among the running workflows.
pub(super) struct RunRoom {
    running: usize,
    limit: usize,
}

/// Room for machines.
pub(super) struct JobRoom<'a> {
    queue: &'a Queue,
    jobs: usize,
    repositories: BTreeMap<RepositoryId, usize>,
    profiles: BTreeMap<usize, Used>,
    host: Used,
    /// Who of each profile, and of all, was the first for whom there was no room: nobody passes it, or who
    /// needs much would wait for ever.
    first_of_profile: BTreeMap<usize, Subject>,
    first_of_host: Option<Subject>,
}

impl RunRoom {
    pub(super) fn new(queue: &Queue) -> RunRoom {
        RunRoom { running: queue.running_runs(), limit: queue.limits.running_workflows }
    }

    pub(super) fn take(&mut self) -> Result<(), WaitReason> {
        if self.running >= self.limit {
            return Err(WaitReason::RunningWorkflows { running: self.running, limit: self.limit });
        }
        self.running += 1;
        Ok(())
    }
}

impl<'a> JobRoom<'a> {
    pub(super) fn new(queue: &'a Queue) -> JobRoom<'a> {
        JobRoom {
            queue,
            jobs: queue.running_jobs(),
            repositories: BTreeMap::new(),
            profiles: BTreeMap::new(),
            host: queue.used_of_host,
            first_of_profile: BTreeMap::new(),
            first_of_host: None,
        }
    }

    /// Lets one in, or says why not.
    pub(super) fn take(&mut self, next: &Next) -> Result<&'a Placement, WaitReason> {
        let queue = self.queue;
        // Whoever competes has a place; if not, it is told the truth: there is no room.
        let Some(placement) = queue.placement(next.id) else { return Err(WaitReason::Next) };
        let limits = &queue.limits;
        if let Some(limit) = limits.jobs.filter(|limit| self.jobs >= *limit) {
            return Err(WaitReason::Jobs { running: self.jobs, limit });
        }
        let running = self.running_of(next.repository);
        if let Some(limit) = limits.jobs_per_repository.filter(|limit| running >= *limit) {
            return Err(WaitReason::RepositoryJobs { running, limit });
        }
        self.room_of_profile(next, placement)?;
        self.room_of_host(next, placement)?;
        self.jobs += 1;
        self.host.add(placement.size);
        self.used(next.pool, placement).add(placement.size);
        *self.repositories.entry(next.repository).or_default() += 1;
        Ok(placement)
    }

    fn running_of(&self, repository: RepositoryId) -> usize {
        let let_in = self.repositories.get(&repository).copied().unwrap_or_default();
        self.queue.jobs.shares.running(repository) + let_in
    }

    fn used(&mut self, pool: usize, placement: &Placement) -> &mut Used {
        match self.profiles.entry(pool) {
            btree_map::Entry::Occupied(used) => used.into_mut(),
            btree_map::Entry::Vacant(none) => {
                none.insert(self.queue.used.get(&placement.profile).copied().unwrap_or_default())
            }
        }
    }

    fn room_of_profile(&mut self, next: &Next, placement: &Placement) -> Result<(), WaitReason> {
        let capacity = self.queue.profiles.as_slice()[next.pool].capacity;
        if let Some(shortage) = self.used(next.pool, placement).shortage(&capacity, placement.size) {
            self.first_of_profile.entry(next.pool).or_insert(next.id);
            return Err(WaitReason::Room { whose: Whose::Profile(placement.profile.clone()), shortage });
        }
        match self.first_of_profile.get(&next.pool) {
            Some(first) => Err(WaitReason::Behind { first: *first }),
            None => Ok(()),
        }
    }

    fn room_of_host(&mut self, next: &Next, placement: &Placement) -> Result<(), WaitReason> {
        if let Some(shortage) = self.host.shortage(&self.queue.limits.host, placement.size) {
            self.first_of_host.get_or_insert(next.id);
            return Err(WaitReason::Room { whose: Whose::Host, shortage });
        }
        match self.first_of_host {
            Some(first) => Err(WaitReason::Behind { first }),
            None => Ok(()),
        }
    }
}

impl WaitReason {
    /// Ends the contest for all whom the same keeps from starting.
    pub(super) fn close(&self, contest: &mut Contest<'_>, next: &Next) {
        match self {
            WaitReason::RepositoryJobs { .. } => contest.close_repository(next.repository),
            WaitReason::Room { whose: Whose::Profile(_), .. } => contest.close_pool(next.pool),
            _ => contest.close(),
        }
    }
}
