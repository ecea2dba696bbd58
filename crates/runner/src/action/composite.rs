//! Composite actions: steps within a step.

use model::{Conclusion, Step};

use super::{ActionInstance, LoadedAction};
use crate::checkpoint::Inside;
use crate::contexts::{Status, text_object};
use crate::job::{JobRun, WorkError};
use crate::step::{ActionFrame, Frame, Stage, StepPlace, StepRun, WorkEnd, worse};

/// Composite actions within each other: GitHub's limit.
const COMPOSITE_DEPTH: usize = 9;

impl JobRun<'_> {
    /// Runs one stage of each step of a composite action.
    pub(super) async fn run_composite(
        &mut self,
        steps: &[Step],
        action: &LoadedAction,
        outer: &mut Frame,
        instance: &mut ActionInstance,
        run: &mut StepRun,
    ) -> Result<WorkEnd, WorkError> {
        if outer.depth + 1 > COMPOSITE_DEPTH {
            return Err(WorkError::Step(format!(
                "Composite action depth exceeded max depth {COMPOSITE_DEPTH}"
            )));
        }
        instance.children.resize_with(steps.len(), ActionInstance::default);
        let mut frame = self.composite_frame(action, outer, instance, run);
        let order: Vec<usize> = match run.stage {
            Stage::Pre => (0..steps.len()).filter(|index| self.has_pre(&steps[*index])).collect(),
            Stage::Main => (0..steps.len()).collect(),
            Stage::Post => {
                let mut registered: Vec<usize> =
                    (0..steps.len()).filter(|index| instance.children[*index].has_post()).collect();
                registered.reverse();
                registered
            }
        };
        let from = if run.stage == Stage::Main { self.watch.into.pop_front().unwrap_or(0) } else { 0 };
        let mut end = Conclusion::Success;
        for index in order.into_iter().filter(|index| *index >= from) {
            if self.cancellation.is_killed() {
                // It has not come to its end.
                end = Conclusion::Cancelled;
                break;
            }
            if self.cancellation.is_cancelled() && run.stop.on_cancel && frame.status.is_some() {
                frame.status = Some(Conclusion::Cancelled);
                end = Conclusion::Cancelled;
            }
            let place = StepPlace { at: run.at, stage: run.stage, stop: run.stop.clone(), announce: false };
            let before =
                frame.halts.then(|| (frame.records.clone(), instance.children[index].clone(), self.left()));
            let child = &mut instance.children[index];
            let ended = Box::pin(self.run_step(&steps[index], place, &mut frame, child)).await?;
            if let (Some((records, before, left)), Conclusion::Success, Conclusion::Failure) =
                (before, end, ended.conclusion)
            {
                // The job halts here, and may go on here. Where the step is a composite action that halted itself,
                // it has put its part together.
                if self.watch.inside.is_empty() {
                    instance.children[index] = before;
                    self.watch.left = Some(left);
                }
                let name = self.plain_name(&steps[index]);
                self.watch.inside.push(Inside { step: index, name });
                (instance.records, instance.inputs) = (records, run.inputs.clone());
                return Ok(self.composite_end(Conclusion::Failure, run));
            }
            if ended.unjudged {
                end = Conclusion::Failure;
                break;
            }
            end = worse(end, ended.conclusion);
            if frame.status.is_some() {
                frame.status = Some(end);
            }
        }
        if instance.children.iter().any(ActionInstance::has_post) {
            instance.post = Some(super::ALWAYS.to_owned());
        }
        if run.stage == Stage::Main {
            self.composite_outputs(action, &frame, outer, run).await?;
        }
        instance.records = frame.records;
        Ok(self.composite_end(end, run))
    }

    fn composite_frame(
        &self,
        action: &LoadedAction,
        outer: &Frame,
        instance: &mut ActionInstance,
        run: &StepRun,
    ) -> Frame {
        let inputs = text_object(run.inputs.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let step = outer.action.as_ref().map_or_else(|| run.id.clone(), |action| action.step.clone());
        Frame {
            depth: outer.depth + 1,
            records: std::mem::take(&mut instance.records),
            action: Some(ActionFrame {
                inputs,
                path: action.folder.clone(),
                origin: action.origin.clone(),
                step,
            }),
            overrides: run.overrides.clone(),
            status: (run.stage == Stage::Main).then_some(Conclusion::Success),
            halts: run.halts,
        }
    }

    async fn composite_outputs(
        &mut self,
        action: &LoadedAction,
        frame: &Frame,
        outer: &mut Frame,
        run: &StepRun,
    ) -> Result<(), WorkError> {
        if action.manifest.outputs.is_empty() {
            return Ok(());
        }
        let status = Status { job: self.progress.status, action: None };
        let mut scope = self.scope(frame, status, &run.id);
        scope.set_env(&run.env);
        for (name, template) in &action.manifest.outputs {
            let value = self.evaluator.text(Some(template), &mut scope).await?.unwrap_or_default();
            self.set_output(outer, run, name, &value);
        }
        Ok(())
    }

    fn composite_end(&self, end: Conclusion, run: &StepRun) -> WorkEnd {
        let late = run.stop.deadline.is_some_and(|deadline| tokio::time::Instant::now() >= deadline);
        match end {
            Conclusion::Failure if late => WorkEnd::TimedOut,
            Conclusion::Failure => WorkEnd::Failure,
            Conclusion::Cancelled => WorkEnd::Cancelled,
            Conclusion::Success | Conclusion::Skipped => WorkEnd::Success,
        }
    }
}
