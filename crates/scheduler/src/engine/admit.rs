//! A run that was made gets its name, and waits for its turn. While the store can't be read for that, it is put off, and
//! those of its repository that come after it wait behind it: concurrency groups go by their order.

use model::{Conclusion, RepositoryId, RunId, RunState, Timestamp};
use store::record::Run;
use tracing::{info, warn};

use super::prepare::PrepareError;
use super::{Core, naming};
use crate::decide::{Wait, WaitReason};
use crate::queue::{QueuedRun, Retry};
use crate::retry::{self, Policy};

/// Runs that could not be named yet, in their order. They are tried again together: the store is one for all.
#[derive(Default)]
pub(super) struct Late {
    runs: Vec<Run>,
    /// When; none while they are being tried.
    retry: Option<Retry>,
    /// How often in a row.
    failed: u32,
}

impl Late {
    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    pub(super) fn contains(&self, run: RunId) -> bool {
        self.runs.iter().any(|late| late.id == run)
    }

    fn has_of(&self, repository: RepositoryId) -> bool {
        self.runs.iter().any(|late| late.what.repository == repository)
    }

    /// Takes a run out. `false`: it is not here.
    pub(super) fn take(&mut self, run: RunId) -> bool {
        let before = self.runs.len();
        self.runs.retain(|late| late.id != run);
        self.runs.len() < before
    }

    fn put_off(&mut self, run: Run, reason: &str, policy: Policy, now: Timestamp) {
        if self.retry.is_none() {
            self.retry = Some(retry::after_store_fault(policy, run.id, reason, self.failed, now));
            self.failed = self.failed.saturating_add(1);
        }
        self.runs.push(run);
    }

    /// Those that are to be tried now.
    fn take_due(&mut self, now: Timestamp) -> Vec<Run> {
        match self.retry.take_if(|retry| retry.is_due(now)) {
            Some(_) => std::mem::take(&mut self.runs),
            None => Vec::new(),
        }
    }

    /// When they are to be tried.
    pub(super) fn wakes_at(&self) -> Option<Timestamp> {
        self.retry.as_ref().map(|retry| retry.not_before)
    }

    /// Why they wait.
    pub(super) fn waits(&self, now: Timestamp) -> impl Iterator<Item = Wait> {
        let runs = self.retry.iter().flat_map(|retry| self.runs.iter().map(move |run| (run, retry)));
        runs.map(move |(run, retry)| Wait {
            subject: run.id.into(),
            reason: WaitReason::Retry { wait: retry.not_before.since(now), after: retry.after.clone() },
            place: None,
        })
    }
}

impl Core {
    /// A run that was made, or is to run again: it waits for its turn from now on.
    pub(super) async fn admit(&mut self, mut run: Run) {
        if run.what.state == RunState::Ended {
            return;
        }
        if self.late.has_of(run.what.repository) {
            return self.late.runs.push(run);
        }
        match self.look_up(&mut run).await {
            Ok(asked_at) => self.has_come(run, asked_at),
            Err(PrepareError::Unreadable(reason)) => {
                warn!(run = %run.id, reason, "the store can't be read for the run now; it is tried again");
                self.late.put_off(run, &reason, self.retry, Timestamp::now());
            }
            Err(PrepareError::Wrong(reason) | PrepareError::Unreachable(reason)) => {
                warn!(run = %run.id, reason, "the run can't be named");
                self.end_run(run.id, Conclusion::Failure, Some(reason)).await;
            }
        }
    }

    /// Tries those again whose time has come.
    pub(super) async fn admit_late(&mut self) {
        for run in self.late.take_due(Timestamp::now()) {
            self.admit(run).await;
        }
        if self.late.is_empty() {
            self.late = Late::default();
        }
    }

    /// Names it. Gives since when somebody is asked to approve it, if somebody is.
    async fn look_up(&mut self, run: &mut Run) -> Result<Option<Timestamp>, PrepareError> {
        self.name(run).await?;
        Ok(match run.what.state {
            RunState::Waiting => Some(self.run_asked_at(run).await?),
            _ => None,
        })
    }

    /// It has its name.
    fn has_come(&mut self, run: Run, asked_at: Option<Timestamp>) {
        let what = &run.what;
        let (workflow, event, sha) = (&what.workflow_path, &what.event, &what.sha);
        let (id, attempt, repository) = (run.id, run.attempt, what.repository);
        info!(run = %id, attempt, %repository, workflow, event, sha, state = %what.state, "run created");
        self.queue.run_queued(QueuedRun {
            id: run.id,
            repository: what.repository,
            priority: what.priority,
            queued_at: run.queued_at,
            concurrency: naming::concurrency(what),
            asked_at,
        });
        self.waiting.insert(run.id, run);
    }
}
