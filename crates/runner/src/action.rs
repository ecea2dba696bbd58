//! `uses` steps: which action, with which inputs, and which of its stages.

mod composite;
mod fetch;
mod inputs;
mod manifest;
mod node;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use model::{ActionRef, Step, StepWork, Template};
use tokio::sync::Mutex;

pub(crate) use fetch::FetchedWhen;
pub(crate) use manifest::{Manifest, ManifestInput, Runs};

use crate::contexts::StepRecords;
use crate::environment::Variables;
use crate::job::{JobRun, WorkError};
use crate::step::{Frame, Stage, StepRun, WorkEnd, set_origin};

/// One use of an action: what its stages tell each other.
#[derive(Clone, Default)]
pub(crate) struct ActionInstance {
    /// The action, once one of its stages has run.
    pub(crate) action: Option<Arc<LoadedAction>>,
    /// `STATE_*`.
    pub(crate) state: Variables,
    /// Inputs of a composite action, where a job may have to go on inside of it.
    pub(crate) inputs: Variables,
    /// The condition of its post, once that is registered.
    pub(crate) post: Option<String>,
    /// What the steps of a composite action have left behind.
    pub(crate) records: StepRecords,
    /// Uses of actions by the steps of a composite action.
    pub(crate) children: Vec<ActionInstance>,
}

impl ActionInstance {
    /// Whether its post is to run.
    pub(crate) fn has_post(&self) -> bool {
        self.post.is_some()
    }

    /// The condition of its post.
    pub(crate) fn post_condition(&self) -> &str {
        self.post.as_deref().unwrap_or("always()")
    }
}

/// An action whose files are in the machine.
pub(crate) struct LoadedAction {
    pub(crate) manifest: Manifest,
    /// Its folder in the machine.
    pub(crate) folder: String,
    /// Its repository and reference; `None` for a local one.
    pub(crate) origin: Option<(String, String)>,
}

/// The actions of a job.
#[derive(Clone, Default)]
pub(crate) struct Actions {
    loaded: HashMap<ActionRef, Arc<LoadedAction>>,
    /// Repositories (`owner/repo@ref`) that are in the machine; locked while one is being unpacked.
    unpacked: Arc<Mutex<HashSet<String>>>,
    /// Those of them that were there before the job went on.
    kept: HashSet<String>,
    /// Which repository the built-in checkout has put into which folder.
    pub(crate) checked_out: HashMap<String, String>,
}

impl Actions {
    /// Repositories (`owner/repo@ref`) that are in the machine.
    pub(crate) fn in_machine(&self) -> Vec<String> {
        // Steps are over when a job halts: nothing is being unpacked then.
        let unpacked = self.unpacked.try_lock().map(|unpacked| unpacked.clone()).unwrap_or_default();
        unpacked.union(&self.kept).cloned().collect()
    }

    /// Takes these as they are in the machine: their references may mean something else by now.
    pub(crate) fn keep(&mut self, repositories: &[String]) {
        self.kept = repositories.iter().cloned().collect();
    }
}

/// The condition of stages that say none.
const ALWAYS: &str = "always()";

impl JobRun<'_> {
    /// Whether a step's action has a pre, its own or that of an action below.
    pub(crate) fn has_pre(&self, step: &Step) -> bool {
        let StepWork::Action { uses: uses @ (ActionRef::Repository { .. } | ActionRef::Own(_)), .. } =
            &step.work
        else {
            return false;
        };
        self.actions.loaded.get(uses).is_some_and(|action| match &action.manifest.runs {
            Runs::Node(node) => node.pre.is_some(),
            Runs::Composite(steps) => steps.iter().any(|step| self.has_pre(step)),
            Runs::Docker | Runs::Checkout => false,
        })
    }

    /// The condition of a step's pre.
    pub(crate) fn pre_condition(&self, step: &Step) -> &str {
        let StepWork::Action { uses, .. } = &step.work else { return ALWAYS };
        match self.actions.loaded.get(uses).map(|action| &action.manifest.runs) {
            Some(Runs::Node(node)) => node.pre_if.as_deref().unwrap_or(ALWAYS),
            _ => ALWAYS,
        }
    }

    /// Runs one stage of an action.
    pub(crate) async fn run_action(
        &mut self,
        uses: &ActionRef,
        with: Option<&Template>,
        frame: &mut Frame,
        instance: &mut ActionInstance,
        run: &mut StepRun,
    ) -> Result<WorkEnd, WorkError> {
        let action = match &instance.action {
            Some(action) => action.clone(),
            None => {
                let stop = run.stop.clone();
                tokio::select! {
                    action = self.load_action(uses, run) => action?,
                    reason = stop.stopped() => return Ok(self.stopped(reason, run)),
                }
            }
        };
        instance.action = Some(action.clone());
        if let Runs::Node(node) = &action.manifest.runs
            && node.post.is_some()
            && run.stage != Stage::Post
        {
            instance.post = Some(node.post_if.clone().unwrap_or_else(|| ALWAYS.to_owned()));
        }
        set_origin(&mut run.github, action.origin.as_ref());
        self.name_command_files(run);
        run.inputs = match run.stage == Stage::Main && !self.watch.into.is_empty() {
            // What they are made of may have changed inside.
            true => instance.inputs.clone(),
            false => self.action_inputs(&action.manifest, with, frame, run).await?,
        };
        if matches!(action.manifest.runs, Runs::Checkout) {
            self.hide_credentials(run);
        }
        self.show_action(uses, run);
        match &action.manifest.runs {
            Runs::Checkout => self.run_checkout(frame, instance, run).await,
            Runs::Composite(steps) => self.run_composite(steps, &action, frame, instance, run).await,
            Runs::Node(node) => {
                let file = match run.stage {
                    Stage::Pre => node.pre.as_deref(),
                    Stage::Main => Some(node.main.as_str()),
                    Stage::Post => node.post.as_deref(),
                };
                let Some(file) = file else { return Ok(WorkEnd::Success) };
                let file = format!("{}/{file}", action.folder);
                let end = self.run_node(&file, node.version, frame, &mut instance.state, run).await?;
                if end == WorkEnd::Failure {
                    self.warn_of_missing_token(&action.manifest, run);
                }
                Ok(end)
            }
            Runs::Docker => Err(fetch::needs_engine(&uses.to_string())),
        }
    }

    /// The group at the head of the step's log.
    fn show_action(&self, uses: &ActionRef, run: &StepRun) {
        if run.stage == Stage::Post {
            self.log.note(run.at, "Post job cleanup.");
            return;
        }
        self.log.start_group(run.at, &format!("Run {uses}"));
        let mut shown = run.inputs.iter().filter(|(_, value)| !value.is_empty()).peekable();
        if shown.peek().is_some() {
            self.log.note(run.at, "with:");
        }
        for (name, value) in shown {
            self.log.note(run.at, &format!("  {name}: {value}"));
        }
        self.show_env(run);
        self.log.end_group(run.at);
    }
}
