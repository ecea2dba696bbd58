//! A job: what to run, neutral of where it came from.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::{CacheMode, JobId, Permissions, RunId, Template, TokenTerms};

/// One job, ready to be carried out on one machine.
///
/// Everything that depends on the run as a whole has been decided (name, matrix,
/// needs, timeout); everything that depends on the job's own progress is still a
/// [`Template`]. It is plain data, so that a queue can keep it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Unique id of this job of this attempt.
    pub id: JobId,
    /// The run that it belongs to.
    pub run: RunId,
    /// 1 for the first attempt.
    pub attempt: u32,
    /// The job's id in its workflow file: `github.job`.
    pub key: String,
    /// What people see: the evaluated name, with the matrix in brackets.
    pub name: String,
    /// In order of execution.
    pub steps: Vec<Step>,
    /// What is known of the run. The runner adds `env`, `steps`, `runner`, `secrets`, and the
    /// status of `job`.
    pub contexts: Contexts,
    /// Layers of environment, outermost (the workflow's) first; each evaluates to a mapping.
    pub env: Vec<Template>,
    /// Defaults for `run` steps; the job's have been laid over the workflow's.
    pub defaults: RunDefaults,
    /// Name and value of each output, evaluated after the last step.
    pub outputs: Vec<(String, Template)>,
    /// `environment.url`, evaluated after the last step.
    pub environment_url: Option<Template>,
    /// The job's container, where it wants one.
    pub container: Option<Template>,
    /// The job's service containers: a mapping.
    pub services: Option<Template>,
    /// How long all steps together may take.
    pub timeout: Duration,
    /// How long steps may go on after a cancellation.
    pub cancel_timeout: Duration,
    /// Secrets that this job may use.
    pub secrets: Secrets,
    /// Whether the code of this job is trusted with secrets and caches.
    pub trust: Trust,
    /// What it may do with caches, its trust taken into account.
    #[serde(default)]
    pub cache_mode: CacheMode,
    /// What its token may do at most, its trust and the calls around it taken into account.
    #[serde(default)]
    pub permissions: Permissions,
    /// What became of its token.
    #[serde(default)]
    pub token: TokenTerms,
    /// `environment`, evaluated.
    #[serde(default)]
    pub environment: Option<String>,
}

/// The contexts that are fixed when the job starts; each is a JSON object (`null` where there is none).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Contexts {
    /// `github`, with `event`; the runner adds the paths and the action's fields.
    pub github: Json,
    /// `vars`.
    pub vars: Json,
    /// `inputs` of the dispatch or of the reusable workflow.
    pub inputs: Json,
    /// `needs`: result and outputs of each job that this one needs.
    pub needs: Json,
    /// `strategy`.
    pub strategy: Json,
    /// `matrix`.
    pub matrix: Json,
    /// What of `job` is known before it starts: the workflow file that it is defined in.
    #[serde(default)]
    pub job: Json,
}

/// `defaults.run`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunDefaults {
    /// Shell of `run` steps.
    pub shell: Option<Template>,
    /// Directory of `run` steps, relative to the workspace.
    pub working_directory: Option<Template>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The step's id; made up (`__run`, `__actions_checkout_2`) where the file gives none.
    pub id: String,
    /// Name to show; without one it is derived from the work.
    pub name: Option<Template>,
    /// Source of the condition, with the implicit `success() && (...)` already put around it.
    pub condition: String,
    /// The step's own environment: evaluates to a mapping.
    pub env: Option<Template>,
    /// Whether a failure of this step leaves the job going.
    pub continue_on_error: Option<Template>,
    /// Minutes that the step may take.
    pub timeout_minutes: Option<Template>,
    /// Whether the job goes on while it runs. What it leaves behind counts from the step on that waits for it.
    #[serde(default)]
    pub background: bool,
    /// What it does.
    pub work: StepWork,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepWork {
    /// A script for a shell.
    Script(ProcessStep),
    /// An action with its inputs (`with`: evaluates to a mapping).
    Action {
        /// Which action.
        uses: ActionRef,
        /// Its inputs.
        with: Option<Template>,
    },
    /// Nothing, until background steps have ended; it fails if one of them did.
    Wait {
        /// Their ids; `None`: all that were started.
        steps: Option<Vec<String>>,
    },
    /// Ends a background step.
    Cancel {
        /// Its id.
        step: String,
    },
}

impl StepWork {
    /// Says which repository, in which version, an own action (`$/path`) is in.
    pub fn own_is(&mut self, owner: &str, repo: &str, reference: &str) {
        if let StepWork::Action { uses, .. } = self
            && let ActionRef::Own(path) = uses
        {
            let [owner, repo, reference] = [owner, repo, reference].map(str::to_owned);
            *uses = ActionRef::Repository { owner, repo, path: std::mem::take(path), reference };
        }
    }
}

/// A `run` step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProcessStep {
    /// The script.
    pub script: Template,
    /// `bash`, `sh`, `python`, `pwsh`, or a template with `{0}`; the default where absent.
    pub shell: Option<Template>,
    /// Relative to the workspace.
    pub working_directory: Option<Template>,
}

/// Where an action is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionRef {
    /// `./path`: in the job's workspace.
    Local(String),
    /// `$/path`: in the repository of the run, at its commit, whatever is in the workspace. The path has no `$/`.
    Own(String),
    /// `owner/repo[/path]@ref`.
    Repository {
        /// Owner of the repository.
        owner: String,
        /// Name of the repository.
        repo: String,
        /// Folder inside of it; empty for its root.
        path: String,
        /// Branch, tag, or commit.
        reference: String,
    },
    /// `docker://image`.
    Docker(String),
}

impl fmt::Display for ActionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ActionRef::Local(path) => f.write_str(path),
            ActionRef::Own(path) => write!(f, "$/{path}"),
            ActionRef::Docker(image) => write!(f, "docker://{image}"),
            ActionRef::Repository { owner, repo, path, reference } if path.is_empty() => {
                write!(f, "{owner}/{repo}@{reference}")
            }
            ActionRef::Repository { owner, repo, path, reference } => {
                write!(f, "{owner}/{repo}/{path}@{reference}")
            }
        }
    }
}

/// A secret value. `Debug` never shows it.
#[derive(Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Secrets by name. Names are compared without case by the expression engine.
pub type Secrets = BTreeMap<String, Secret>;

/// How far the code of a job is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// Own branches: secrets, caches read and written.
    Trusted,
    /// Forks: no secrets, caches read only.
    Untrusted,
}
