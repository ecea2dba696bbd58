//! Runs that no webhook has asked for: by hand, or by the clock.

use std::sync::Arc;
use std::time::Instant;

use forge::github::event::{Meaning, made, read};
use forge::repository::{RepositoryNameError, RepositoryRef};
use model::{RepositoryId, RunState, Timestamp};
use serde_json::{Map, Value as Json};
use store::record::{NewRun, Repository, Run};
use store::{Store, StoreError};

use crate::engine::Engine;
use crate::expand::{Expander, Hindrance, why_not};
use crate::workflows::FOLDER;

/// Starts runs.
#[derive(Clone)]
pub struct Dispatcher {
    /// Where repositories are known and runs are kept.
    pub store: Arc<dyn Store>,
    /// Finds the workflows.
    pub expander: Arc<Expander>,
    /// Carries the runs out.
    pub engine: Engine,
}

/// What is to start.
#[derive(Clone, Debug, PartialEq)]
pub enum Wish {
    /// `workflow_dispatch`: one workflow.
    Workflow {
        /// Its file, by its whole path or its name in the folder of workflows.
        workflow: String,
        /// Branch or tag, with or without `refs/…` before it; the default branch when absent.
        reference: Option<String>,
        /// Inputs by name.
        inputs: Map<String, Json>,
    },
    /// `repository_dispatch`: all workflows that listen to the type.
    Repository {
        /// The type.
        event_type: String,
        /// What they get as `github.event.client_payload`.
        client_payload: Json,
    },
    /// `schedule`: all workflows with this expression in this time zone.
    Schedule {
        /// The expression, as the file has it.
        cron: String,
        /// Its time zone, as the file has it.
        timezone: Option<String>,
    },
}

/// Why nothing starts.
#[derive(Debug, thiserror::Error)]
pub enum DispatchError {
    /// There is no such repository.
    #[error("repository {0} is not known: send a webhook of it first")]
    Unknown(RepositoryId),
    /// What is asked can't be meant.
    #[error("{0}")]
    Invalid(String),
    /// What it needs can't be reached now.
    #[error("{0}")]
    Unreachable(String),
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<RepositoryNameError> for DispatchError {
    fn from(error: RepositoryNameError) -> DispatchError {
        DispatchError::Invalid(error.to_string())
    }
}

impl Dispatcher {
    /// Starts what is wished, as `actor`. Gives the runs: none where no workflow listens to it.
    ///
    /// # Errors
    /// The repository, the workflow, or the ref is not there, an input is wrong, or git can't reach it.
    pub async fn dispatch(
        &self,
        repository: RepositoryId,
        actor: &str,
        wish: &Wish,
    ) -> Result<Vec<Run>, DispatchError> {
        let known = self.store.repository(repository).await?.ok_or(DispatchError::Unknown(repository))?;
        let by_hand = matches!(wish, Wish::Workflow { .. });
        let found = self.found(&known, actor, wish, Instant::now()).await?;
        let mut runs = Vec::new();
        for run in found {
            if by_hand && run.state == RunState::Ended {
                return Err(DispatchError::Invalid(run.reason.unwrap_or_default()));
            }
            runs.push(self.store.create_run(run, Timestamp::now()).await?);
        }
        self.engine.admit(runs.clone()).await;
        Ok(runs)
    }

    async fn found(
        &self,
        known: &Repository,
        actor: &str,
        wish: &Wish,
        wished: Instant,
    ) -> Result<Vec<NewRun>, DispatchError> {
        let repository = reference(known)?;
        let (event, payload) = self.payload(known, &repository, actor, wish, wished).await?;
        let payload = Arc::new(payload);
        let reading = read(event, &payload).map_err(|error| DispatchError::Invalid(error.to_string()))?;
        let starts = match reading.meaning {
            Meaning::Start(starts) => starts,
            Meaning::Nothing(reason) => return Err(DispatchError::Invalid(reason)),
            Meaning::Ping | Meaning::Rerequested(_) => Vec::new(),
        };
        let (mut runs, mut reasons) = (Vec::new(), Vec::new());
        for start in starts {
            let (found, why_not) =
                self.expander.start(known.id, &repository, start, &payload, wished).await?;
            runs.extend(found.into_iter().map(|run| crate::expand::with_payload(run, &payload)));
            reasons.extend(why_not);
        }
        match wish {
            Wish::Workflow { workflow, .. } if runs.is_empty() => {
                Err(DispatchError::Invalid(match reasons.is_empty() {
                    true => format!("there is no workflow {workflow} on that ref"),
                    false => why_not::told(&reasons),
                }))
            }
            _ => Ok(runs),
        }
    }

    async fn payload(
        &self,
        known: &Repository,
        repository: &RepositoryRef,
        actor: &str,
        wish: &Wish,
        wished: Instant,
    ) -> Result<(&'static str, Json), DispatchError> {
        let origin = &self.expander.origin;
        let about = made::repository(repository, &origin.addresses.server);
        Ok(match wish {
            Wish::Workflow { workflow, reference, inputs } => {
                let mirror =
                    origin.mirror(&known.facts.full_name, &[], wished).await.map_err(Hindrance::from)?;
                let name = reference.as_deref().unwrap_or(&known.facts.default_branch);
                let full = mirror.full_ref(name).await.map_err(Hindrance::from)?;
                let full = full.ok_or_else(|| {
                    DispatchError::Invalid(format!("{} has no branch or tag {name}", known.facts.full_name))
                })?;
                let path = match workflow.contains('/') {
                    true => workflow.clone(),
                    false => format!("{FOLDER}/{workflow}"),
                };
                let inputs = Json::Object(inputs.clone());
                ("workflow_dispatch", made::workflow_dispatch(&about, actor, &full, &path, &inputs))
            }
            Wish::Repository { event_type, client_payload } => {
                ("repository_dispatch", made::repository_dispatch(&about, actor, event_type, client_payload))
            }
            Wish::Schedule { cron, timezone } => {
                ("schedule", made::schedule(&about, actor, cron, timezone.as_deref()))
            }
        })
    }
}

impl From<Hindrance> for DispatchError {
    fn from(hindrance: Hindrance) -> DispatchError {
        match hindrance {
            Hindrance::Soon(reason) | Hindrance::Later(reason) => DispatchError::Unreachable(reason),
            Hindrance::Mended(reason) | Hindrance::Never(reason) => DispatchError::Invalid(reason),
        }
    }
}

/// A known repository, as events name it.
pub(crate) fn reference(known: &Repository) -> Result<RepositoryRef, RepositoryNameError> {
    let facts = &known.facts;
    Ok(RepositoryRef {
        id: facts.forge_id.unwrap_or_default(),
        name: facts.full_name.parse()?,
        default_branch: Some(facts.default_branch.clone()).filter(|branch| !branch.is_empty()),
        private: facts.is_private,
        fork: false,
    })
}
