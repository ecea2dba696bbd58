//! Where a job stood when a step failed: enough to go on from there in a restored machine.
//!
//! What steps have left behind is that of *before* the failed step, so that it can run again; the
//! machine's files are those of when it ended. No secret is in a checkpoint: where a value holds one,
//! its name stands in its place, or its position in the [`Vault`], which is kept with the machine.

mod sealed;
mod vault;
mod watch;

use std::time::Duration;

use model::{Conclusion, Job, Secrets, StepResult};
use serde::{Deserialize, Serialize};

use crate::action::ActionInstance;
use crate::contexts::{StepRecord, StepRecords};
use crate::environment::Variables;
use sealed::{OpenError, Sealed, Sealer};
pub use vault::Vault;
pub(crate) use watch::Watch;

/// A job that was halted at a failed step.
#[derive(Clone, Debug)]
pub struct Halted {
    /// Where it stood; may be written down.
    pub checkpoint: Checkpoint,
    /// What of it must be kept with the machine.
    pub vault: Vault,
}

/// Where a job stood when a step failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// Position of the failed step in [`Job::steps`].
    pub step: usize,
    /// What people call it.
    pub name: String,
    /// The step of a composite action that failed in it, the outermost first.
    pub inside: Vec<Inside>,
    /// Path of its script in the machine; `None` for an action.
    pub script: Option<String>,
    /// How long the job had run before the step, in all attempts.
    spent: Duration,
    /// How many masks the vault must have.
    masks: usize,
    /// Repositories of actions (`owner/repo@ref`) that are in the machine.
    actions: Vec<String>,
    /// How the steps before it ended.
    results: Vec<StepResult>,
    /// The last process of the step; empty where it came to none.
    argv: Vec<Sealed>,
    /// Its working directory.
    folder: Sealed,
    /// Its environment.
    process_env: Vec<(String, Sealed)>,
    /// What steps have set beyond the job's own environment.
    env: Vec<(String, Sealed)>,
    paths: Vec<Sealed>,
    records: Vec<(String, KeptRecord)>,
    instances: Vec<KeptInstance>,
    posts: Vec<usize>,
}

/// A step of a composite action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inside {
    /// Position among the action's steps.
    pub step: usize,
    /// What people call it.
    pub name: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptRecord {
    outputs: Vec<(String, Sealed)>,
    outcome: Option<Conclusion>,
    conclusion: Option<Conclusion>,
}

/// A use of an action: what its stages tell each other, and its steps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptInstance {
    state: Vec<(String, Sealed)>,
    inputs: Vec<(String, Sealed)>,
    post: Option<String>,
    records: Vec<(String, KeptRecord)>,
    children: Vec<KeptInstance>,
}

/// What a step's process was given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Program and arguments; empty where the step came to none.
    pub argv: Vec<String>,
    /// Working directory.
    pub folder: String,
    /// The whole environment, less what holds secrets that were not given.
    pub env: Vec<(String, String)>,
    /// Variables that were left out.
    pub withheld: Vec<String>,
}

impl Checkpoint {
    /// What people call the step that failed, with those of composite actions in it.
    #[must_use]
    pub fn title(&self) -> String {
        let inner =
            self.inside.iter().map(|inside| format!(", in it step {} ('{}')", inside.step + 1, inside.name));
        format!("step {} ('{}'){}", self.step + 1, self.name, inner.collect::<String>())
    }

    /// What the failed step's process was given.
    #[must_use]
    pub fn surroundings(&self, secrets: &Secrets, vault: &Vault) -> Surroundings {
        let opened: Result<_, _> = self.argv.iter().map(|word| word.open(secrets, vault)).collect();
        let mut found = Surroundings {
            argv: opened.unwrap_or_default(),
            folder: self.folder.open(secrets, vault).unwrap_or_default(),
            ..Surroundings::default()
        };
        for (name, value) in &self.process_env {
            match value.open(secrets, vault) {
                Ok(value) => found.env.push((name.clone(), value)),
                Err(_) => found.withheld.push(name.clone()),
            }
        }
        found
    }

    /// What is left of this time.
    pub(crate) fn rest_of(&self, timeout: Duration) -> Duration {
        timeout.saturating_sub(self.spent)
    }

    /// Repositories of actions that are in the machine.
    pub(crate) fn actions(&self) -> &[String] {
        &self.actions
    }
}

/// The job without its secrets, as it may be written down.
#[must_use]
pub fn without_secrets(job: &Job) -> Job {
    let mut job = job.clone();
    job.secrets.clear();
    if let Some(github) = job.contexts.github.as_object_mut() {
        github.remove("token");
    }
    job
}

impl Sealer<'_> {
    fn pairs<'a>(
        &mut self,
        pairs: impl IntoIterator<Item = (&'a String, &'a String)>,
    ) -> Vec<(String, Sealed)> {
        pairs.into_iter().map(|(name, value)| (name.clone(), self.seal(value))).collect()
    }

    fn records(&mut self, records: &StepRecords) -> Vec<(String, KeptRecord)> {
        let kept = records.iter().map(|(id, record)| {
            let outputs = self.pairs(&record.outputs);
            (id.clone(), KeptRecord { outputs, outcome: record.outcome, conclusion: record.conclusion })
        });
        kept.collect()
    }

    fn instance(&mut self, instance: &ActionInstance) -> KeptInstance {
        KeptInstance {
            state: self.pairs(&instance.state),
            inputs: self.pairs(&instance.inputs),
            post: instance.post.clone(),
            records: self.records(&instance.records),
            children: instance.children.iter().map(|child| self.instance(child)).collect(),
        }
    }
}

/// Opens what is sealed, with the secrets given again.
#[derive(Clone, Copy)]
struct Opener<'a> {
    secrets: &'a Secrets,
    vault: &'a Vault,
}

impl Opener<'_> {
    fn text(self, text: &Sealed) -> Result<String, OpenError> {
        text.open(self.secrets, self.vault)
    }

    fn pairs(self, pairs: &[(String, Sealed)]) -> Result<Variables, OpenError> {
        pairs.iter().map(|(name, value)| Ok((name.clone(), self.text(value)?))).collect()
    }

    fn records(self, records: &[(String, KeptRecord)]) -> Result<StepRecords, OpenError> {
        let mut opened = StepRecords::default();
        for (id, kept) in records {
            if let Some(record) = opened.entry(id) {
                let outputs = self.pairs(&kept.outputs)?;
                *record = StepRecord { outputs, outcome: kept.outcome, conclusion: kept.conclusion };
            }
        }
        Ok(opened)
    }

    fn instance(self, kept: &KeptInstance) -> Result<ActionInstance, OpenError> {
        Ok(ActionInstance {
            action: None,
            state: self.pairs(&kept.state)?,
            inputs: self.pairs(&kept.inputs)?,
            post: kept.post.clone(),
            records: self.records(&kept.records)?,
            children: kept.children.iter().map(|child| self.instance(child)).collect::<Result<_, _>>()?,
        })
    }
}
