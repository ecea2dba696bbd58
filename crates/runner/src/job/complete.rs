//! "Complete job": outputs, the environment's URL, and the result.

use std::time::Instant;

use model::limits::OUTPUT_BYTES;
use model::{Conclusion, JobResult, StepResult};

use super::{COMPLETE, JobRun, MachineFailure, WorkError};
use crate::contexts::{Status, StepScope};
use crate::step::Frame;

impl JobRun<'_> {
    /// Evaluates what the job leaves behind.
    pub(super) async fn complete(mut self, frame: &Frame, failure: Option<MachineFailure>) -> JobResult {
        let begun = Instant::now();
        self.log.step_started(COMPLETE, "Complete job");
        let mut result = JobResult {
            conclusion: self.progress.status,
            infrastructure_error: None,
            decided: self.decided(),
            outputs: Vec::new(),
            environment_url: None,
            steps: self.step_results(),
        };
        let mut failure = failure;
        if failure.is_none() && !self.cancellation.is_killed() {
            failure = self.outputs_and_url(frame, &mut result).await.err();
        }
        let outcome = if failure.is_some() { Conclusion::Failure } else { Conclusion::Success };
        if let Some(failure) = failure {
            let message = format!("job '{}': {failure}", self.job.name);
            self.log.error(COMPLETE, format!("The machine failed: {message}"));
            // What the job had come to before stands whatever becomes of its machine: another try, which this error
            // is to lead to, could only hide that.
            if result.decided.is_none() {
                result.conclusion = Conclusion::Failure;
                result.infrastructure_error = Some(self.log.masker.mask(&message).into_owned());
            }
            result.outputs.clear();
        }
        self.log.step_finished(COMPLETE, outcome, outcome, begun.elapsed());
        result
    }

    fn decided(&self) -> Option<Conclusion> {
        match (self.progress.has_failed, self.cancellation.has_expired()) {
            (true, _) => Some(Conclusion::Failure),
            (false, true) => Some(Conclusion::Cancelled),
            (false, false) => None,
        }
    }

    /// Each step of the file; those that were never reached are skipped.
    fn step_results(&self) -> Vec<StepResult> {
        let reached = self.progress.results.iter().cloned();
        let rest = self.job.steps.iter().skip(self.progress.results.len()).map(|step| StepResult {
            id: step.id.clone(),
            outcome: Conclusion::Skipped,
            conclusion: Conclusion::Skipped,
        });
        reached.chain(rest).collect()
    }

    async fn outputs_and_url(&mut self, frame: &Frame, result: &mut JobResult) -> Result<(), MachineFailure> {
        if self.job.outputs.is_empty() && self.job.environment_url.is_none() {
            return Ok(());
        }
        let status = Status { job: self.progress.status, action: None };
        let mut scope = self.scope(frame, status, "");
        scope.set_env(&self.progress.env);
        if let Err(error) = self.outputs(&mut scope, result).await {
            self.evaluation_failed("Fail to evaluate job outputs", error, result)?;
        }
        let url = self.evaluator.text(self.job.environment_url.as_ref(), &mut scope).await;
        match url.map_err(WorkError::from) {
            Ok(url) => {
                if let Some(url) = &url {
                    self.log.note(COMPLETE, &format!("Evaluated environment url: {url}"));
                }
                result.environment_url = url.map(|url| self.log.masker.mask(&url).into_owned());
            }
            Err(error) => self.evaluation_failed("Fail to evaluate environment url", error, result)?,
        }
        Ok(())
    }

    fn evaluation_failed(
        &self,
        what: &str,
        error: WorkError,
        result: &mut JobResult,
    ) -> Result<(), MachineFailure> {
        match error {
            WorkError::Machine(failure) => Err(failure),
            WorkError::Step(message) => {
                self.log.error(COMPLETE, what);
                self.log.error(COMPLETE, message);
                if result.conclusion == Conclusion::Success {
                    result.conclusion = Conclusion::Failure;
                    result.decided = Some(Conclusion::Failure);
                }
                Ok(())
            }
        }
    }

    async fn outputs(&self, scope: &mut StepScope, result: &mut JobResult) -> Result<(), WorkError> {
        if !self.job.outputs.is_empty() {
            self.log.note(COMPLETE, "Evaluate and set job outputs");
        }
        let mut size = 0;
        for (name, template) in &self.job.outputs {
            let value = self.evaluator.text(Some(template), scope).await?.unwrap_or_default();
            if value.is_empty() {
                self.log.debug(COMPLETE, &format!("Skip output '{name}' since it's empty"));
                continue;
            }
            if self.log.masker.contains_secret(&value) {
                self.log.warning(COMPLETE, format!("Skip output '{name}' since it may contain secret."));
                continue;
            }
            size += value.len();
            if size > OUTPUT_BYTES {
                return Err(WorkError::Step(format!(
                    "The outputs of a job may hold {} KiB together; '{name}' goes beyond. Write large values to an \
                     artifact.",
                    OUTPUT_BYTES / 1024
                )));
            }
            self.log.note(COMPLETE, &format!("Set output '{name}'"));
            result.outputs.push((name.clone(), value));
        }
        Ok(())
    }
}
