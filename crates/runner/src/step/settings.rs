//! What a step says of its time and of its failure: `timeout-minutes` and `continue-on-error`.
//!
//! As on GitHub, text is neither a number nor a boolean: `${{ inputs.flag }}` of a composite action is text, and
//! `${{ fromJSON(inputs.flag) }}` is what its author wants.

use model::{Step, Template};
use workflow::expr::Value;

use super::StepRun;
use crate::job::{JobRun, MachineFailure, WorkError};

impl JobRun<'_> {
    /// Minutes that the step may take; `None`: as many as the job.
    pub(super) async fn timeout(
        &self,
        step: &Step,
        run: &mut StepRun,
    ) -> Result<Option<f64>, MachineFailure> {
        const FAILED: &str = "An error occurred when attempting to determine the step timeout.";
        let minutes = |value: &Value| match value {
            Value::Number(minutes) => Some(*minutes),
            _ => None,
        };
        let minutes = self.setting(step.timeout_minutes.as_ref(), run, minutes, FAILED).await?;
        Ok(minutes.filter(|minutes| *minutes > 0.0))
    }

    /// Whether the job goes on although this step has failed.
    pub(super) async fn continues(&self, step: &Step, run: &mut StepRun) -> Result<bool, MachineFailure> {
        const FAILED: &str = "The step failed and an error occurred when attempting to determine whether to \
                              continue on error.";
        let continues = |value: &Value| match value {
            Value::Bool(continues) => Some(*continues),
            _ => None,
        };
        let continues = self.setting(step.continue_on_error.as_ref(), run, continues, FAILED).await?;
        Ok(continues.unwrap_or(false))
    }

    /// What `read` takes for a value of the setting; `None` where there is none, or none of its kind, which the
    /// log then says.
    async fn setting<T>(
        &self,
        template: Option<&Template>,
        run: &mut StepRun,
        read: fn(&Value) -> Option<T>,
        failed: &str,
    ) -> Result<Option<T>, MachineFailure> {
        let Some(template) = template.filter(|template| **template != Template::Null) else {
            return Ok(None);
        };
        let message = match self.evaluator.template(template, &mut run.scope).await.map_err(WorkError::from) {
            Ok(value) => match read(&value) {
                Some(setting) => return Ok(Some(setting)),
                None => value.unexpected(),
            },
            Err(WorkError::Machine(failure)) => return Err(failure),
            Err(WorkError::Step(message)) => message,
        };
        self.log.error(run.at, failed);
        self.log.error(run.at, message);
        Ok(None)
    }
}
