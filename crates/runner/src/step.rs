//! One step: its condition, its work, and what becomes of both.

mod background;
mod commands;
mod context;
mod script;
mod settings;

use std::time::{Duration, Instant};

use background::Background;
pub(crate) use context::set_origin;
use model::{Conclusion, Step, StepPhase, StepRef, StepResult, StepWork};
use serde_json::{Map, Value as Json};
use workflow::expr::Value;

use crate::action::ActionInstance;
use crate::contexts::{Status, StepRecords, StepScope};
use crate::environment::Variables;
use crate::job::{JobRun, MachineFailure, WorkError};
use crate::process::Stop;

/// The steps among which a step runs: those of the job, or those of a composite action.
#[derive(Clone)]
pub(crate) struct Frame {
    /// 0 for the job, one more for each composite action around.
    pub(crate) depth: usize,
    /// What the steps have left behind.
    pub(crate) records: StepRecords,
    /// Set inside of a composite action.
    pub(crate) action: Option<ActionFrame>,
    /// Environment of the steps around: it goes before the job's.
    pub(crate) overrides: Variables,
    /// How the composite action stands; `None` in the job, in pre, and in post.
    pub(crate) status: Option<Conclusion>,
    /// Whether the job halts at the first of the steps that fails.
    pub(crate) halts: bool,
}

/// What steps of a composite action see of it.
#[derive(Clone)]
pub(crate) struct ActionFrame {
    /// The `inputs` context.
    pub(crate) inputs: Value,
    /// `github.action_path`.
    pub(crate) path: String,
    /// `github.action_repository` and `github.action_ref`.
    pub(crate) origin: Option<(String, String)>,
    /// `github.action`: the step of the job that uses it.
    pub(crate) step: String,
}

impl Frame {
    /// The steps of the job itself.
    pub(crate) fn of_job() -> Frame {
        Frame {
            depth: 0,
            records: StepRecords::default(),
            action: None,
            overrides: Variables::new(),
            status: None,
            halts: false,
        }
    }
}

/// One step while it runs.
pub(crate) struct StepRun {
    /// What events call it.
    pub(crate) at: StepRef,
    /// Which part of its life.
    pub(crate) stage: Stage,
    /// Its id.
    pub(crate) id: String,
    /// What people call it.
    pub(crate) name: String,
    /// Ends the names of its command files.
    pub(crate) unique: String,
    /// Inputs of its action.
    pub(crate) inputs: Variables,
    /// What its expressions see.
    pub(crate) scope: StepScope,
    /// `github`, without `event`.
    pub(crate) github: Map<String, Json>,
    /// The `env` context.
    pub(crate) env: Variables,
    /// The part of it that steps below must keep.
    pub(crate) overrides: Variables,
    /// What ends it early.
    pub(crate) stop: Stop,
    /// Whether the job halts where a step inside of it fails.
    pub(crate) halts: bool,
}

/// A step before its work.
enum Begun {
    /// Its condition holds.
    Wanted(Box<StepRun>),
    /// It does not come to its work.
    Over(StepEnd),
}

/// How the work of a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WorkEnd {
    /// Well.
    Success,
    /// Not well.
    Failure,
    /// It was cancelled.
    Cancelled,
    /// Its time was up.
    TimedOut,
}

/// Which part of a step's life is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// An action's pre.
    Pre,
    /// The step.
    Main,
    /// An action's post.
    Post,
}

/// How a step ended, before and after `continue-on-error`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StepEnd {
    pub(crate) outcome: Conclusion,
    pub(crate) conclusion: Conclusion,
    /// Its condition has no value. A composite action ends there, whatever the conditions behind it say; a job
    /// goes on. So does GitHub's runner.
    pub(crate) unjudged: bool,
}

impl StepEnd {
    fn both(conclusion: Conclusion) -> StepEnd {
        StepEnd { outcome: conclusion, conclusion, unjudged: false }
    }
}

/// Longest time that `timeout-minutes` may ask for; more is as good as for ever.
const MAX_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 3600);

impl<'a> JobRun<'a> {
    /// All steps of the job: pre of actions, the steps, and post in reverse order.
    pub(crate) async fn run_steps(&mut self, frame: &mut Frame) -> Result<(), MachineFailure> {
        let mut background = Background::default();
        let ended = self.run_stages(frame, &mut background).await;
        if ended.is_err() {
            self.give_up(&background);
        }
        ended
    }

    async fn run_stages(
        &mut self,
        frame: &mut Frame,
        background: &mut Background<'a>,
    ) -> Result<(), MachineFailure> {
        let job = self.job;
        for index in 0..job.steps.len() {
            // A job that goes on has run them already.
            let is_due = self.watch.from.is_none() && !self.cancellation.is_killed();
            if is_due && self.has_pre(&job.steps[index]) {
                self.run_job_step(index, Stage::Pre, frame).await?;
            }
        }
        for index in self.watch.from.unwrap_or(0)..job.steps.len() {
            if self.cancellation.is_killed() {
                break;
            }
            let stood_well = self.progress.status == Conclusion::Success;
            self.note_before(frame);
            match &job.steps[index] {
                Step { work: StepWork::Wait { .. } | StepWork::Cancel { .. }, .. } => {
                    self.run_control(index, frame, background).await?;
                }
                Step { background: true, .. } => {
                    self.start_in_background(index, frame, background).await?;
                }
                _ => background.alongside(self.run_job_step(index, Stage::Main, frame)).await?,
            }
            self.watch.into.clear();
            if frame.halts && stood_well && self.progress.status == Conclusion::Failure {
                self.watch.failed = Some(index);
                return Ok(());
            }
        }
        self.end_background(frame, background).await?;
        while let Some(index) = self.progress.posts.pop() {
            if self.cancellation.is_killed() {
                break;
            }
            self.run_job_step(index, Stage::Post, frame).await?;
        }
        self.note_cancellation();
        Ok(())
    }
}

impl JobRun<'_> {
    /// A cancelled job stays cancelled, whatever its steps say.
    pub(crate) fn note_cancellation(&mut self) {
        if self.cancellation.is_cancelled() {
            self.progress.status = Conclusion::Cancelled;
        }
    }

    async fn run_job_step(
        &mut self,
        index: usize,
        stage: Stage,
        frame: &mut Frame,
    ) -> Result<(), MachineFailure> {
        let step = &self.job.steps[index];
        let phase = match stage {
            Stage::Pre => StepPhase::Pre,
            Stage::Main => StepPhase::Main,
            Stage::Post => StepPhase::Post,
        };
        let at = StepRef { index, phase };
        let begun = Instant::now();
        let stop = Stop { cancellation: self.cancellation.clone(), on_cancel: true, deadline: None };
        let mut instance = std::mem::take(&mut self.progress.instances[index]);
        let place = StepPlace { at, stage, stop, announce: true };
        let ended = Box::pin(self.run_step(step, place, frame, &mut instance)).await;
        self.progress.instances[index] = instance;
        self.step_over(at, begun, ended)
    }

    /// A step of the job has ended: what the job makes of it.
    fn step_over(
        &mut self,
        at: StepRef,
        begun: Instant,
        ended: Result<StepEnd, MachineFailure>,
    ) -> Result<(), MachineFailure> {
        let failed = StepEnd::both(Conclusion::Failure);
        let end = ended.as_ref().map_or(failed, |end| *end);
        self.log.step_finished(at, end.outcome, end.conclusion, begun.elapsed());
        if at.phase == StepPhase::Main {
            self.progress.results.push(self.result(at.index, end));
        }
        ended.map_err(|failure| self.in_step(at.index, &failure))?;
        if at.phase != StepPhase::Post {
            self.register_post(at.index);
        }
        self.progress.has_failed |= end.conclusion == Conclusion::Failure;
        self.note_cancellation();
        match end.conclusion {
            Conclusion::Failure if self.progress.status == Conclusion::Success => {
                self.progress.status = Conclusion::Failure;
            }
            Conclusion::Cancelled => self.progress.status = Conclusion::Cancelled,
            _ => {}
        }
        Ok(())
    }

    fn result(&self, index: usize, end: StepEnd) -> StepResult {
        let id = self.job.steps[index].id.clone();
        StepResult { id, outcome: end.outcome, conclusion: end.conclusion }
    }

    /// A failure of the machine, with the step in which it was seen.
    fn in_step(&self, index: usize, failure: &MachineFailure) -> MachineFailure {
        let name = self.plain_name(&self.job.steps[index]);
        MachineFailure(format!("step {} ('{name}'): {failure}", index + 1))
    }

    /// Notes that a step's action has a post, if it has.
    fn register_post(&mut self, index: usize) {
        if self.progress.instances[index].has_post() && !self.progress.posts.contains(&index) {
            self.progress.posts.push(index);
        }
    }

    /// Runs one step of the job or of a composite action.
    pub(crate) async fn run_step(
        &mut self,
        step: &Step,
        place: StepPlace,
        frame: &mut Frame,
        instance: &mut ActionInstance,
    ) -> Result<StepEnd, MachineFailure> {
        let end = match self.begin_step(step, &place, frame, instance).await? {
            Begun::Wanted(mut run) => self.work(step, frame, instance, &mut run).await?,
            Begun::Over(end) => end,
        };
        if place.stage == Stage::Main {
            frame.records.set_result(&step.id, end.outcome, end.conclusion);
        }
        Ok(end)
    }

    /// Everything of a step that comes before its work: its environment, its name, and its condition.
    async fn begin_step(
        &mut self,
        step: &Step,
        place: &StepPlace,
        frame: &Frame,
        instance: &ActionInstance,
    ) -> Result<Begun, MachineFailure> {
        self.note_cancellation();
        let mut run = Box::new(self.begin(step, place, frame));
        let env = self.step_env(step, &mut run).await;
        run.name = self.step_name(step, &mut run).await?;
        if place.announce {
            self.log.step_started(place.at, &run.name);
        }
        Ok(match env {
            Err(error) => Begun::Over(self.failed(error, place.at)?),
            Ok(()) => match self.wanted(step, place, instance, &mut run).await {
                Ok(true) => Begun::Wanted(run),
                Ok(false) => Begun::Over(StepEnd::both(Conclusion::Skipped)),
                Err(error) => Begun::Over(StepEnd { unjudged: true, ..self.failed(error, place.at)? }),
            },
        })
    }

    /// The end of a step that never came to its work.
    fn failed(&self, error: WorkError, at: StepRef) -> Result<StepEnd, MachineFailure> {
        match error {
            WorkError::Machine(failure) => Err(failure),
            WorkError::Step(message) => {
                self.log.error(at, message);
                Ok(StepEnd::both(Conclusion::Failure))
            }
        }
    }

    fn begin(&self, step: &Step, place: &StepPlace, frame: &Frame) -> StepRun {
        let status =
            Status { job: self.progress.status, action: frame.status.filter(|_| place.stage == Stage::Main) };
        let mut env = self.progress.env.clone();
        env.extend(frame.overrides.clone());
        let mut scope = self.scope(frame, status, &step.id);
        scope.set_env(&env);
        StepRun {
            at: place.at,
            stage: place.stage,
            id: step.id.clone(),
            name: String::new(),
            unique: String::new(),
            inputs: Variables::new(),
            scope,
            github: self.github(frame, status, &step.id),
            env,
            overrides: frame.overrides.clone(),
            stop: place.stop.clone(),
            halts: false,
        }
    }

    /// Evaluates the step's own `env` and lays it over.
    async fn step_env(&self, step: &Step, run: &mut StepRun) -> Result<(), WorkError> {
        if step.env.is_none() {
            return Ok(());
        }
        for (name, value) in self.evaluator.pairs(step.env.as_ref(), "env", &mut run.scope).await? {
            run.overrides.insert(name.clone(), value.clone());
            run.env.insert(name, value);
        }
        run.scope.set_env(&run.env);
        Ok(())
    }

    /// Whether the condition holds now, and whether it still would if the job were cancelled.
    async fn wanted(
        &self,
        step: &Step,
        place: &StepPlace,
        instance: &ActionInstance,
        run: &mut StepRun,
    ) -> Result<bool, WorkError> {
        let condition = match place.stage {
            Stage::Main => step.condition.as_str(),
            Stage::Pre => self.pre_condition(step),
            Stage::Post => instance.post_condition(),
        };
        if !self.evaluator.condition(condition, &mut run.scope).await? {
            return Ok(false);
        }
        let mut cancelled = run.scope.clone();
        cancelled.status.job = Conclusion::Cancelled;
        cancelled.status.action = run.scope.status.action.map(|_| Conclusion::Cancelled);
        let goes_on = self.evaluator.condition(condition, &mut cancelled).await.unwrap_or(false);
        run.stop.on_cancel = place.stop.on_cancel && !goes_on;
        Ok(true)
    }

    /// The work of a step whose condition holds, and `continue-on-error`.
    async fn work(
        &mut self,
        step: &Step,
        frame: &mut Frame,
        instance: &mut ActionInstance,
        run: &mut StepRun,
    ) -> Result<StepEnd, MachineFailure> {
        let minutes = self.timeout(step, run).await?;
        if let Some(minutes) = minutes {
            let timeout = Duration::try_from_secs_f64(minutes * 60.0).unwrap_or(MAX_TIMEOUT).min(MAX_TIMEOUT);
            run.stop = run.stop.with_deadline(Some(tokio::time::Instant::now() + timeout));
        }
        run.halts = frame.halts && run.stage == Stage::Main && !self.continues(step, run).await?;
        let ended = match (&step.work, run.stage) {
            (StepWork::Script(script), Stage::Main) => self.run_script(script, frame, run).await,
            (StepWork::Script(_) | StepWork::Wait { .. } | StepWork::Cancel { .. }, _) => {
                Ok(WorkEnd::Success)
            }
            (StepWork::Action { uses, with }, _) => {
                Box::pin(self.run_action(uses, with.as_ref(), frame, instance, run)).await
            }
        };
        let outcome = match ended {
            Ok(WorkEnd::Success) => Conclusion::Success,
            Ok(WorkEnd::Failure) => Conclusion::Failure,
            Ok(WorkEnd::Cancelled) => Conclusion::Cancelled,
            Ok(WorkEnd::TimedOut) => {
                self.log.error(
                    run.at,
                    match (minutes, frame.depth) {
                        (Some(minutes), 0) => {
                            let kind = if step.background { "background step" } else { "action" };
                            format!("The {kind} '{}' has timed out after {minutes} minutes.", run.name)
                        }
                        _ => "The action has timed out.".to_owned(),
                    },
                );
                Conclusion::Failure
            }
            Err(WorkError::Machine(failure)) => return Err(failure),
            Err(WorkError::Step(message)) => {
                self.log.error(run.at, message);
                Conclusion::Failure
            }
        };
        let mut end = StepEnd::both(outcome);
        if outcome == Conclusion::Failure && self.continues(step, run).await? {
            end.conclusion = Conclusion::Success;
        }
        Ok(end)
    }
}

/// Where a step stands: given by those who run it.
pub(crate) struct StepPlace {
    /// What events call it; steps of a composite action go by the name of the job's step.
    pub(crate) at: StepRef,
    /// Which part of its life.
    pub(crate) stage: Stage,
    /// What ends it early.
    pub(crate) stop: Stop,
    /// Whether events tell of its start.
    pub(crate) announce: bool,
}

/// A cancellation is worse than a failure, and a failure than anything else.
pub(crate) fn worse(one: Conclusion, other: Conclusion) -> Conclusion {
    match (one, other) {
        (Conclusion::Cancelled, _) | (_, Conclusion::Cancelled) => Conclusion::Cancelled,
        (Conclusion::Failure, _) | (_, Conclusion::Failure) => Conclusion::Failure,
        _ => Conclusion::Success,
    }
}
