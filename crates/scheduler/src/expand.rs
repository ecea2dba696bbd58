//! From a delivery to runs: which workflows of exactly that commit the event starts.

mod again;
mod approval;
mod known;
mod own;
mod priority;
mod trust;
pub(crate) mod why_not;

use std::sync::Arc;
use std::time::{Duration, Instant};

use forge::git::{MirrorError, Want};
use forge::github::event::{Meaning, Start, read};
use forge::repository::RepositoryRef;
use model::{RepositoryId, RunState, Timestamp};
use serde_json::Value as Json;
use store::query::RunFilter;
use store::record::{Delivery, Expansion, LONGEST_WAIT, NewRun, RepositoryFacts};
use store::{Store, StoreError};
use workflow::syntax::Workflow;
use workflow::trigger::{Decision, Event, decide, resolve_inputs};

pub(crate) use again::not_yet;
pub use approval::Approval;
pub(crate) use approval::approved_key;
pub use own::OwnApp;
pub use priority::Priorities;

use crate::chain;
use crate::engine::RunAgain;
use crate::facts::RunFacts;
use crate::origin::Origin;
use crate::recipe::File;
use crate::workflows::FOLDER;
use why_not::WhyNot;

/// Tries of a delivery whose commit can't be had: with the waits between them, more than two hours.
pub(crate) const TRIES: u32 = 12;

/// Tries of a pull request that has no trial merge, half a minute: GitHub makes it some moments after it tells of the
/// pull request, or never, where there is a conflict.
const MERGE_TRIES: u32 = 4;

/// Wait after the first try that failed; it doubles.
const FIRST_WAIT: Duration = Duration::from_secs(5);

/// Makes runs of deliveries.
pub struct Expander {
    /// Where repositories are remembered.
    pub store: Arc<dyn Store>,
    /// Where they come from.
    pub origin: Arc<Origin>,
    /// Who must be approved first.
    pub approval: Approval,
    /// Who goes before others.
    pub priorities: Priorities,
    /// The GitHub App that this server is.
    pub app: Option<OwnApp>,
}

/// What comes of a delivery.
pub enum Outcome {
    /// Runs, or the reason for none.
    Expansion(Expansion),
    /// Runs that have ended are to run again.
    Again(RunAgain),
}

/// Why a delivery has not become runs.
#[derive(Debug)]
pub(crate) enum Hindrance {
    /// A few times more, soon; then it is as it is.
    Soon(String),
    /// Once more later.
    Later(String),
    /// Not before somebody has mended it here, as where a token may not read; sent again, the delivery is tried anew.
    Mended(String),
    /// Never.
    Never(String),
}

impl Expander {
    /// What comes of a delivery.
    ///
    /// # Errors
    /// The store can't be reached.
    pub async fn expand(
        &self,
        delivery: &Delivery,
        body: &[u8],
        now: Timestamp,
    ) -> Result<Outcome, StoreError> {
        let ignored = |reason: &str| Ok(Outcome::Expansion(Expansion::Ignored(reason.to_owned())));
        let payload: Arc<Json> = match serde_json::from_slice(body).map(Arc::new) {
            Ok(payload) => payload,
            Err(error) => return Ok(failed(format!("its body is not JSON: {error}"))),
        };
        let reading = match read(&delivery.event, &payload) {
            Ok(reading) => reading,
            Err(error) => return Ok(failed(error.to_string())),
        };
        let Some(repository) = reading.repository else {
            return match reading.meaning {
                Meaning::Ping => ignored("GitHub tried whether anybody is there"),
                Meaning::Nothing(reason) => ignored(&reason),
                _ => ignored("it is about no repository"),
            };
        };
        let is_own = self.app.as_ref().is_some_and(|app| app.has_made(&payload));
        match self.has_done(delivery, reading.sender.as_deref()).await {
            Ok(false) => {}
            Ok(true) => return ignored("this server's own App did it, as jobs do with their tokens"),
            Err(hindrance) => return Ok(Outcome::Expansion(not_yet(delivery, hindrance, now))),
        }
        let starts = match reading.meaning {
            Meaning::Rerequested(again) if is_own => {
                return self.wanted_again(delivery, &repository, &again, reading.sender, now).await;
            }
            // Or runs would follow runs for ever.
            Meaning::Start(_) if is_own => return ignored("it is about a check of this server's own"),
            Meaning::Start(starts) => starts,
            Meaning::Rerequested(again) => again.starts,
            Meaning::Ping => return ignored("GitHub tried whether anybody is there"),
            Meaning::Nothing(reason) => return ignored(&reason),
        };
        if starts.is_empty() {
            return ignored("it is about a check of another App");
        }
        let facts = self.facts(&repository, reading.installation);
        self.started(delivery, &repository, facts, starts, &payload, now).await.map(Outcome::Expansion)
    }

    /// Whether the App itself has caused what would start something. `Err`: why nobody can say now.
    async fn has_done(&self, delivery: &Delivery, sender: Option<&str>) -> Result<bool, String> {
        match (&self.app, sender) {
            (Some(app), Some(login))
                if !own::is_wished(&delivery.event) && !chain::is_own(&delivery.guid) =>
            {
                app.is(login).await.map_err(|error| error.to_string())
            }
            _ => Ok(false),
        }
    }

    /// The runs of a delivery's events.
    async fn started(
        &self,
        delivery: &Delivery,
        repository: &RepositoryRef,
        facts: RepositoryFacts,
        starts: Vec<Start>,
        payload: &Arc<Json>,
        now: Timestamp,
    ) -> Result<Expansion, StoreError> {
        let id = match self.known(facts, now).await? {
            Ok(id) => id,
            Err(error) => return Ok(not_yet(delivery, error.to_string(), now)),
        };
        let level = match self.level(delivery, id, payload).await? {
            Ok(level) => level,
            Err(reason) => return Ok(Expansion::Ignored(reason)),
        };
        // What the repository was like when it came, or when it was to be tried again.
        let due = Instant::now().checked_sub(now.since(delivery.next_try)).unwrap_or_else(Instant::now);
        let (mut runs, mut reasons) = (Vec::new(), Vec::new());
        for start in starts {
            match self.start(id, repository, start, payload, due).await {
                Ok((more, why_not)) => {
                    runs.extend(more.into_iter().map(|run| with_fact(run, "level", level.into())));
                    reasons.extend(why_not);
                }
                Err(hindrance) if delivery.tries + 1 < hindrance.tries() => {
                    let next_try = now.after(wait_after(delivery.tries));
                    return Ok(Expansion::Later { reason: hindrance.reason(), next_try });
                }
                // Other events of the same delivery may well run: `pull_request_target` does without a merge.
                Err(Hindrance::Soon(reason) | Hindrance::Never(reason)) => reasons.push(WhyNot::all(reason)),
                Err(Hindrance::Later(reason) | Hindrance::Mended(reason)) => {
                    return Ok(Expansion::Failed(reason));
                }
            }
        }
        Ok(match runs.is_empty() {
            true if reasons.is_empty() => Expansion::Ignored("no workflow listens to it".to_owned()),
            true => Expansion::Ignored(why_not::told(&reasons)),
            false => Expansion::Runs(runs),
        })
    }

    /// How many runs those of a delivery follow. `Err`: it tells of a run that is told of here.
    async fn level(
        &self,
        delivery: &Delivery,
        repository: RepositoryId,
        payload: &Json,
    ) -> Result<Result<u32, String>, StoreError> {
        if delivery.event != "workflow_run" {
            return Ok(Ok(0));
        }
        if let Some(followed) = chain::followed(&delivery.guid) {
            let facts = self.store.run(followed).await?.map(|run| RunFacts::from_json(&run.what.facts));
            return Ok(Ok(facts.and_then(Result::ok).map_or(0, |facts| facts.level) + 1));
        }
        let text = |pointer: &str| payload.pointer(pointer).and_then(Json::as_str).map(str::to_owned);
        let (Some(path), Some(sha)) = (chain::path_of(payload), text("/workflow_run/head_sha")) else {
            return Ok(Ok(0));
        };
        let own = RunFilter {
            repository: Some(repository),
            workflow_path: Some(path.to_owned()),
            event: text("/workflow_run/event"),
            sha: Some(sha),
            ..RunFilter::default()
        };
        Ok(match self.store.runs(&own, 1).await?.first() {
            Some(run) => {
                Err(format!("{path} runs here as well, and run {} is the one that others follow", run.id))
            }
            None => Ok(0),
        })
    }

    fn facts(&self, repository: &RepositoryRef, installation: Option<u64>) -> RepositoryFacts {
        RepositoryFacts {
            forge: "github".to_owned(),
            full_name: repository.name.to_string(),
            forge_id: Some(repository.id),
            default_branch: repository.default_branch.clone().unwrap_or_default(),
            is_private: repository.private,
            clone_url: self.origin.url(&repository.name),
            installation,
        }
    }

    /// The runs of one event, as the repository was at `since` or later, and why other workflows have none.
    pub(crate) async fn start(
        &self,
        id: RepositoryId,
        repository: &RepositoryRef,
        mut start: Start,
        payload: &Arc<Json>,
        since: Instant,
    ) -> Result<(Vec<NewRun>, Vec<WhyNot>), Hindrance> {
        let want: Vec<Want> = Vec::from(&start);
        let mirror = self.origin.mirror(repository.name.as_str(), &want, since).await?;
        let mut objects = mirror.objects();
        let sha = objects.resolve(&start.commit).await?;
        if start.is_of_some_ref() {
            start.reference = mirror.ref_of(&start.reference, &sha).await?.unwrap_or_default();
        }
        let workflow_sha = objects.resolve(&start.workflows_from).await?;
        let files = objects.files(&workflow_sha, FOLDER).await?;
        let is_asked = |path: &str| start.workflow.as_ref().is_none_or(|only| only == path);
        let files = files.into_iter().filter(|(path, _)| is_workflow(path) && is_asked(path));
        let files: Vec<Found> = files.map(|(path, bytes)| Found::new(path, &bytes)).collect();
        let changed = match files.iter().any(Found::asks_for_paths) {
            true => mirror.changed(&start.diff).await?,
            false => None,
        };
        let message = match start.head_message.clone() {
            Some(message) => message,
            None => mirror.message(start.message_from(&sha)).await?,
        };
        let event = Event {
            name: start.event.clone(),
            payload: Arc::clone(payload),
            changed_files: changed,
            head_commit_message: Some(message.clone()),
        };
        let (mut runs, mut reasons) = (Vec::new(), Vec::new());
        for found in &files {
            let candidate =
                Candidate { id, start: &start, sha: &sha, workflow_sha: &workflow_sha, message: &message };
            match candidate.judge(found, &event) {
                Ok(mut run) => {
                    run.priority = self.priorities.of(repository.name.as_str(), &run, &start);
                    self.approval.hold(&mut run, &start, &*self.store).await;
                    runs.push(run);
                }
                Err(reason) => reasons.push(WhyNot::of(&found.file.path, reason)),
            }
        }
        Ok((runs, reasons))
    }
}

/// A file in the folder of workflows.
struct Found {
    file: File,
    workflow: Option<Workflow>,
    /// What is wrong with it. What is wrong in a job does not hide which events the file listens to.
    problem: Option<String>,
}

impl Found {
    fn new(path: String, bytes: &[u8]) -> Found {
        let text = workflow::schema::decode(&path, bytes).map(str::to_owned);
        let problem = text.as_ref().err().map(ToString::to_string);
        let file = File { text: text.unwrap_or_default(), path };
        if problem.is_some() {
            return Found { file, workflow: None, problem };
        }
        let (workflow, problem) = file.parse();
        Found { file, workflow, problem: problem.map(|error| error.0) }
    }

    fn asks_for_paths(&self) -> bool {
        let mut triggers = self.workflow.iter().flat_map(|workflow| &workflow.on);
        triggers.any(|trigger| trigger.paths.is_some() || trigger.paths_ignore.is_some())
    }
}

/// A workflow file that may run by an event.
struct Candidate<'a> {
    id: RepositoryId,
    start: &'a Start,
    sha: &'a str,
    workflow_sha: &'a str,
    message: &'a str,
}

impl Candidate<'_> {
    /// Its run, or why it has none.
    fn judge(&self, found: &Found, event: &Event) -> Result<NewRun, String> {
        let (path, text, problem) =
            (found.file.path.as_str(), found.file.text.as_str(), found.problem.clone());
        let Some(workflow) = &found.workflow else {
            return self.broken(path, text, problem.unwrap_or_default());
        };
        match (decide(workflow, event), problem) {
            (Decision::Skip(reason), _) => Err(reason),
            (Decision::Invalid(problems), _) => {
                self.broken(path, text, Decision::Invalid(problems).to_string())
            }
            (Decision::Run, Some(problem)) => {
                Ok(self.run(path, text, Some(workflow), Json::Null, Some(problem)))
            }
            (Decision::Run, None) => match self.inputs(workflow, event) {
                Ok(inputs) => Ok(self.run(path, text, Some(workflow), inputs, None)),
                Err(problem) => Ok(self.run(path, text, Some(workflow), Json::Null, Some(problem))),
            },
        }
    }

    /// A file of which nobody can say what it listens to: as on GitHub, a push makes a run that has failed.
    fn broken(&self, path: &str, text: &str, problem: String) -> Result<NewRun, String> {
        match self.start.event.as_str() {
            "push" => Ok(self.run(path, text, None, Json::Null, Some(problem))),
            _ => Err(problem),
        }
    }

    fn inputs(&self, workflow: &Workflow, event: &Event) -> Result<Json, String> {
        if event.name != "workflow_dispatch" {
            return Ok(Json::Null);
        }
        let given = workflow::trigger::event_inputs(&event.payload["inputs"]);
        let given = given.as_object().cloned().unwrap_or_default();
        let text = |value: Json| value.as_str().unwrap_or_default().to_owned();
        let given = given.into_iter().map(|(name, value)| (name, text(value))).collect();
        resolve_inputs(workflow, given)
            .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    }

    fn run(
        &self,
        path: &str,
        text: &str,
        workflow: Option<&Workflow>,
        inputs: Json,
        problem: Option<String>,
    ) -> NewRun {
        let start = self.start;
        let name = workflow.and_then(|workflow| workflow.name.as_ref()).map(|name| name.value.clone());
        let facts = RunFacts {
            start: start.clone(),
            workflow_sha: self.workflow_sha.to_owned(),
            text: text.to_owned(),
            inputs,
            payload: None,
            level: 0,
        };
        let pull = start.pull_request.as_ref();
        let headline = self.message.lines().next().unwrap_or_default();
        let branch =
            start.reference.strip_prefix("refs/heads/").or(start.reference.strip_prefix("refs/tags/"));
        NewRun {
            repository: self.id,
            workflow_path: path.to_owned(),
            workflow_name: name.filter(|name| !name.is_empty()).unwrap_or_else(|| path.to_owned()),
            title: headline.to_owned(),
            event: start.event.clone(),
            reference: start.reference.clone(),
            sha: self.sha.to_owned(),
            head_sha: pull.map_or(self.sha, |pull| &pull.head_sha).to_owned(),
            head_branch: pull.map_or(branch.unwrap_or(&start.reference), |pull| &pull.head_ref).to_owned(),
            pull_request: pull.map(|pull| pull.number),
            actor: start.actor.clone(),
            trust: trust::of(start),
            priority: 0,
            group: None,
            cancels_group: false,
            queues_all: false,
            state: if problem.is_some() { RunState::Ended } else { RunState::Queued },
            reason: problem,
            facts: facts.to_json(),
        }
    }
}

fn failed(reason: String) -> Outcome {
    Outcome::Expansion(Expansion::Failed(reason))
}

/// The run of an event that no delivery has brought.
pub(crate) fn with_payload(run: NewRun, payload: &Json) -> NewRun {
    with_fact(run, "payload", payload.clone())
}

fn with_fact(mut run: NewRun, name: &str, fact: Json) -> NewRun {
    if let Some(facts) = run.facts.as_object_mut() {
        facts.insert(name.to_owned(), fact);
    }
    run
}

/// Whether a file in the folder of workflows is one.
fn is_workflow(path: &str) -> bool {
    let name = path.strip_prefix(FOLDER).unwrap_or(path).trim_start_matches('/');
    !name.contains('/') && (name.ends_with(".yml") || name.ends_with(".yaml"))
}

pub(crate) fn wait_after(tries: u32) -> Duration {
    FIRST_WAIT.saturating_mul(1u32.checked_shl(tries).unwrap_or(u32::MAX)).min(LONGEST_WAIT)
}

impl Hindrance {
    /// How often a delivery is tried that it is in the way of.
    fn tries(&self) -> u32 {
        match self {
            Hindrance::Soon(_) => MERGE_TRIES,
            Hindrance::Later(_) => TRIES,
            Hindrance::Mended(_) | Hindrance::Never(_) => 1,
        }
    }

    fn reason(self) -> String {
        match self {
            Hindrance::Soon(reason)
            | Hindrance::Later(reason)
            | Hindrance::Mended(reason)
            | Hindrance::Never(reason) => reason,
        }
    }
}

/// Whether what hinders is not the repository's: another try may help, or the operator.
pub(crate) fn is_elsewhere(error: &MirrorError) -> bool {
    error.may_pass() || matches!(error, MirrorError::NoGit(_) | MirrorError::Folder { .. })
}

impl From<MirrorError> for Hindrance {
    fn from(error: MirrorError) -> Hindrance {
        let reason = error.to_string();
        match error {
            MirrorError::NoMerge { .. } => Hindrance::Soon(reason),
            // Git in its own words: nobody knows whether it is for ever.
            MirrorError::Git { .. } => Hindrance::Later(reason),
            _ if is_elsewhere(&error) => Hindrance::Later(reason),
            // What the event or the commit has is as it is.
            MirrorError::Name(_) | MirrorError::NoCommit { .. } | MirrorError::TooLarge { .. } => {
                Hindrance::Never(reason)
            }
            _ => Hindrance::Mended(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use forge::git::NoMerge;

    use super::*;

    #[test]
    fn a_missing_merge_is_waited_for_half_a_minute_and_a_network_for_hours() {
        let repository = || "octo/hello".to_owned();
        let waited = |error: MirrorError| -> Duration {
            (0..Hindrance::from(error).tries() - 1).map(wait_after).sum()
        };
        for reason in [NoMerge::Missing, NoMerge::Behind] {
            let missing = MirrorError::NoMerge { repository: repository(), pull: 7, reason };
            assert_eq!(waited(missing), Duration::from_secs(35));
        }
        let unreachable = MirrorError::Unreachable { repository: repository(), cause: "x".to_owned() };
        assert!(waited(unreachable) > Duration::from_secs(2 * 60 * 60));
        let gone = MirrorError::NoCommit { repository: repository(), what: "branch x".to_owned() };
        assert_eq!(waited(gone), Duration::ZERO);
    }
}
