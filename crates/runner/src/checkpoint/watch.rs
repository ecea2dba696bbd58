//! Gathers what a checkpoint is made of while a job runs, and puts it in place when one goes on.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{Checkpoint, Halted, Inside, OpenError, Opener, Sealer, Surroundings, Vault};
use crate::action::ActionInstance;
use crate::contexts::StepRecords;
use crate::environment::{Variables, prepend_path};
use crate::job::{JobRun, WorkError};
use crate::matcher::Matchers;
use crate::step::Frame;

/// What a checkpoint is made of, gathered while the job runs.
#[derive(Default)]
pub(crate) struct Watch {
    /// Whether the job halts at a failed step.
    pub(crate) wanted: bool,
    /// How things stood before the step of the job that runs.
    before: Option<Before>,
    /// What steps had left before the step of a composite action that failed.
    pub(crate) left: Option<Left>,
    /// The last process of the step that runs.
    pub(crate) process: Option<Surroundings>,
    /// The script of the step that runs.
    pub(crate) script: Option<String>,
    /// The job's own environment, before any step.
    env: Variables,
    /// Size of the masker before any step.
    masks: usize,
    /// When the first step began, less what earlier attempts had taken.
    begun: Option<Instant>,
    spent: Duration,
    /// The step that failed.
    pub(crate) failed: Option<usize>,
    /// Steps of composite actions that failed in it, the innermost first.
    pub(crate) inside: Vec<Inside>,
    /// The step with which the job goes on; `None`: it begins.
    pub(crate) from: Option<usize>,
    /// Steps of composite actions with which it goes on, the outermost first.
    pub(crate) into: VecDeque<usize>,
}

struct Before {
    left: Left,
    records: StepRecords,
    instances: Vec<ActionInstance>,
    posts: Vec<usize>,
    spent: Duration,
}

/// What steps of all depths leave to those behind them.
pub(crate) struct Left {
    env: Variables,
    paths: Vec<String>,
    matchers: Matchers,
}

impl From<OpenError> for WorkError {
    fn from(error: OpenError) -> WorkError {
        WorkError::Step(error.to_string())
    }
}

impl JobRun<'_> {
    /// Remembers how things stand before the first step.
    pub(crate) fn watch_from_here(&mut self, wanted: bool) {
        self.watch.wanted = wanted;
        self.watch.env = self.progress.env.clone();
        self.watch.masks = self.log.masker.len();
        self.watch.begun = Some(Instant::now());
    }

    /// Remembers how things stand before a step of the job.
    pub(crate) fn note_before(&mut self, frame: &Frame) {
        if !self.watch.wanted {
            return;
        }
        let left = self.left();
        let progress = &self.progress;
        self.watch.before = Some(Before {
            left,
            records: frame.records.clone(),
            instances: progress.instances.clone(),
            posts: progress.posts.clone(),
            spent: self.watch.spent + self.watch.begun.map_or(Duration::ZERO, |begun| begun.elapsed()),
        });
    }

    /// What steps have left before one that begins.
    pub(crate) fn left(&mut self) -> Left {
        (self.watch.process, self.watch.script) = (None, None);
        let progress = &self.progress;
        Left { env: progress.env.clone(), paths: progress.paths.clone(), matchers: progress.matchers.clone() }
    }

    /// Where the job stands, if it was halted at a failed step.
    pub(crate) fn halted(&mut self) -> Option<Halted> {
        let step = self.watch.failed?;
        let mut before = self.watch.before.take()?;
        let left = self.watch.left.take().unwrap_or(before.left);
        let inside: Vec<Inside> = self.watch.inside.drain(..).rev().collect();
        if !inside.is_empty() {
            // A composite action has put it together as it halted.
            before.instances[step] = self.progress.instances[step].clone();
        }
        let process = self.watch.process.take().unwrap_or_else(|| {
            let mut variables = self.fixed.machine_variables.clone();
            variables.extend(left.env.clone());
            prepend_path(&mut variables, &left.paths);
            let (folder, env) = (self.place.workspace.clone(), variables.into_iter().collect());
            Surroundings { folder, env, ..Surroundings::default() }
        });
        let mut sealer = Sealer::new(&self.job.secrets, &self.log.masker);
        let own = |name: &String, value: &String| self.watch.env.get(name) == Some(value);
        let added = left.env.iter().filter(|(name, value)| !own(name, value));
        let masks = self.masks_of_steps();
        let checkpoint = Checkpoint {
            step,
            name: self.plain_name(&self.job.steps[step]),
            inside,
            script: self.watch.script.take(),
            spent: before.spent,
            masks: masks.len(),
            actions: self.actions.in_machine(),
            results: self.progress.results.iter().take(step).cloned().collect(),
            argv: process.argv.iter().map(|word| sealer.seal(word)).collect(),
            folder: sealer.seal(&process.folder),
            process_env: sealer.pairs(process.env.iter().map(|(name, value)| (name, value))),
            env: sealer.pairs(added),
            paths: left.paths.iter().map(|path| sealer.seal(path)).collect(),
            records: sealer.records(&before.records),
            instances: before.instances.iter().map(|instance| sealer.instance(instance)).collect(),
            posts: before.posts,
        };
        let vault = Vault { masks, matchers: left.matchers.to_file(), ..sealer.vault };
        Some(Halted { checkpoint, vault })
    }

    /// What steps have masked. Secrets of the job are not among it: they have names, and need not have been in
    /// the machine.
    fn masks_of_steps(&self) -> Vec<String> {
        let named = |text: &String| self.job.secrets.values().any(|secret| secret.0 == *text);
        let added = self.log.masker.added_after(self.watch.masks);
        added.into_iter().filter(|text| !named(text)).collect()
    }

    /// Puts things as they stood before the failed step. Masks first: nothing may be said before they count.
    pub(crate) fn go_on_from(&mut self, halted: &Halted) -> Result<StepRecords, WorkError> {
        let Halted { checkpoint, vault } = halted;
        let steps = self.job.steps.len();
        let whole = checkpoint.step < steps
            && checkpoint.instances.len() == steps
            && checkpoint.results.len() == checkpoint.step
            && checkpoint.posts.iter().all(|post| *post < steps)
            && checkpoint.masks == vault.masks.len();
        if !whole {
            return Err(WorkError::Step(
                "What is kept of the job does not belong together, or not to this job; run the workflow again."
                    .to_owned(),
            ));
        }
        vault.masks.iter().for_each(|mask| self.log.masker.add(mask));
        if let Some(matchers) = &vault.matchers {
            self.progress.matchers.add(matchers.as_bytes()).map_err(WorkError::Step)?;
        }
        let opener = Opener { secrets: &self.job.secrets, vault };
        self.progress.env.extend(opener.pairs(&checkpoint.env)?);
        self.progress.paths =
            checkpoint.paths.iter().map(|path| opener.text(path)).collect::<Result<_, _>>()?;
        self.progress.instances =
            checkpoint.instances.iter().map(|kept| opener.instance(kept)).collect::<Result<_, _>>()?;
        self.progress.posts.clone_from(&checkpoint.posts);
        self.progress.results.clone_from(&checkpoint.results);
        self.watch.from = Some(checkpoint.step);
        self.watch.into = checkpoint.inside.iter().map(|inside| inside.step).collect();
        self.watch.spent = checkpoint.spent;
        Ok(opener.records(&checkpoint.records)?)
    }
}
