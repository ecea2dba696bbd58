//! Who is let into an environment.

use model::{Conclusion, JobId, RepositoryId, RunId, Timestamp};
use store::Change;
use tracing::{error, info};

use crate::environment::{self, Environment, Gate};
use crate::recipe::run_of;

use super::{Core, EngineError, without_machine};

/// What somebody decides about a job that waits to be let into its environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Review {
    /// Who.
    pub actor: String,
    /// What.
    pub decision: Decision,
    /// Why, if they say it.
    pub comment: Option<String>,
}

/// Whether a job is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is.
    Approve,
    /// It is not: it ends as failed.
    Reject,
}

impl Core {
    pub(super) async fn review(&mut self, id: JobId, review: Review) -> Result<(), EngineError> {
        let run = run_of(id);
        let live = self.live.get_mut(&run);
        let Some((live, job)) = live.and_then(|live| Some((live.run.clone(), live.jobs.get_mut(&id)?)))
        else {
            return Err(self.not_waiting(id).await);
        };
        let Some(name) = job.job.environment.clone().filter(|_| job.held) else {
            let problem = "does not wait for approval".to_owned();
            return Err(EngineError::Unfit { subject: id.into(), problem });
        };
        let rules = environment::of_repository(&*self.parts.store, live.what.repository).await?;
        let Review { actor, decision, comment } = review;
        if environment::named(&rules, &name).is_some_and(|rules| !rules.may_approve(&actor)) {
            return Err(EngineError::Forbidden(format!("{actor} is not among the reviewers of {name}")));
        }
        let said = comment.map_or_else(String::new, |comment| format!(": {comment}"));
        if decision == Decision::Reject {
            let reason = format!("{actor} has not let it into {name}{said}");
            self.end_job(id, without_machine(Conclusion::Failure, None), Some(reason)).await;
            return Ok(());
        }
        // The rules may have changed while it waited, or not have been readable before.
        if let Gate::Closed(reason) = environment::gate(&rules, Some(&name), &live.what.reference) {
            self.end_job(id, without_machine(Conclusion::Failure, None), Some(reason)).await;
            return Ok(());
        }
        let at = Timestamp::now();
        self.parts.store.apply(vec![Change::JobQueued { job: id, at }]).await?;
        info!(job = %id, actor, environment = name, "job let into its environment");
        if let Some(job) = self.live.get_mut(&run).and_then(|live| live.jobs.get_mut(&id)) {
            job.held = false;
            job.let_in_by = Some(format!("{actor} has let this job into the environment {name}{said}"));
        }
        self.queue.approved(id);
        Ok(())
    }

    /// Why nothing can be decided about a job that does not run, and does not wait.
    async fn not_waiting(&self, id: JobId) -> EngineError {
        match self.parts.store.job(id).await {
            Ok(Some(_)) => {
                EngineError::Unfit { subject: id.into(), problem: "does not wait for approval".to_owned() }
            }
            Ok(None) => EngineError::Missing(id.into()),
            Err(error) => error.into(),
        }
    }

    /// Looks what the rules are by now, before a plan lets further jobs go.
    pub(super) async fn look_at_environments(&mut self, run: RunId) {
        let Some(repository) = self.live.get(&run).map(|live| live.run.what.repository) else { return };
        let environments = self.environments(repository).await;
        if let Some(live) = self.live.get_mut(&run) {
            live.environments = environments;
        }
    }

    /// The rules of a repository's environments. Where they can't be read, somebody must let in every job that has
    /// an environment.
    pub(super) async fn environments(&self, repository: RepositoryId) -> Option<Vec<Environment>> {
        let read = environment::of_repository(&*self.parts.store, repository).await;
        read.inspect_err(|error| error!(%error, "who may be let into environments is not known")).ok()
    }
}
