//! Goes on with what an earlier life of the server left.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Conclusion, JobId, JobState, RunId, Timestamp};
use store::change::Requeue;
use store::record::{Job, PlanInput, Run};
use store::{Change, StoreError};
use tracing::{info, warn};

use crate::environment;
use crate::facts::RunFacts;
use crate::queue::QueuedRun;
use crate::recipe::{Recipe, run_of};
use crate::retry::{self, Verdict};

use super::live::Live;
use super::prepare::PrepareError;
use super::{Core, naming, without_machine};

impl Core {
    /// Queues all runs that have not ended, and makes the plans of those that had started. Jobs that were running
    /// are run again, once.
    pub(super) async fn recover(&mut self) -> Result<(), StoreError> {
        let mut runs = self.parts.store.unfinished_runs().await?;
        // Who had started has its group; the others ask for it after them.
        runs.sort_by_key(|run| (run.started_at.is_none(), run.queued_at, run.id));
        for run in runs {
            match run.started_at {
                None => self.admit(run).await,
                Some(_) => self.go_on(run).await,
            }
        }
        Ok(())
    }

    /// Goes on with a run that was put off when it should have.
    pub(super) async fn go_on_later(&mut self, run: Run) {
        self.waiting.remove(&run.id);
        self.go_on(run).await;
    }

    /// Goes on with a run, or puts it off while the store can't be read for it, or ends it where that lasts: one run
    /// whose records are damaged keeps no other from going on.
    async fn go_on(&mut self, run: Run) {
        let id = run.id;
        let revived = match self.revive(&run).await {
            Ok(revived) => revived,
            Err(error) if error.may_pass() => Err(error.into()),
            Err(error) => Err(PrepareError::Wrong(error.to_string())),
        };
        match revived {
            Ok(()) => {
                self.put_off.remove(&id);
                info!(run = %id, "goes on with a run of an earlier life");
            }
            Err(PrepareError::Unreadable(reason)) => {
                self.has_its_place(&run);
                self.await_store(run, &reason);
            }
            Err(PrepareError::Wrong(reason) | PrepareError::Unreachable(reason)) => {
                self.cannot_go_on(id, &reason).await;
            }
        }
    }

    async fn cannot_go_on(&mut self, run: RunId, reason: &str) {
        warn!(%run, reason, "a run of an earlier life can't go on");
        let reason = format!("it can't go on after a restart: {reason}");
        self.end_run(run, Conclusion::Failure, Some(reason)).await;
    }

    /// A run that had started before has started, and has its group.
    fn has_its_place(&mut self, run: &Run) {
        self.queue.run_queued(QueuedRun {
            id: run.id,
            repository: run.what.repository,
            priority: run.what.priority,
            queued_at: run.queued_at,
            concurrency: naming::concurrency(&run.what),
            asked_at: None,
        });
        self.queue.started(run.id, run.started_at.unwrap_or_else(Timestamp::now));
    }

    /// All that can fail comes before anything of the engine changes.
    async fn revive(&mut self, run: &Run) -> Result<Result<(), PrepareError>, StoreError> {
        let store = Arc::clone(&self.parts.store);
        let attempts = store.attempts(run.id).await?;
        let inputs = store.plan_inputs(run.id, run.attempt).await?;
        let records = store.jobs(run.id, run.attempt).await?;
        let known: BTreeMap<JobId, Job> = records.into_iter().map(|job| (job.id, job)).collect();
        let plan = attempts.into_iter().find(|attempt| attempt.attempt == run.attempt);
        let plan = plan.and_then(|attempt| attempt.plan);
        let mut live = match self.live_of(run, plan).await {
            Ok(live) => live,
            Err(error) => return Ok(Err(error)),
        };
        live.environments = match environment::of_place(&*store, &live.repository.place).await {
            Err(error) if error.may_pass() => return Err(error),
            read => self.known(read),
        };
        live.approved = super::review::approvals_of(&*store, run.id).await?;
        live.asked = super::asked::of_jobs(&*store, run.id).await?;
        let now = Timestamp::now();
        self.has_its_place(run);
        let mut follows = live.follow(now, &known);
        for input in inputs {
            match input {
                PlanInput::Ended { job, result } => {
                    live.job_ended(job, &result);
                    follows.queue.retain(|queued| queued.id != job);
                    follows.kept_out.retain(|(id, _)| *id != job);
                }
                PlanInput::Cancelled => live.cancel(),
            }
            let next = live.follow(now, &known);
            follows.changes.extend(next.changes);
            follows.queue.extend(next.queue);
            follows.kept_out.extend(next.kept_out);
            follows.cancel.extend(next.cancel);
            follows.calls.extend(next.calls);
            follows.ended = follows.ended.or(next.ended);
        }
        let interrupted: Vec<JobId> = live
            .jobs
            .keys()
            .filter(|id| {
                known.get(id).is_some_and(|job| matches!(job.state, JobState::Leasing | JobState::Running))
            })
            .copied()
            .collect();
        let id = run.id;
        self.live.insert(id, live);
        self.carry_out(id, Vec::new(), follows).await;
        for job in interrupted {
            self.interrupted(job, &known, now).await;
        }
        Ok(Ok(()))
    }

    async fn live_of(&self, run: &Run, plan: Option<serde_json::Value>) -> Result<Live, PrepareError> {
        let plan = plan.ok_or_else(|| "what its plan was made of is gone".to_owned())?;
        let recipe: Recipe = serde_json::from_value(plan).map_err(|error| error.to_string())?;
        let facts = RunFacts::from_json(&run.what.facts).map_err(|error| error.to_string())?;
        let repository = self.parts.preparer.repository(run).await?;
        let secrets = self.parts.preparer.secrets_of(&repository).await?;
        let plan = recipe.plan(run.id, run.attempt, run.what.trust, secrets).map_err(|error| error.0)?;
        Ok(Live::new(Arc::new(run.clone()), Arc::new(facts), repository, plan, recipe.earlier))
    }

    /// A job that was running when the server ended: its machine is gone.
    async fn interrupted(&mut self, id: JobId, known: &BTreeMap<JobId, Job>, now: Timestamp) {
        let before = known.get(&id).map_or(0, |job| job.interruptions);
        // It was queued as one that has not started; from now on it says why it is tried again.
        self.queue.started(id, now);
        match retry::after_interruption(before, now) {
            Verdict::Again(retry) => {
                let reason = retry.after.clone();
                let requeued = Change::JobRequeued {
                    job: id,
                    reason: reason.clone(),
                    requeue: Requeue::Interrupted,
                    at: now,
                };
                self.write(vec![requeued]).await;
                if let Some(job) = self.live.get_mut(&run_of(id)).and_then(|live| live.jobs.get_mut(&id)) {
                    job.interrupted(reason);
                }
                self.queue.retried(id, retry, now);
            }
            Verdict::GivenUp { reason } => {
                let result = without_machine(Conclusion::Failure, Some(reason.clone()));
                self.end_job(id, result, Some(reason)).await;
            }
            Verdict::Ended => {}
        }
    }
}
