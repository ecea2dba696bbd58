//! Where a job stood when a step failed: enough to go on from there in a restored machine.
//!
//! What steps have left behind is that of *before* the failed step, so that it can run again; the
//! machine's files are those of when it ended. No secret is in a checkpoint: where a value holds one,
//! its name stands in its place, and a value with a secret that has no name is left out and told of.

mod sealed;

use model::{Conclusion, Job, Secrets, StepResult};
use serde::{Deserialize, Serialize};

use crate::action::ActionInstance;
use crate::contexts::{StepRecord, StepRecords};
use crate::environment::{Variables, prepend_path};
use crate::job::{JobRun, WorkError};
use crate::mask::Masker;
use crate::step::Frame;
use sealed::Sealed;

/// A job that was halted at a failed step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// Position of the failed step in [`Job::steps`].
    pub step: usize,
    /// What people call it.
    pub name: String,
    /// Path of its script in the machine; `None` for an action.
    pub script: Option<String>,
    /// What could not be written down and is missing when the job goes on, each as a sentence's subject.
    pub lost: Vec<String>,
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

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptRecord {
    outputs: Vec<(String, Sealed)>,
    outcome: Option<Conclusion>,
    conclusion: Option<Conclusion>,
}

/// A use of an action whose post is still to run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptInstance {
    state: Vec<(String, Sealed)>,
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
    /// What the failed step's process was given.
    #[must_use]
    pub fn surroundings(&self, secrets: &Secrets) -> Surroundings {
        let opened: Result<_, _> = self.argv.iter().map(|word| word.open(secrets)).collect();
        let mut found = Surroundings {
            argv: opened.unwrap_or_default(),
            folder: self.folder.open(secrets).unwrap_or_default(),
            ..Surroundings::default()
        };
        for (name, value) in &self.process_env {
            match value.open(secrets) {
                Ok(value) => found.env.push((name.clone(), value)),
                Err(_) => found.withheld.push(name.clone()),
            }
        }
        found
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

/// What a checkpoint is made of, gathered while the job runs.
#[derive(Default)]
pub(crate) struct Watch {
    /// Whether the job halts at a failed step.
    pub(crate) wanted: bool,
    /// How things stood before the step that runs.
    before: Option<Before>,
    /// The last process of the step that runs.
    pub(crate) process: Option<Surroundings>,
    /// The script of the step that runs.
    pub(crate) script: Option<String>,
    /// The job's own environment, before any step.
    env: Variables,
    /// Size of the masker before any step.
    masks: usize,
    /// The step that failed.
    pub(crate) failed: Option<usize>,
    /// The step with which the job goes on; `None`: it begins.
    pub(crate) from: Option<usize>,
}

struct Before {
    env: Variables,
    paths: Vec<String>,
    records: StepRecords,
    instances: Vec<ActionInstance>,
    posts: Vec<usize>,
}

impl JobRun<'_> {
    /// Remembers how things stand before the first step.
    pub(crate) fn watch_from_here(&mut self, wanted: bool) {
        self.watch.wanted = wanted;
        self.watch.env = self.progress.env.clone();
        self.watch.masks = self.log.masker.len();
    }

    /// Remembers how things stand before a step.
    pub(crate) fn note_before(&mut self, frame: &Frame) {
        if !self.watch.wanted {
            return;
        }
        let progress = &self.progress;
        self.watch.before = Some(Before {
            env: progress.env.clone(),
            paths: progress.paths.clone(),
            records: frame.records.clone(),
            instances: progress.instances.clone(),
            posts: progress.posts.clone(),
        });
        (self.watch.process, self.watch.script) = (None, None);
    }

    /// Where the job stands, if it was halted at a failed step.
    pub(crate) fn checkpoint(&mut self) -> Option<Checkpoint> {
        let step = self.watch.failed?;
        let before = self.watch.before.take()?;
        let process = self.watch.process.take().unwrap_or_else(|| {
            let mut variables = self.fixed.machine_variables.clone();
            variables.extend(before.env.clone());
            prepend_path(&mut variables, &before.paths);
            let (folder, env) = (self.place.workspace.clone(), variables.into_iter().collect());
            Surroundings { folder, env, ..Surroundings::default() }
        });
        let masker = &self.log.masker;
        let mut sealer = Sealer { secrets: &self.job.secrets, masker, lost: Vec::new() };
        if masker.len() > self.watch.masks {
            sealer.lost.push("the masks that steps added (::add-mask::)".to_owned());
        }
        if !self.progress.matchers.is_empty() {
            sealer.lost.push("the problem matchers that steps added".to_owned());
        }
        let own = |name: &String, value: &String| self.watch.env.get(name) == Some(value);
        let added = before.env.iter().filter(|(name, value)| !own(name, value));
        let nowhere = || Sealed::seal("", &Secrets::new(), &Masker::new());
        Some(Checkpoint {
            step,
            name: self.plain_name(&self.job.steps[step]),
            script: self.watch.script.take(),
            results: self.progress.results.iter().take(step).cloned().collect(),
            argv: process
                .argv
                .iter()
                .map(|word| sealer.text(word))
                .collect::<Option<_>>()
                .unwrap_or_default(),
            folder: sealer.text(&process.folder).or_else(nowhere)?,
            // Of what only the process had, such as its tokens, nothing is needed to go on.
            process_env: process
                .env
                .iter()
                .filter_map(|(name, value)| Some((name.clone(), sealer.text(value)?)))
                .collect(),
            env: sealer.pairs("the variable", added),
            paths: before.paths.iter().filter_map(|path| sealer.text(path)).collect(),
            records: sealer.records(&before.records),
            instances: before.instances.iter().map(|instance| sealer.instance(instance)).collect(),
            posts: before.posts,
            lost: sealer.lost,
        })
    }

    /// Puts things as they stood before the failed step.
    pub(crate) fn go_on_from(&mut self, checkpoint: &Checkpoint) -> Result<StepRecords, WorkError> {
        let steps = self.job.steps.len();
        let whole = checkpoint.step < steps
            && checkpoint.instances.len() == steps
            && checkpoint.results.len() == checkpoint.step
            && checkpoint.posts.iter().all(|post| *post < steps);
        if !whole {
            return Err(WorkError::Step("What is kept of the job does not fit its steps.".to_owned()));
        }
        let secrets = &self.job.secrets;
        for lost in &checkpoint.lost {
            self.log.warning(crate::job::SET_UP, format!("Not kept, and missing from here on: {lost}."));
        }
        self.progress.env.extend(open_pairs(&checkpoint.env, secrets)?);
        self.progress.paths =
            checkpoint.paths.iter().map(|path| open(path, secrets)).collect::<Result<_, _>>()?;
        self.progress.instances =
            checkpoint.instances.iter().map(|kept| kept.open(secrets)).collect::<Result<_, _>>()?;
        self.progress.posts.clone_from(&checkpoint.posts);
        self.progress.results.clone_from(&checkpoint.results);
        self.watch.from = Some(checkpoint.step);
        open_records(&checkpoint.records, secrets)
    }
}

/// Seals what steps left behind, and notes what can't be.
struct Sealer<'a> {
    secrets: &'a Secrets,
    masker: &'a Masker,
    lost: Vec<String>,
}

impl Sealer<'_> {
    fn text(&self, text: &str) -> Option<Sealed> {
        Sealed::seal(text, self.secrets, self.masker)
    }

    fn pairs<'a>(
        &mut self,
        what: &str,
        pairs: impl IntoIterator<Item = (&'a String, &'a String)>,
    ) -> Vec<(String, Sealed)> {
        let mut kept = Vec::new();
        for (name, value) in pairs {
            match self.text(value) {
                Some(value) => kept.push((name.clone(), value)),
                None => self.lost.push(format!("{what} {name}, which held a secret without a name")),
            }
        }
        kept
    }

    fn records(&mut self, records: &StepRecords) -> Vec<(String, KeptRecord)> {
        let kept = records.iter().map(|(id, record)| {
            let outputs = self.pairs(&format!("an output of step {id},"), &record.outputs);
            (id.clone(), KeptRecord { outputs, outcome: record.outcome, conclusion: record.conclusion })
        });
        kept.collect()
    }

    fn instance(&mut self, instance: &ActionInstance) -> KeptInstance {
        KeptInstance {
            state: self.pairs("the saved state", &instance.state),
            post: instance.post.clone(),
            records: self.records(&instance.records),
            children: instance.children.iter().map(|child| self.instance(child)).collect(),
        }
    }
}

impl KeptInstance {
    fn open(&self, secrets: &Secrets) -> Result<ActionInstance, WorkError> {
        Ok(ActionInstance {
            action: None,
            state: open_pairs(&self.state, secrets)?,
            post: self.post.clone(),
            records: open_records(&self.records, secrets)?,
            children: self.children.iter().map(|child| child.open(secrets)).collect::<Result<_, _>>()?,
        })
    }
}

fn open(text: &Sealed, secrets: &Secrets) -> Result<String, WorkError> {
    text.open(secrets).map_err(|name| {
        WorkError::Step(format!("The job had the secret {name}; give it again with --secret {name}."))
    })
}

fn open_pairs(pairs: &[(String, Sealed)], secrets: &Secrets) -> Result<Variables, WorkError> {
    pairs.iter().map(|(name, value)| Ok((name.clone(), open(value, secrets)?))).collect()
}

fn open_records(records: &[(String, KeptRecord)], secrets: &Secrets) -> Result<StepRecords, WorkError> {
    let mut opened = StepRecords::default();
    for (id, kept) in records {
        if let Some(record) = opened.entry(id) {
            *record = StepRecord {
                outputs: open_pairs(&kept.outputs, secrets)?,
                outcome: kept.outcome,
                conclusion: kept.conclusion,
            };
        }
    }
    Ok(opened)
}
