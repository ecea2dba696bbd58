//! Who is let into an environment.

use std::collections::BTreeMap;

use model::{Conclusion, JobId, RunId, Timestamp};
use serde_json::Value as Json;
use store::{Change, Store, StoreError};
use tracing::{error, info};

use crate::environment::{self, Decision, Environment, Gate, Objection};
use crate::queue::{Hold, Key};
use crate::recipe::run_of;

use super::live::{LiveJob, why};
use super::{Core, EngineError, asked, without_machine};

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

impl Core {
    pub(super) async fn review(&mut self, id: JobId, review: Review) -> Result<(), EngineError> {
        let run = run_of(id);
        let live = self.live.get(&run);
        let found = live
            .and_then(|live| Some((live.run.clone(), live.repository.place.clone(), live.jobs.get(&id)?)));
        let Some((live, place, job)) = found else {
            return Err(self.not_waiting(id).await);
        };
        let Some(Hold { environment: name, key: Key::Word { .. } }) = job.hold.clone() else {
            let problem = "does not wait for approval".to_owned();
            return Err(EngineError::Unfit { subject: id.into(), problem });
        };
        let since = job.queued_at;
        let rules = environment::of_place(&*self.parts.store, &place).await?;
        let Review { actor, decision, comment } = review;
        let attempts = self.parts.store.attempts(run).await?;
        let causes = environment::causes(&live, &attempts);
        if let Some(why) =
            environment::objection(environment::named(&rules, &name), &actor, decision, &causes)
        {
            return Err(EngineError::Forbidden(match why {
                Objection::NoReviewer => format!("{actor} is not among the reviewers of {name}"),
                Objection::OwnRun => {
                    format!("{actor} has caused run {run}, and {name} takes somebody else's word for it")
                }
            }));
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
        self.approved(id, said, until.map(|until| Hold { environment: name, key: Key::Time { until } })).await
    }

    /// Nobody's word is missing any more: the job is queued, or waits for its time.
    async fn approved(&mut self, id: JobId, said: String, hold: Option<Hold>) -> Result<(), EngineError> {
        let Some(live) = self.live.get_mut(&run_of(id)) else { return Err(EngineError::Missing(id.into())) };
        let at = Timestamp::now();
        let entry = hold.as_ref().map_or(Change::JobQueued { job: id, at }, |hold| delayed(id, hold));
        let mut changes = vec![entry, keep_approval(id, &said)];
        let before = live.hold(id, hold.clone());
        changes.extend(live.held_or_resumed());
        if let Err(error) = self.parts.store.apply(changes).await {
            live.hold(id, before);
            drop(live.held_or_resumed());
            return Err(error.into());
        }
        if let Some(job) = live.jobs.get_mut(&id) {
            job.let_in_by = Some(said);
            if hold.is_none() {
                job.queued_at = at;
            }
        }
        match hold {
            Some(hold) => self.queue.held(id, hold),
            None => self.queue.approved(id, at),
        }
        Ok(())
    }

    /// The time that a job was to wait for has come, or is none since the clock was set back, as is the time that people
    /// have had for it: what the rules say by now counts.
    pub(super) async fn time_has_come(&mut self, id: JobId) {
        let (run, now) = (run_of(id), Timestamp::now());
        self.look_at_environments(run).await;
        let Some(live) = self.live.get(&run) else { return self.queue.ended(id, now) };
        match live.stands(id, now) {
            Gate::Open => self.time_lets_in(id, now).await,
            Gate::Wait(until) => self.waits_on(id, Key::Time { until }).await,
            Gate::Approval => self.waits_on(id, Key::Word { asked_at: now }).await,
            Gate::Closed(reason) => {
                self.end_job(id, without_machine(Conclusion::Failure, None), Some(reason)).await;
            }
        }
    }

    async fn time_lets_in(&mut self, id: JobId, at: Timestamp) {
        let Some(live) = self.live.get_mut(&run_of(id)) else { return };
        let mut changes = vec![Change::JobQueued { job: id, at }];
        if let Some(job) = live.jobs.get_mut(&id) {
            job.queued_at = at;
        }
        live.hold(id, None);
        changes.extend(live.held_or_resumed());
        self.write(changes).await;
        info!(job = %id, "job has waited as long as its environment says");
        self.queue.approved(id, at);
    }

    /// Before its environment: until then, or until somebody lets it in.
    async fn waits_on(&mut self, id: JobId, key: Key) {
        let Some(live) = self.live.get_mut(&run_of(id)) else { return };
        let Some(hold) = live.hold_on(id, key) else { return self.queue.ended(id, Timestamp::now()) };
        let mut changes = vec![delayed(id, &hold)];
        if let Key::Word { asked_at } = key {
            changes.push(asked::keep(id, asked_at));
        }
        changes.extend(live.held_or_resumed());
        self.write(changes).await;
        info!(job = %id, why = why(&hold), "job waits on, as its environment says by now");
        self.queue.held(id, hold);
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
        self.known(environment::of_place(&*self.parts.store, place).await)
    }

    /// Rules as far as they could be read.
    pub(super) fn known(&self, read: Result<Vec<Environment>, StoreError>) -> Option<Vec<Environment>> {
        read.inspect_err(|error| error!(%error, "who may be let into environments is not known")).ok()
    }
}

fn delayed(job: JobId, hold: &Hold) -> Change {
    Change::JobDelayed { job, until: hold.until(), reason: why(hold) }
}

/// Under this, what was said when jobs of a run were let in, until they have ended: rules that ask for approval are
/// looked at again when a job's time has come, and each try's log says whose word it was.
fn approvals(run: RunId) -> String {
    format!("let-in/{run}/")
}

fn keep_approval(job: JobId, said: &str) -> Change {
    Change::Setting { key: format!("{}{job}", approvals(run_of(job))), value: said.into() }
}

/// Forgets who let a job in that has ended, if somebody has.
pub(super) fn forget_approval(id: JobId, job: &LiveJob) -> Option<Change> {
    job.let_in_by
        .is_some()
        .then(|| Change::Setting { key: format!("{}{id}", approvals(run_of(id))), value: Json::Null })
}

/// The jobs of a run that somebody has let in and that have not ended, with what was said.
pub(super) async fn approvals_of(
    store: &dyn Store,
    run: RunId,
) -> Result<BTreeMap<JobId, String>, StoreError> {
    let prefix = approvals(run);
    let kept = store.settings(&prefix).await?.into_iter();
    let read = |(key, said): (String, Json)| {
        let job = key.strip_prefix(&prefix)?.parse().ok()?;
        Some((JobId(job), said.as_str()?.to_owned()))
    };
    Ok(kept.filter_map(read).collect())
}
