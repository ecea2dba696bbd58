//! What a plan needs of the world: the files that a workflow calls, its contexts, secrets, and variables.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use forge::git::MirrorError;
use forge::github::context::{GithubRun, WorkflowRef, github_context};
use model::{Secrets, Trust};
use runner::ActionStore;
use serde_json::{Map, Value as Json};
use store::record::{Repository, Run, Scope};
use store::seal::SealError;
use store::{Store, StoreError};
use workflow::plan::JobPath;
use workflow::resolve::DefaultPermissions;

use crate::expand::is_elsewhere;
use crate::facts::RunFacts;
use crate::origin::Origin;
use crate::recipe::{Again, Earlier, File, Recipe, earlier};
use crate::token;
use crate::workflows::{CallError, called};

/// Opens sealed secrets.
#[async_trait]
pub trait SecretSource: Send + Sync {
    /// The secrets of these scopes, later ones going before earlier ones.
    ///
    /// # Errors
    /// They can't be read, which [may pass](StoreError::may_pass); or one can't be opened: which, and what to do.
    async fn secrets(&self, scopes: &[Scope]) -> Result<Secrets, SecretError>;
}

/// Why secrets can't be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The store can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// One can't be opened.
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// Why a run, or a job, can't start.
#[derive(Debug, thiserror::Error)]
pub(super) enum PrepareError {
    /// It can't as it is, however often it is tried.
    #[error("{0}")]
    Wrong(String),
    /// What it needs can't be had now, which is no fault of the run's.
    #[error("{0}")]
    Unreachable(String),
    /// The store can't be read now: nobody knows anything of it until that has passed.
    #[error("{0}")]
    Unreadable(String),
}

impl From<StoreError> for PrepareError {
    fn from(error: StoreError) -> PrepareError {
        match error.may_pass() {
            true => PrepareError::Unreadable(error.to_string()),
            false => PrepareError::Wrong(error.to_string()),
        }
    }
}

impl From<SecretError> for PrepareError {
    fn from(error: SecretError) -> PrepareError {
        match error {
            SecretError::Store(error) => error.into(),
            SecretError::Seal(error) => PrepareError::Wrong(error.to_string()),
        }
    }
}

impl From<String> for PrepareError {
    fn from(reason: String) -> PrepareError {
        PrepareError::Wrong(reason)
    }
}

impl From<MirrorError> for PrepareError {
    fn from(error: MirrorError) -> PrepareError {
        match is_elsewhere(&error) {
            true => PrepareError::Unreachable(error.to_string()),
            false => PrepareError::Wrong(error.to_string()),
        }
    }
}

impl From<CallError> for PrepareError {
    fn from(error: CallError) -> PrepareError {
        match error {
            CallError::Wrong(problem) => PrepareError::Wrong(problem),
            CallError::Unreachable(problem) => PrepareError::Unreachable(problem),
        }
    }
}

/// Makes recipes of plans.
pub struct Preparer {
    /// Where runs and their events are.
    pub store: Arc<dyn Store>,
    /// Where repositories come from.
    pub origin: Arc<Origin>,
    /// Where called workflows of other repositories come from.
    pub actions: Arc<dyn ActionStore>,
    /// Opens secrets.
    pub secrets: Arc<dyn SecretSource>,
    /// What tokens of jobs may do where no workflow says anything.
    pub permissions: DefaultPermissions,
    /// How long artifacts are kept, in days.
    pub artifact_days: u32,
}

/// What a plan is made of.
pub(super) struct Prepared {
    pub(super) recipe: Recipe,
    pub(super) facts: RunFacts,
    pub(super) repository: Repository,
    pub(super) secrets: Secrets,
}

impl Preparer {
    /// Gathers everything.
    pub(super) async fn prepare(&self, run: &Run) -> Result<Prepared, PrepareError> {
        let facts = RunFacts::from_json(&run.what.facts).map_err(|error| error.to_string())?;
        let repository = self.repository(run).await?;
        let file = File { path: run.what.workflow_path.clone(), text: facts.text.clone() };
        let want: Vec<forge::git::Want> = Vec::from(&facts.start);
        let (name, sha) = (&repository.facts.full_name, &facts.workflow_sha);
        let mirror = self.origin.mirror_with(sha, name, &want).await?;
        let calls = called(&file, &mirror, sha, &*self.actions.for_run()).await?;
        let recipe = Recipe {
            file,
            called: calls.files,
            commits: calls.commits,
            github: self.github(run, &facts).await?,
            vars: self.variables(run).await?,
            inputs: facts.inputs.clone(),
            permissions: self.permissions,
            earlier: self.earlier(run).await?,
        };
        let secrets = self.secrets_of(&repository).await?;
        Ok(Prepared { recipe, facts, repository, secrets })
    }

    /// The `github` context of a run.
    pub(super) async fn github(&self, run: &Run, facts: &RunFacts) -> Result<Json, PrepareError> {
        let repository = self.repository(run).await?;
        let payload = self.payload(run, facts).await?;
        let attempts = self.store.attempts(run.id).await?;
        let triggering = attempts.last().map_or(&run.what.actor, |attempt| &attempt.actor);
        let about = GithubRun {
            event: &run.what.event,
            reference: &run.what.reference,
            sha: &run.what.sha,
            repository: &repository.facts.full_name,
            run: run.id,
            number: run.number,
            attempt: u64::from(run.attempt),
            workflow: WorkflowRef {
                name: &run.what.workflow_name,
                path: &run.what.workflow_path,
                reference: &facts.start.workflow_reference(),
                sha: &facts.workflow_sha,
            },
            actor: &run.what.actor,
            triggering_actor: triggering,
            token: "",
            protected: false,
            retention_days: self.artifact_days,
            addresses: &self.origin.addresses,
        };
        Ok(github_context(&about, payload))
    }

    /// The event of a run: its own, or its delivery's, which is kept as long as the run. Earlier versions forgot
    /// deliveries before their runs; such a run must not run as if its event had been empty.
    async fn payload(&self, run: &Run, facts: &RunFacts) -> Result<Json, PrepareError> {
        if let Some(payload) = &facts.payload {
            return Ok(payload.clone());
        }
        let forgotten = || {
            let event = &run.what.event;
            format!(
                "the {event} event that this run is for was forgotten; start a new run instead of this one"
            )
        };
        let id = run.delivery.ok_or_else(forgotten)?;
        let delivery = self.store.delivery(id).await?;
        let (_, body) = delivery.filter(|(_, body)| !body.is_empty()).ok_or_else(forgotten)?;
        serde_json::from_slice(&body)
            .map_err(|error| format!("the body of delivery {id} can't be read: {error}").into())
    }

    /// `vars`: those of the organisation, and over them those of the repository.
    pub(super) async fn variables(&self, run: &Run) -> Result<Json, PrepareError> {
        let repository = self.repository(run).await?;
        let mut vars = Map::new();
        for scope in scopes(&repository) {
            let found = self.store.variables(&scope).await?;
            vars.extend(found.into_iter().map(|variable| (variable.name, Json::String(variable.value))));
        }
        Ok(Json::Object(vars))
    }

    /// The secrets of a run. To runs whose code nobody vouches for the plan gives none of them.
    pub(super) async fn secrets_of(&self, repository: &Repository) -> Result<Secrets, PrepareError> {
        let mut secrets = self.secrets.secrets(&scopes(repository)).await?;
        token::stand_in(&mut secrets);
        Ok(secrets)
    }

    /// Puts the secrets and variables of its environment into a job that was let into it. They go before all others.
    pub(super) async fn furnish(&self, job: &mut model::Job, place: &str) -> Result<(), PrepareError> {
        let Some(environment) = &job.environment else { return Ok(()) };
        let scope = Scope::Environment(place.to_owned(), environment.clone());
        let variables = self.store.variables(&scope).await?;
        if let (Some(vars), false) = (job.contexts.vars.as_object_mut(), variables.is_empty()) {
            for variable in variables {
                vars.retain(|name, _| !name.eq_ignore_ascii_case(&variable.name));
                vars.insert(variable.name, Json::String(variable.value));
            }
        }
        if job.trust == Trust::Untrusted {
            return Ok(());
        }
        for (name, secret) in self.secrets.secrets(&[scope]).await? {
            job.secrets.retain(|known, _| !known.eq_ignore_ascii_case(&name));
            job.secrets.insert(name, secret);
        }
        Ok(())
    }

    /// What the store knows of a run's repository.
    pub(super) async fn repository(&self, run: &Run) -> Result<Repository, PrepareError> {
        let id = run.what.repository;
        let repository = self.store.repository(id).await?;
        repository.ok_or_else(|| format!("its repository {id} is not known any more").into())
    }

    /// Jobs of earlier attempts that count in this one.
    async fn earlier(&self, run: &Run) -> Result<BTreeMap<JobPath, Earlier>, PrepareError> {
        let attempts = self.store.attempts(run.id).await?;
        let again = attempts.iter().find(|attempt| attempt.attempt == run.attempt);
        let Some(again) = again.and_then(|attempt| attempt.again.clone()) else {
            return Ok(Default::default());
        };
        let again: Again = serde_json::from_value(again).map_err(|error| error.to_string())?;
        let before = run.attempt.saturating_sub(1);
        let jobs = self.store.jobs(run.id, before).await?;
        let inputs = self.store.plan_inputs(run.id, before).await?;
        Ok(earlier(&jobs, &inputs, &again))
    }
}

/// From the widest to the narrowest.
fn scopes(repository: &Repository) -> Vec<Scope> {
    let name = &repository.facts.full_name;
    let owner = name.split_once('/').map_or(name.as_str(), |(owner, _)| owner);
    vec![Scope::Organisation(owner.to_owned()), repository.scope()]
}

/// The setting that says that whose change it is that runs was approved.
pub(super) fn approved_key(run: &Run) -> String {
    let pull = run.what.facts.pointer("/start/pull_request");
    let author = pull.and_then(|pull| pull["author"].as_str()).unwrap_or(&run.what.actor);
    let id = pull.and_then(|pull| pull["author_id"].as_u64());
    crate::expand::approved_key(run.what.repository, author, id)
}
