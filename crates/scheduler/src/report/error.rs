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
        let Said { error, mut lines } = said(self.last_lines(job, step, steps).await);
        // An annotation does not say which step it is of; the step's own lines do.
        let message = error.or(message);
        lines.retain(|line| !is_told(line, message.as_deref()));
        let message = message.or_else(|| lines.last().cloned());
        let message = message.unwrap_or_else(|| "it failed".to_owned());
        Some(FirstError { what, message: first_line(&message), lines })
    }

    /// The last lines that a step has written. A log that can't be read tells nothing here; its page says why.
    async fn last_lines(&self, job: &Job, step: &Step, steps: &[Step]) -> Vec<String> {
        let reader = self.logs.read(job.ran_as());
        let next = steps.iter().map(|other| other.first_line).filter(|first| *first > step.first_line).min();
        let end = match next {
            Some(next) => next,
            None => reader.count().await.unwrap_or(step.first_line),
        };
        let from = step.first_line.max(end.saturating_sub(LOOKED_AT));
        let count = usize::try_from(end.saturating_sub(from)).unwrap_or_default();
        let found = reader.lines(from, count).await.unwrap_or_default();
        found.into_iter().filter(|line| line.line.step == step.step).map(|line| line.line.text).collect()
    }
}

/// What a step has said before it failed.
#[derive(Debug, PartialEq)]
struct Said {
    /// Its first error, if it called something that.
    error: Option<String>,
    /// The last lines that are not the runner's own.
    lines: Vec<String>,
}

fn said(mut lines: Vec<String>) -> Said {
    let error = lines.iter().find_map(|line| line.strip_prefix("##[error]")).map(ToOwned::to_owned);
    lines.retain(|line| !line.starts_with("##["));
    let lines = lines.split_off(lines.len().saturating_sub(LINES));
    Said { error, lines }
}

/// Whether a line says but what is told above it.
fn is_told(line: &str, message: Option<&str>) -> bool {
    message == Some(line.strip_prefix("Error: ").unwrap_or(line))
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::{LINES, Said, is_told, said};

    #[test]
    fn a_line_that_says_what_is_told_above_it_is_not_shown_again() {
        let message = Some("The machine failed: job 'a': gone");
        assert!(is_told("Error: The machine failed: job 'a': gone", message));
        assert!(!is_told("Error: The machine failed", message) && !is_told("gone", None));
    }

    #[test]
    fn a_steps_error_is_the_first_that_it_told_and_its_lines_are_its_last() {
        let mut lines = vec!["##[group]Run make".to_owned(), "##[error]no rule".to_owned()];
        lines.extend((0..LINES + 5).map(|number| format!("line {number}")));
        lines.push("##[error]Process completed with exit code 2.".to_owned());
        let Said { error, lines } = said(lines);
        assert_eq!(error.as_deref(), Some("no rule"));
        assert_eq!((lines.len(), lines[0].as_str(), lines[LINES - 1].as_str()), (LINES, "line 5", "line 14"));
        assert_eq!(said(vec!["quiet".to_owned()]), Said { error: None, lines: vec!["quiet".to_owned()] });
    }
}
