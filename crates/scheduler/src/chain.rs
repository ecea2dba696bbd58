//! Workflows that follow others: `on: workflow_run`.
//!
//! GitHub tells of runs of its own only, so that runs here are told of here. What is to be told of an attempt follows from
//! the state that it is in and the one that was last told ([`Change::Announced`]); that it waits for people in its midst is
//! not told. Where a workflow of the default branch listens, the event becomes a delivery like any other, whose id names
//! run, attempt, and action: after a crash it is made again and known, so that it is neither lost nor doubled. The intake
//! does the rest.
//!
//! ```text
//! waiting ──requested──► queued ──in_progress──► running ──completed──► ended
//! ```
//!
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows#workflow_run>

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use forge::commit::CommitSpec;
use forge::git::MirrorError;
use forge::github::event::made::{self, FollowedRun};
use model::{RepositoryId, RunId, RunState, Timestamp};
use serde_json::Value as Json;
use store::record::{Attempt, NewDelivery, Repository, Run};
use store::{Change, Store};
use tokio::sync::Notify;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use workflow::syntax::Workflow;
use workflow::trigger::{Event, decide};

use crate::expand::{TRIES, is_elsewhere, wait_after};
use crate::facts::RunFacts;
use crate::origin::Origin;
use crate::workflows::FOLDER;

/// The event.
const EVENT: &str = "workflow_run";

/// Runs that may follow one another: of A → B → C → D → E, GitHub does not start E.
const LEVELS: u32 = 3;

/// What the ids of own deliveries begin with. No webhook has an id with a colon.
const OWN: &str = "workflow_run:";

/// Attempts that are looked at together: what they need is soon told, and one page of them is not much to hold.
const TOGETHER: usize = 64;

/// How long to wait after the store or a mirror has failed.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Tells workflows of the runs that they follow.
pub struct Chain {
    /// Where runs are, and where the events go.
    pub store: Arc<dyn Store>,
    /// Where workflows are.
    pub origin: Arc<Origin>,
    /// Notified of each event.
    pub news: Arc<Notify>,
    /// Where people reach this server, without a slash at its end.
    pub url: String,
}

/// What is known of the workflows that listen.
#[derive(Default)]
struct Known {
    /// By the commit that they are of.
    listeners: BTreeMap<RepositoryId, (String, Arc<Vec<Workflow>>)>,
    /// Repositories in whose mirrors git has failed: how often, and when it is worth another try.
    failed: BTreeMap<RepositoryId, (u32, Instant)>,
}

impl Known {
    /// Whether a repository is left alone for now.
    fn rests(&self, repository: RepositoryId) -> bool {
        self.failed.get(&repository).is_some_and(|(_, next)| Instant::now() < *next)
    }

    /// Git has failed in a way of its own: it is tried as often as with a delivery, and then nobody listens. `Err`: not
    /// yet.
    fn failed(&mut self, repository: RepositoryId, error: MirrorError) -> Result<Workflows, MirrorError> {
        let tries = self.failed.get(&repository).map_or(1, |(tries, _)| tries + 1);
        self.failed.insert(repository, (tries, Instant::now() + wait_after(tries - 1)));
        match tries < TRIES {
            true => Err(error),
            false => nobody(error),
        }
    }
}

type Workflows = Arc<Vec<Workflow>>;

impl Chain {
    /// Works until `stop`. What is not told then, the next life tells.
    pub async fn run(self, stop: CancellationToken) {
        let mut changes = self.store.subscribe();
        let mut known = Known::default();
        loop {
            let told = tokio::select! {
                () = stop.cancelled() => return,
                told = self.round(&mut known) => told,
            };
            if let Err(error) = &told {
                warn!(error, "workflows that follow runs can't be told of them; trying again");
            }
            let is_done = told == Ok(true);
            tokio::select! {
                () = stop.cancelled() => return,
                is_open = is_news(&mut changes) => if !is_open { return },
                () = tokio::time::sleep(LOOK_AGAIN), if !is_done => {}
            }
        }
    }

    /// Tells what is to be told, page by page, and whether that was all. The first of the problems: what can't be told
    /// is in no other's way.
    async fn round(&self, known: &mut Known) -> Result<bool, String> {
        let (mut last, mut problem, mut failing, mut is_all) = (None, None, BTreeSet::new(), true);
        loop {
            let untold = self.store.unannounced(last, TOGETHER).await.map_err(said)?;
            let mut announced = Vec::new();
            for (attempt, before) in &untold {
                match self.tell(attempt, *before, known, &mut failing).await {
                    Ok(true) => announced.push(Change::Announced {
                        run: attempt.run,
                        attempt: attempt.attempt,
                        state: attempt.progress(),
                    }),
                    Ok(false) => is_all = false,
                    Err(error) => drop(problem.get_or_insert(error)),
                }
                last = Some((attempt.run, attempt.attempt));
            }
            if !announced.is_empty() {
                self.store.apply(announced).await.map_err(said)?;
            }
            if untold.len() < TOGETHER {
                return problem.map_or(Ok(is_all), Err);
            }
        }
    }

    /// Tells of an attempt; `false` where its repository is left alone for now. One that is `failing` in this round is
    /// not asked again: each question may take a minute.
    async fn tell(
        &self,
        attempt: &Attempt,
        before: RunState,
        known: &mut Known,
        failing: &mut BTreeSet<RepositoryId>,
    ) -> Result<bool, String> {
        let Some(run) = self.store.run(attempt.run).await.map_err(said)? else { return Ok(true) };
        let facts = RunFacts::from_json(&run.what.facts).map_err(said)?;
        if facts.level >= LEVELS {
            return Ok(true);
        }
        if failing.contains(&run.what.repository) {
            return Err(format!("the repository of run {} failed a moment ago", run.id));
        }
        if known.rests(run.what.repository) {
            return Ok(false);
        }
        let Some(repository) = self.store.repository(run.what.repository).await.map_err(said)? else {
            return Ok(true);
        };
        let listeners = self.listeners(&repository, known).await.map_err(|error| {
            failing.insert(repository.id);
            error.to_string()
        })?;
        if listeners.is_empty() {
            return Ok(true);
        }
        let cause = self.cause(&run, facts).await?;
        for action in due(attempt, before) {
            let payload = self.payload(&run, attempt, action, &repository, &cause).await;
            let event = Event { name: EVENT.to_owned(), payload: payload.into(), ..Event::default() };
            if listeners.iter().any(|workflow| decide(workflow, &event).runs()) {
                self.deliver(&run, attempt, action, &repository, &event.payload).await?;
            }
        }
        Ok(true)
    }

    async fn deliver(
        &self,
        run: &Run,
        attempt: &Attempt,
        action: &str,
        repository: &Repository,
        payload: &Json,
    ) -> Result<(), String> {
        let delivery = NewDelivery {
            guid: format!("{OWN}{}/{}/{action}", run.id, attempt.attempt),
            event: EVENT.to_owned(),
            action: Some(action.to_owned()),
            repository: Some(repository.facts.full_name.clone()),
            payload: payload.to_string().into_bytes(),
            received_at: Timestamp::now(),
        };
        self.store.receive(delivery).await.map_err(said)?;
        info!(run = %run.id, attempt = attempt.attempt, action, "workflows follow a run");
        self.news.notify_one();
        Ok(())
    }

    /// The workflows of the default branch, as far as it has been fetched, that follow others. None where they can't be
    /// read and no further try would help: what only its people can mend must not keep events for ever. `Err`: not now.
    async fn listeners(&self, repository: &Repository, known: &mut Known) -> Result<Workflows, MirrorError> {
        match self.read(repository, known).await {
            Err(error @ MirrorError::Git { .. }) => known.failed(repository.id, error),
            Err(error) => nobody(error),
            Ok(listeners) => {
                known.failed.remove(&repository.id);
                Ok(listeners)
            }
        }
    }

    async fn read(&self, repository: &Repository, known: &mut Known) -> Result<Workflows, MirrorError> {
        let facts = &repository.facts;
        let Some(mirror) = self.origin.mirrors.get(&facts.full_name)? else { return Ok(Arc::default()) };
        let sha = match mirror.resolve(&CommitSpec::Branch(facts.default_branch.clone())).await {
            Ok(sha) => sha,
            Err(MirrorError::NoCommit { .. }) => return Ok(Arc::default()),
            Err(error) => return Err(error),
        };
        if let Some((_, listeners)) = known.listeners.get(&repository.id).filter(|(of, _)| *of == sha) {
            return Ok(Arc::clone(listeners));
        }
        let files = match mirror.files(&sha, FOLDER).await {
            Ok(files) => files,
            // So it is with this commit: said once, and remembered.
            Err(error @ MirrorError::TooLarge { .. }) => {
                known.listeners.insert(repository.id, (sha, Arc::default()));
                return Err(error);
            }
            Err(error) => return Err(error),
        };
        let listeners = Arc::new(files.iter().filter_map(|(path, bytes)| listening(path, bytes)).collect());
        known.listeners.insert(repository.id, (sha, Arc::clone(&listeners)));
        Ok(listeners)
    }

    /// The payload of the event that caused a run; null where it has been forgotten.
    async fn cause(&self, run: &Run, facts: RunFacts) -> Result<Json, String> {
        match (facts.payload, run.delivery) {
            (Some(payload), _) => Ok(payload),
            (None, Some(id)) => {
                let body = self.store.delivery(id).await.map_err(said)?.map(|(_, body)| body);
                Ok(serde_json::from_slice(&body.unwrap_or_default()).unwrap_or_default())
            }
            (None, None) => Ok(Json::Null),
        }
    }

    async fn payload(
        &self,
        run: &Run,
        attempt: &Attempt,
        action: &'static str,
        repository: &Repository,
        cause: &Json,
    ) -> Json {
        let what = &run.what;
        // Not as it was called when it was caused.
        let is_called = |about: &&Json| about["full_name"] == repository.facts.full_name.as_str();
        let about = match cause.get("repository").filter(is_called) {
            Some(about) => about.clone(),
            None => crate::dispatch::reference(repository)
                .map_or(Json::Null, |reference| made::repository(&reference, &self.origin.addresses.server)),
        };
        let message = self.message(repository, &what.head_sha).await;
        let updated_at = match action {
            "completed" => attempt.ended_at,
            "in_progress" => attempt.started_at,
            _ => None,
        };
        made::workflow_run(&FollowedRun {
            action,
            id: run.id,
            number: run.number,
            attempt: attempt.attempt,
            workflow: &what.workflow_name,
            path: &what.workflow_path,
            title: &what.title,
            event: &what.event,
            cause,
            head_branch: &what.head_branch,
            head_sha: &what.head_sha,
            head_message: message.as_deref().unwrap_or(&what.title),
            conclusion: attempt.conclusion.filter(|_| action == "completed"),
            created_at: run.created_at.0,
            started_at: attempt.started_at.map(|at| at.0),
            updated_at: updated_at.unwrap_or(attempt.queued_at).0,
            actor: &what.actor,
            triggering_actor: &attempt.actor,
            page: format!("{}/runs/{}", self.url, run.id),
            api: format!("{}/api/v1/runs/{}", self.url, run.id),
            repository: &about,
            installation: repository.facts.installation,
        })
    }

    async fn message(&self, repository: &Repository, sha: &str) -> Option<String> {
        let mirror = self.origin.mirrors.get(&repository.facts.full_name).ok()??;
        mirror.message(sha).await.ok()
    }
}

/// What is to be told of an attempt, in order. GitHub does not tell that further attempts were asked for.
fn due(attempt: &Attempt, before: RunState) -> Vec<&'static str> {
    let requested = before < RunState::Queued && attempt.attempt == 1;
    let begun = before < RunState::Running && attempt.started_at.is_some();
    let ended = attempt.state == RunState::Ended;
    let told = [(requested, "requested"), (begun, "in_progress"), (ended, "completed")];
    told.into_iter().filter(|(is_due, _)| *is_due).map(|(_, action)| action).collect()
}

/// Nobody listens where that can't be found out, unless another try may help, or the operator's doing.
fn nobody(error: MirrorError) -> Result<Workflows, MirrorError> {
    if is_elsewhere(&error) {
        return Err(error);
    }
    warn!(%error, "no workflows follow the runs of a repository whose workflows can't be read");
    Ok(Arc::default())
}

/// A workflow file that follows others.
fn listening(path: &str, bytes: &[u8]) -> Option<Workflow> {
    let text = workflow::schema::decode(path, bytes).ok()?;
    let (workflow, _) = workflow::schema::read_workflow(path, text, &Default::default());
    workflow.filter(|workflow| workflow.on.iter().any(|trigger| *trigger.event.value == *EVENT))
}

/// Whether a delivery is one of those that are made here.
pub(crate) fn is_own(guid: &str) -> bool {
    guid.starts_with(OWN)
}

/// The run that an own delivery tells of.
pub(crate) fn followed(guid: &str) -> Option<RunId> {
    let (run, _) = guid.strip_prefix(OWN)?.split_once('/')?;
    run.parse().ok().map(RunId)
}

/// The path of the workflow that a delivery of GitHub's tells of: it stands before the ref there.
pub(crate) fn path_of(payload: &Json) -> Option<&str> {
    let path = payload.pointer("/workflow_run/path").and_then(Json::as_str)?;
    Some(path.split_once('@').map_or(path, |(path, _)| path))
}

/// Waits until a run stands otherwise; `false` when none ever will.
async fn is_news(changes: &mut tokio::sync::broadcast::Receiver<Arc<Vec<Change>>>) -> bool {
    let is_of_run = |change: &Change| {
        use Change::{AttemptQueued, RunCreated, RunEnded, RunQueued, RunStarted};
        matches!(
            change,
            RunCreated(_) | RunQueued { .. } | RunStarted { .. } | RunEnded { .. } | AttemptQueued { .. }
        )
    };
    loop {
        match changes.recv().await {
            Ok(together) if together.iter().any(is_of_run) => return true,
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => return true,
            Err(RecvError::Closed) => return false,
        }
    }
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_fails_at_is_tried_as_often_as_a_delivery_and_then_nobody_listens() {
        let failure = || MirrorError::Git {
            repository: "octo/hello".to_owned(),
            operation: "read",
            cause: "fatal: bad config line 1".to_owned(),
        };
        let (mut known, one) = (Known::default(), RepositoryId(1));
        assert!(!known.rests(one));
        for _ in 1..TRIES {
            assert!(known.failed(one, failure()).is_err(), "its events are kept");
            assert!(known.rests(one) && !known.rests(RepositoryId(2)));
        }
        assert!(known.failed(one, failure()).is_ok_and(|listeners| listeners.is_empty()));
    }
}
