//! What went wrong first in a job that failed, with the lines around it.

use forge::github::report::FirstError;
use model::{AnnotationLevel, Conclusion, StepPhase};
use store::record::{AnnotationOf, Job, Step};

use super::Reporter;

/// Lines of the log that are shown: as many as tell what happened, on a page that people skim.
const LINES: usize = 10;

/// Lines that are looked at for the end of a step: a step that says more says it before.
const LOOKED_AT: u64 = 2000;

impl Reporter {
    pub(super) async fn first_error(
        &self,
        job: &Job,
        steps: &[Step],
        annotations: &[AnnotationOf],
    ) -> Option<FirstError> {
        let failed = steps.iter().find(|step| step.conclusion == Some(Conclusion::Failure));
        let error = annotations.iter().find(|one| one.annotation.level == AnnotationLevel::Error);
        let message = error.map(|one| one.annotation.message.clone()).or_else(|| job.reason.clone());
        let Some(step) = failed else {
            return Some(FirstError {
                what: "machine".to_owned(),
                message: first_line(&message.unwrap_or_else(|| "it failed before its first step".to_owned())),
                lines: Vec::new(),
            });
        };
        let what = match step.step.phase {
            StepPhase::Main => step.name.clone(),
            StepPhase::Pre => format!("Pre {}", step.name),
            StepPhase::Post => format!("Post {}", step.name),
            StepPhase::SetUp | StepPhase::Complete => step.name.clone(),
        };
        let lines = self.last_lines(job, step, steps).await;
        let message = message.or_else(|| lines.last().cloned()).unwrap_or_else(|| "it failed".to_owned());
        Some(FirstError { what, message: first_line(&message), lines })
    }

    /// The last lines that a step has written. A log that can't be read tells nothing here; its page says why.
    async fn last_lines(&self, job: &Job, step: &Step, steps: &[Step]) -> Vec<String> {
        let reader = self.logs.read(job.id);
        let next = steps.iter().map(|other| other.first_line).filter(|first| *first > step.first_line).min();
        let end = match next {
            Some(next) => next,
            None => reader.count().await.unwrap_or(step.first_line),
        };
        let from = step.first_line.max(end.saturating_sub(LOOKED_AT));
        let count = usize::try_from(end.saturating_sub(from)).unwrap_or_default();
        let found = reader.lines(from, count).await.unwrap_or_default();
        let own = found.into_iter().filter(|line| line.line.step == step.step).map(|line| line.line.text);
        let own: Vec<String> = own.filter(|text| !text.starts_with("##[")).collect();
        own[own.len().saturating_sub(LINES)..].to_vec()
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}
