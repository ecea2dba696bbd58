//! Webhook events: what they mean for workflows.
//!
//! [`read()`] is pure: a payload in, a [`Reading`] out. Which workflows really run is decided where workflows are
//! known; a [`Start`] says on what they would.

mod answer;
mod kind;
pub mod made;
mod pull;
mod read;
mod rerequest;
mod start;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

pub use crate::commit::{CommitSpec, Diff};
use crate::repository::{RepositoryName, RepositoryNameError, RepositoryRef};
pub use answer::answer;
pub use kind::EventKind;
pub use read::read;

/// What a webhook says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Its kind.
    pub kind: EventKind,
    /// The repository that it is about; installations, organisations, and the like have none.
    pub repository: Option<RepositoryRef>,
    /// The installation of the App that it was sent to.
    pub installation: Option<u64>,
    /// What was done (`opened`).
    pub action: Option<String>,
    /// Login of whoever did it.
    pub sender: Option<String>,
    /// What follows from it.
    pub meaning: Meaning,
}

/// What follows from a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// It starts the workflows that listen to one of these: mostly one, but a webhook `pull_request` is the event
    /// `pull_request` and the event `pull_request_target`. Never empty.
    Start(Vec<Start>),
    /// Somebody wants a check again.
    Rerequested(Rerequested),
    /// GitHub has tried whether anybody is there.
    Ping,
    /// Nothing, for this reason.
    Nothing(String),
}

/// All that is needed to start the workflows of an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// Name of the event, as `on` has it.
    pub event: String,
    /// What was done, for `types`.
    pub action: Option<String>,
    /// `GITHUB_REF`: in full; empty for a deployment of a bare commit. Of what
    /// [`Start::is_of_some_ref`], it is a guess that [`crate::git::Mirror::ref_of`] is to correct.
    pub reference: String,
    /// `GITHUB_SHA`: what runs.
    pub commit: CommitSpec,
    /// The commit whose workflow files count.
    pub workflows_from: CommitSpec,
    /// What path filters compare.
    pub diff: Diff,
    /// The pull request that the event is of.
    pub pull_request: Option<PullRequest>,
    /// Whether the code that runs comes from another repository, so that nobody here vouches for it. Never of
    /// `pull_request_target`, which runs the default branch's.
    pub is_fork: bool,
    /// Login of whoever caused it.
    pub actor: String,
    /// Message of the head commit, where the payload has it.
    pub head_message: Option<String>,
    /// The one workflow file that may start (`.github/workflows/ci.yml`), for `workflow_dispatch`.
    pub workflow: Option<String>,
    /// The App whose check the event is about: one's own must start nothing, or runs would follow runs for ever.
    pub app: Option<u64>,
}

impl Start {
    /// The commit whose message people mean, and look for `[skip ci]` in, when `sha` is what runs: of a pull request its
    /// head, not the trial merge.
    /// <https://docs.github.com/en/actions/how-tos/manage-workflow-runs/skip-workflow-runs>
    pub fn message_from<'a>(&'a self, sha: &'a str) -> &'a str {
        match (&self.commit, &self.pull_request) {
            (CommitSpec::Merge { .. }, Some(pull)) => &pull.head_sha,
            _ => sha,
        }
    }

    /// Whether the payload names a ref and does not say of which kind: what is deployed is a branch, a tag, or a commit, and
    /// trust in a branch must not be had by a tag of its name.
    /// <https://docs.github.com/en/rest/deployments/deployments#create-a-deployment>
    pub fn is_of_some_ref(&self) -> bool {
        matches!(self.event.as_str(), "deployment" | "deployment_status") && !self.reference.is_empty()
    }

    /// The ref whose workflow files count: of `github.workflow_ref`.
    pub fn workflow_reference(&self) -> String {
        match &self.workflows_from {
            from if *from == self.commit => self.reference.clone(),
            CommitSpec::Branch(name) => super::refs::branch(name),
            CommitSpec::Tag(name) => super::refs::tag(name),
            CommitSpec::Sha(_) | CommitSpec::Merge { .. } => self.reference.clone(),
        }
    }
}

/// A pull request, as an event of it tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequest {
    /// Its number.
    pub number: u64,
    /// Where its branch is; `None` once that repository has been deleted.
    pub head_repository: Option<RepositoryName>,
    /// Name of its branch.
    pub head_ref: String,
    /// Last commit of its branch.
    pub head_sha: String,
    /// Name of the branch that it would be merged into.
    pub base_ref: String,
    /// Last commit of that branch, when the event was made.
    pub base_sha: String,
    /// Login of its author.
    pub author: String,
    /// The forge's number for them, where it says one: a login may be another's tomorrow.
    #[serde(default)]
    pub author_id: Option<u64>,
    /// What the author is to the repository: `OWNER`, `MEMBER`, `COLLABORATOR`, `CONTRIBUTOR`,
    /// `FIRST_TIME_CONTRIBUTOR`, `FIRST_TIMER`, or `NONE`.
    pub author_association: String,
    /// Whether its branch is in another repository, or in one that is gone.
    pub is_fork: bool,
}

/// A check that somebody wants again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rerequested {
    /// The check run; `None` where all of the suite are meant.
    pub check_run: Option<u64>,
    /// The suite it belongs to.
    pub check_suite: u64,
    /// What its maker called it: of Hearth's, the job's id.
    pub external_id: Option<String>,
    /// The App that made it: only its own are for it to run again.
    pub app: Option<u64>,
    /// The commit.
    pub head_sha: String,
    /// The button that was pressed, where it was one of the check's own.
    pub requested_action: Option<String>,
    /// What it starts besides: workflows that listen to `check_run`, where the check is another's.
    pub starts: Vec<Start>,
}

/// Why a payload can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// It is not an object.
    #[error(
        "the payload of {event} is not a JSON object; set the webhook's content type to application/json"
    )]
    NotAnObject {
        /// The event.
        event: String,
    },
    /// Something that the event can't do without is not there.
    #[error("the payload of {event} has no {field}, without which nobody can say what to run")]
    Missing {
        /// The event.
        event: String,
        /// Where it should be.
        field: &'static str,
    },
    /// Something in it can't be true.
    #[error("the payload of {event} has a {field} that can't be one: '{found}'")]
    Wrong {
        /// The event.
        event: String,
        /// Where it is.
        field: &'static str,
        /// Its beginning.
        found: String,
    },
    /// Its repository has no name that can be used.
    #[error("the payload of {event} is about no repository: {source}")]
    Repository {
        /// The event.
        event: String,
        /// What is wrong with the name.
        source: RepositoryNameError,
    },
}

/// Whether an event is about a check of this App, by its client id or its number.
pub fn is_of_app(payload: &Json, id: &str) -> bool {
    let is_it =
        |app: &Json| app["client_id"] == id || app["id"].as_u64().is_some_and(|n| n.to_string() == id);
    let apps = ["/check_run/app", "/check_suite/app"];
    apps.iter().filter_map(|pointer| payload.pointer(pointer)).any(is_it)
}

impl From<&Start> for Vec<crate::git::Want> {
    /// What a mirror needs besides branches and tags.
    fn from(start: &Start) -> Vec<crate::git::Want> {
        crate::git::Want::of([&start.commit, &start.workflows_from], &start.diff)
    }
}
