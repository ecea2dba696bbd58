//! Runs and jobs are cancelled: by people, and by what takes their place.

use std::collections::BTreeMap;

use model::{Conclusion, JobId, JobState, RunId, RunState, Timestamp};
use store::Change;

use crate::queue::Subject;
use crate::recipe::run_of;

use super::{Core, EngineError, without_machine};

impl Core {
    pub(super) async fn cancel(&mut self, subject: Subject, reason: String) -> Result<(), EngineError> {
        if let Subject::Run(run) = subject
            && self.late.take(run)
        {
            self.end_run(run, Conclusion::Cancelled, Some(reason)).await;
            return Ok(());
        }
        let is_known = match subject {
            Subject::Run(run) => self.live.contains_key(&run) || self.waiting.contains_key(&run),
            Subject::Job(job) => self.live.get(&run_of(job)).is_some_and(|live| live.jobs.contains_key(&job)),
        };
        if !is_known {
            return Err(self.not_live(subject).await);
        }
        self.queue.cancel(subject, reason);
        Ok(())
    }

    /// Why nothing can be done to what neither waits nor runs: what has ended is there all the same.
    async fn not_live(&self, subject: Subject) -> EngineError {
        let store = &self.parts.store;
        let has_ended = match subject {
            Subject::Run(run) => {
                store.run(run).await.map(|run| run.map(|run| run.what.state == RunState::Ended))
            }
            Subject::Job(job) => store.job(job).await.map(|job| job.map(|job| job.state == JobState::Ended)),
        };
        match has_ended {
            Ok(None) => EngineError::Missing(subject),
            Ok(Some(true)) => EngineError::Unfit { subject, problem: "has ended already".to_owned() },
            Ok(Some(false)) => {
                let problem = "was made a moment ago and is not taken up yet: try again".to_owned();
                EngineError::Unfit { subject, problem }
            }
            Err(error) => error.into(),
        }
    }

    pub(super) async fn cancel_run(&mut self, id: RunId, reason: String) {
        self.queue.told(id);
        self.look_at_environments(id).await;
        if let Some(live) = self.live.get_mut(&id) {
            live.cancel();
            let follows = live.follow(Timestamp::now(), &BTreeMap::new());
            let changes = vec![Change::RunCancelled { run: id, reason }];
            return self.carry_out(id, changes, follows).await;
        }
        if let Some(cancelled) = self.preparing.get_mut(&id) {
            *cancelled = Some(reason);
            return;
        }
        if let Some(run) = self.waiting.get(&id).filter(|run| run.started_at.is_some()).cloned() {
            // It has jobs, which end as its plan says once that can be made anew.
            self.write(vec![Change::RunCancelled { run: id, reason }]).await;
            self.queue.ended(id, Timestamp::now());
            return self.go_on_later(run).await;
        }
        self.end_run(id, Conclusion::Cancelled, Some(reason)).await;
    }

    pub(super) async fn cancel_job(&mut self, id: JobId, reason: String) {
        self.queue.told(id);
        let live = self.live.get(&run_of(id));
        match live.and_then(|live| live.jobs.get(&id)).map(|job| job.cancellation.clone()) {
            Some(Some(cancellation)) => cancellation.cancel(),
            Some(None) => {
                self.end_job(id, without_machine(Conclusion::Cancelled, None), Some(reason)).await;
            }
            None => self.queue.ended(id, Timestamp::now()),
        }
    }
}
