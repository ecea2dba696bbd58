//! Who is let into an environment.

use model::{Conclusion, JobId, RunId, Timestamp};
use store::Change;
use store::record::Run;
use tracing::{error, info};

use crate::environment::{self, Environment, Gate};
use crate::queue::Hold;
use crate::recipe::run_of;

use super::live::why;
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
        let live = self.live.get(&run);
        let found = live
            .and_then(|live| Some((live.run.clone(), live.repository.place.clone(), live.jobs.get(&id)?)));
        let Some((live, place, job)) = found else {
            return Err(self.not_waiting(id).await);
        };
        let Some(Hold { environment: name, until: None }) = job.hold.clone() else {
            let problem = "does not wait for approval".to_owned();
            return Err(EngineError::Unfit { subject: id.into(), problem });
        };
        let since = job.queued_at;
        let rules = environment::of_place(&*self.parts.store, &place).await?;
        let Review { actor, decision, comment } = review;
        if environment::named(&rules, &name).is_some_and(|rules| !rules.may_approve(&actor)) {
            return Err(EngineError::Forbidden(format!("{actor} is not among the reviewers of {name}")));
        }
        let prevents = environment::named(&rules, &name).is_some_and(|rules| rules.prevent_self_review);
        if prevents && decision == Decision::Approve && self.has_caused(&live, &actor).await? {
            let reason =
                format!("{actor} has caused run {run}, and {name} takes somebody else's word for it");
            return Err(EngineError::Forbidden(reason));
        }
        let said = comment.map_or_else(String::new, |comment| format!(": {comment}"));
        if decision == Decision::Reject {
            let reason = format!("{actor} has not let it into {name}{said}");
            self.end_job(id, without_machine(Conclusion::Failure, None), Some(reason)).await;
            return Ok(());
        }
        // The rules may have changed while it waited, or not have been readable before.
        if let Gate::Closed(reason) = environment::gate(&rules, Some(&name), &live.what.reference, since) {
            self.end_job(id, without_machine(Conclusion::Failure, None), Some(reason)).await;
            return Ok(());
        }
        let said = format!("{actor} has let this job into the environment {name}{said}");
        let until = environment::waits_until(&rules, Some(&name), since);
        let until = until.filter(|until| *until > Timestamp::now());
        info!(job = %id, actor, environment = name, "job let into its environment");
        self.approved(id, said, until.map(|until| Hold { environment: name, until: Some(until) })).await
    }

    /// Nobody's word is missing any more: the job is queued, or waits for its time.
    async fn approved(&mut self, id: JobId, said: String, hold: Option<Hold>) -> Result<(), EngineError> {
        let Some(live) = self.live.get_mut(&run_of(id)) else { return Err(EngineError::Missing(id.into())) };
        let at = Timestamp::now();
        let mut changes = vec![match &hold {
            Some(hold) => Change::JobDelayed { job: id, until: hold.until.unwrap_or(at), reason: why(hold) },
            None => Change::JobQueued { job: id, at },
        }];
        let before = live.hold(id, hold.clone());
        changes.extend(live.held_or_resumed());
        if let Err(error) = self.parts.store.apply(changes).await {
            live.hold(id, before);
            drop(live.held_or_resumed());
            return Err(error.into());
        }
        if let Some(job) = live.jobs.get_mut(&id) {
            job.let_in_by = Some(said);
        }
        match hold {
            Some(hold) => self.queue.held(id, hold),
            None => self.queue.approved(id),
        }
        Ok(())
    }

    /// A job has waited as long as its environment says.
    pub(super) async fn time_lets_in(&mut self, id: JobId) {
        let run = run_of(id);
        self.look_at_environments(run).await;
        let Some(live) = self.live.get_mut(&run) else { return self.queue.ended(id, Timestamp::now()) };
        if let Some(reason) = live.kept_out(id) {
            return self.end_job(id, without_machine(Conclusion::Failure, None), Some(reason)).await;
        }
        live.hold(id, None);
        let mut changes = vec![Change::JobQueued { job: id, at: Timestamp::now() }];
        changes.extend(live.held_or_resumed());
        self.write(changes).await;
        info!(job = %id, "job has waited as long as its environment says");
        self.queue.approved(id);
    }

    /// Whether it was somebody of this name who has caused a run, or had it run again. Who signs in at the forge is
    /// `@login` here.
    async fn has_caused(&self, run: &Run, actor: &str) -> Result<bool, EngineError> {
        let plain = |name: &str| name.trim_start_matches('@').to_ascii_lowercase();
        let attempts = self.parts.store.attempts(run.id).await?;
        let latest = attempts.last().map(|attempt| plain(&attempt.actor));
        Ok(plain(&run.what.actor) == plain(actor) || latest == Some(plain(actor)))
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
        let Some(place) = self.live.get(&run).map(|live| live.repository.place.clone()) else { return };
        let environments = self.environments(&place).await;
        if let Some(live) = self.live.get_mut(&run) {
            live.environments = environments;
        }
    }

    /// The rules of a repository's environments. Where they can't be read, somebody must let in every job that has
    /// an environment.
    pub(super) async fn environments(&self, place: &str) -> Option<Vec<Environment>> {
        let read = environment::of_place(&*self.parts.store, place).await;
        read.inspect_err(|error| error!(%error, "who may be let into environments is not known")).ok()
    }
}
