//! Steps that run while the job goes on, and the steps that wait for them.
//!
//! A background step works on a copy of the job's state. What it leaves behind (outputs, variables, how it ended)
//! is laid over the job's by the step that waits for it: the rule of
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#jobsjob_idstepsbackground>.

use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use model::{Conclusion, Step, StepPhase, StepRef, StepWork};
use tokio::sync::Semaphore;

use super::commands::add_paths;
use super::{Begun, Frame, Stage, StepEnd, StepPlace, StepRun, worse};
use crate::action::ActionInstance;
use crate::cancel::Cancellation;
use crate::checkpoint::Watch;
use crate::contexts::StepRecord;
use crate::job::{Deferred, JobRun, MachineFailure};
use crate::matcher::Matchers;
use crate::process::Stop;

/// Background steps that run at once; more wait for their turn. GitHub's figure.
const AT_ONCE: usize = 10;

/// The background steps of a job.
pub(super) struct Background<'a> {
    running: FuturesUnordered<BoxFuture<'a, (usize, Ended)>>,
    /// In the order in which they were started.
    started: Vec<Started>,
    turns: Arc<Semaphore>,
}

/// A background step that was started.
struct Started {
    /// Its place in the job.
    index: usize,
    name: String,
    begun: Instant,
    cancellation: Cancellation,
    /// Whether a step of the job has cancelled it.
    is_cancelled: bool,
    state: State,
}

/// Where a background step is.
///
/// ```text
/// running --its work ends--> ended --a step waits for it, or cancels it--> settled
/// ```
enum State {
    Running,
    Ended(Box<Ended>),
    Settled(Conclusion),
}

/// What a background step leaves behind.
struct Ended {
    end: Result<StepEnd, MachineFailure>,
    deferred: Deferred,
    matchers: Matchers,
    record: Option<StepRecord>,
    instance: ActionInstance,
}

impl Default for Background<'_> {
    fn default() -> Self {
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        Background { running: FuturesUnordered::new(), started: Vec::new(), turns }
    }
}

impl Background<'_> {
    /// Does some other work, with background steps going on meanwhile.
    pub(super) async fn alongside<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                Some((index, ended)) = self.running.next() => self.note_end(index, ended),
            }
        }
    }

    /// Waits until these have ended.
    async fn wait_for(&mut self, wanted: &[usize]) {
        let runs =
            |started: &Started| wanted.contains(&started.index) && matches!(started.state, State::Running);
        while self.started.iter().any(runs)
            && let Some((index, ended)) = self.running.next().await
        {
            self.note_end(index, ended);
        }
    }

    fn note_end(&mut self, index: usize, ended: Ended) {
        if let Some(started) = self.step(index) {
            started.state = State::Ended(Box::new(ended));
        }
    }

    fn step(&mut self, index: usize) -> Option<&mut Started> {
        self.started.iter_mut().find(|started| started.index == index)
    }

    /// Places of those that were started and that no step has waited for.
    fn unsettled(&self) -> Vec<usize> {
        let open = self.started.iter().filter(|started| !matches!(started.state, State::Settled(_)));
        open.map(|started| started.index).collect()
    }

    /// Their names, for people.
    fn names(&self, wanted: &[usize]) -> String {
        let named = self.started.iter().filter(|started| wanted.contains(&started.index));
        let names: Vec<&str> = named.map(|started| started.name.as_str()).collect();
        names.join(", ")
    }
}

impl<'a> JobRun<'a> {
    /// Starts a step that the job does not wait for.
    pub(super) async fn start_in_background(
        &mut self,
        index: usize,
        frame: &mut Frame,
        background: &mut Background<'a>,
    ) -> Result<(), MachineFailure> {
        let job = self.job;
        let step = &job.steps[index];
        let at = StepRef { index, phase: StepPhase::Main };
        let begun = Instant::now();
        let cancellation = self.cancellation.child();
        let stop = Stop { cancellation: cancellation.clone(), on_cancel: true, deadline: None };
        let place = StepPlace { at, stage: Stage::Main, stop, announce: true };
        let mut instance = std::mem::take(&mut self.progress.instances[index]);
        let mut run = match self.begin_step(step, &place, frame, &instance).await {
            Ok(Begun::Wanted(run)) => run,
            Ok(Begun::Over(end)) => {
                self.progress.instances[index] = instance;
                frame.records.set_result(&step.id, end.outcome, end.conclusion);
                return self.step_over(at, begun, Ok(end));
            }
            Err(failure) => return self.step_over(at, begun, Err(failure)),
        };
        // A cancellation ends it, whatever its condition says.
        run.stop.on_cancel = true;
        self.progress.results.push(self.result(index, StepEnd::both(Conclusion::Skipped)));
        let name = run.name.clone();
        let (mut fork, mut frame) = (self.fork(cancellation.clone()), frame.clone());
        let turns = background.turns.clone();
        background.running.push(Box::pin(async move {
            let end = fork.work_in_turn(step, &mut frame, &mut instance, &mut run, &turns).await;
            let (outcome, conclusion) = end
                .as_ref()
                .map_or((Conclusion::Failure, Conclusion::Failure), |end| (end.outcome, end.conclusion));
            fork.log.step_finished(at, outcome, conclusion, begun.elapsed());
            let record = frame.records.entry(&step.id).cloned();
            let deferred = fork.progress.deferred.unwrap_or_default();
            (index, Ended { end, deferred, matchers: fork.progress.matchers, record, instance })
        }));
        background.started.push(Started {
            index,
            name,
            begun,
            cancellation,
            is_cancelled: false,
            state: State::Running,
        });
        Ok(())
    }

    /// The work of a background step, once it is its turn.
    async fn work_in_turn(
        &mut self,
        step: &Step,
        frame: &mut Frame,
        instance: &mut ActionInstance,
        run: &mut StepRun,
        turns: &Semaphore,
    ) -> Result<StepEnd, MachineFailure> {
        if turns.available_permits() == 0 {
            let note = format!("Waiting for one of the {AT_ONCE} background steps that run to end");
            self.log.note(run.at, &note);
        }
        let _turn = tokio::select! {
            biased;
            reason = run.stop.stopped() => {
                self.stopped(reason, run);
                return Ok(StepEnd::both(Conclusion::Cancelled));
            }
            turn = turns.acquire() => turn,
        };
        self.work(step, frame, instance, run).await
    }

    /// The job as a background step sees it: a copy, whose changes are deferred.
    fn fork(&self, cancellation: Cancellation) -> JobRun<'a> {
        let mut progress = self.progress.clone();
        progress.deferred = Some(Deferred::default());
        JobRun {
            job: self.job,
            guest: self.guest.clone(),
            place: self.place.clone(),
            services: self.services,
            debug: self.debug,
            log: self.log.clone(),
            cancellation,
            evaluator: self.evaluator.clone(),
            fixed: self.fixed.clone(),
            progress,
            programs: self.programs.clone(),
            names: self.names.clone(),
            actions: self.actions.clone(),
            nodes: self.nodes.clone(),
            watch: Watch::default(),
            _tunnel: None,
        }
    }

    /// Runs a step that waits for background steps, or cancels one.
    pub(super) async fn run_control(
        &mut self,
        index: usize,
        frame: &mut Frame,
        background: &mut Background<'a>,
    ) -> Result<(), MachineFailure> {
        let job = self.job;
        let step = &job.steps[index];
        let at = StepRef { index, phase: StepPhase::Main };
        let begun = Instant::now();
        let stop = Stop { cancellation: self.cancellation.clone(), on_cancel: false, deadline: None };
        let place = StepPlace { at, stage: Stage::Main, stop, announce: true };
        let ended = match self.begin_step(step, &place, frame, &ActionInstance::default()).await {
            Ok(Begun::Wanted(mut run)) => self.control(step, frame, background, &mut run).await,
            Ok(Begun::Over(end)) => Ok(end),
            Err(failure) => Err(failure),
        };
        if let Ok(end) = &ended {
            frame.records.set_result(&step.id, end.outcome, end.conclusion);
        }
        self.step_over(at, begun, ended)
    }

    async fn control(
        &mut self,
        step: &Step,
        frame: &mut Frame,
        background: &mut Background<'a>,
        run: &mut StepRun,
    ) -> Result<StepEnd, MachineFailure> {
        let is_cancel = matches!(step.work, StepWork::Cancel { .. });
        let wanted = self.targets(&step.work, background);
        let (doing, done) = if is_cancel { ("Cancelling", "Cancelled") } else { ("Waiting for", "Ended") };
        let what = match wanted.len() {
            0 => "no background steps".to_owned(),
            _ => background.names(&wanted),
        };
        self.log.note(run.at, &format!("{doing} {what}"));
        if is_cancel {
            for started in background.started.iter_mut().filter(|started| wanted.contains(&started.index)) {
                started.is_cancelled = true;
                started.cancellation.cancel();
            }
        }
        background.wait_for(&wanted).await;
        let mut outcome = Conclusion::Success;
        for index in wanted {
            let Some(started) = background.step(index) else { continue };
            let conclusion = self.settle(started, frame)?;
            self.log.note(run.at, &format!("{done}: {} ({})", started.name, conclusion.as_str()));
            let was_asked_to_end = started.is_cancelled && conclusion == Conclusion::Cancelled;
            if !is_cancel && !was_asked_to_end {
                outcome = worse(outcome, conclusion);
            }
        }
        let mut end = StepEnd::both(outcome);
        if outcome == Conclusion::Failure && self.continues(step, run).await? {
            end.conclusion = Conclusion::Success;
        }
        Ok(end)
    }

    /// The started steps that a step waits for, or cancels. One that was skipped was never started.
    fn targets(&self, work: &StepWork, background: &Background<'_>) -> Vec<usize> {
        let started = background.started.iter().map(|started| started.index);
        let is = |index: &usize, id: &str| self.job.steps[*index].id.eq_ignore_ascii_case(id);
        match work {
            StepWork::Wait { steps: None } => background.unsettled(),
            StepWork::Wait { steps: Some(ids) } => {
                started.filter(|index| ids.iter().any(|id| is(index, id))).collect()
            }
            StepWork::Cancel { step } => started.filter(|index| is(index, step)).collect(),
            StepWork::Script(_) | StepWork::Action { .. } => Vec::new(),
        }
    }

    /// Lays what an ended background step leaves behind over the job's state. Gives back how it ended.
    fn settle(&mut self, started: &mut Started, frame: &mut Frame) -> Result<Conclusion, MachineFailure> {
        let index = started.index;
        let ended = match std::mem::replace(&mut started.state, State::Running) {
            State::Ended(ended) => *ended,
            other => {
                let conclusion =
                    if let State::Settled(conclusion) = other { conclusion } else { Conclusion::Cancelled };
                started.state = State::Settled(conclusion);
                return Ok(conclusion);
            }
        };
        let end = ended.end.map_err(|failure| self.in_step(index, &failure))?;
        started.state = State::Settled(end.conclusion);
        self.progress.env.extend(ended.deferred.env);
        // Too many folders were refused when the step asked for them; what is too much only together is not added.
        if let Ok(paths) = add_paths(&self.progress.paths, ended.deferred.paths) {
            self.progress.paths = paths;
        }
        self.progress.matchers.adopt(ended.matchers);
        let id = &self.job.steps[index].id;
        if let (Some(record), Some(left)) = (frame.records.entry(id), ended.record) {
            *record = left;
        }
        frame.records.set_result(id, end.outcome, end.conclusion);
        self.progress.results[index] = self.result(index, end);
        self.progress.instances[index] = ended.instance;
        self.register_post(index);
        Ok(end.conclusion)
    }

    /// The machine has failed, and with it what still ran. A step that had failed before counts as that, though no step
    /// has waited for it.
    pub(super) fn give_up(&mut self, background: &Background<'_>) {
        let failed = StepEnd::both(Conclusion::Failure);
        for started in &background.started {
            let end = match &started.state {
                State::Settled(_) => continue,
                State::Ended(ended) => {
                    let by_itself = ended.end.as_ref().is_ok_and(|end| end.conclusion == Conclusion::Failure);
                    self.progress.has_failed |= by_itself;
                    ended.end.as_ref().map_or(failed, |end| *end)
                }
                State::Running => {
                    let at = StepRef { index: started.index, phase: StepPhase::Main };
                    self.log.step_finished(at, failed.outcome, failed.conclusion, started.begun.elapsed());
                    failed
                }
            };
            self.progress.results[started.index] = self.result(started.index, end);
        }
    }

    /// Waits for what is left behind the last step. A background step that failed fails the job, even where the
    /// step that waited for it goes on: so does GitHub's runner.
    pub(super) async fn end_background(
        &mut self,
        frame: &mut Frame,
        background: &mut Background<'a>,
    ) -> Result<(), MachineFailure> {
        let open = background.unsettled();
        background.wait_for(&open).await;
        for started in &mut background.started {
            let conclusion = self.settle(started, frame)?;
            self.progress.has_failed |= conclusion == Conclusion::Failure;
            if conclusion == Conclusion::Failure && self.progress.status == Conclusion::Success {
                self.progress.status = Conclusion::Failure;
            }
        }
        self.note_cancellation();
        Ok(())
    }
}
