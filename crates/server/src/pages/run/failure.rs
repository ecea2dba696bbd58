//! The first error of a run, with the lines around it: what whoever opens a failed run looks for.

use std::collections::BTreeMap;

use maud::{Markup, html};
use model::{Conclusion, JobId, RunId};
use store::log::Line;
use store::record::{Job, Step};

use crate::pages::log::line;

/// Lines before the error that are shown: the end of a compiler's or a test's message.
pub(in crate::pages) const BEFORE: u64 = 8;

/// Lines from the error on.
pub(in crate::pages) const AFTER: u64 = 3;

/// What failed first.
#[derive(Clone, Debug)]
pub(in crate::pages) struct Failure {
    pub(in crate::pages) job: Job,
    /// The step, unless the job failed without one.
    pub(in crate::pages) step: Option<Step>,
    /// The line of the error and those around it; empty where the log has none.
    pub(in crate::pages) lines: Vec<Line>,
    /// Number of the error's own line.
    pub(in crate::pages) error: Option<u64>,
}

/// The job that failed first, and the step of it that did. What ran in this attempt comes before what was left as it
/// had failed in an earlier one.
pub(in crate::pages) fn first<'a>(
    jobs: &'a [Job],
    steps: &'a BTreeMap<JobId, Vec<Step>>,
) -> Option<(&'a Job, Option<&'a Step>)> {
    let step_of = |job: &Job| {
        let steps = steps.get(&job.id).map_or(&[][..], Vec::as_slice);
        steps.iter().find(|step| step.conclusion == Some(Conclusion::Failure))
    };
    let failed = jobs.iter().filter_map(|job| match step_of(job) {
        Some(step) => Some((step.ended_at, job, Some(step))),
        None if job.conclusion == Some(Conclusion::Failure) => Some((job.clock.ended_at, job, None)),
        None => None,
    });
    let (_, job, step) = failed.min_by_key(|(at, job, _)| (job.taken_from.is_some(), *at, job.id))?;
    Some((job, step))
}

/// Which lines are shown of a step's failure: those around its error, or else its last ones.
pub(in crate::pages) fn around(error: Option<u64>, first: u64, end: u64) -> (u64, u64) {
    match error {
        Some(error) => {
            let from = error.saturating_sub(BEFORE).max(first);
            (from, error + AFTER - from)
        }
        None => {
            let from = end.saturating_sub(BEFORE).max(first);
            (from, end.saturating_sub(from))
        }
    }
}

/// The panel.
pub(in crate::pages) fn render(failure: &Failure, run: RunId) -> Markup {
    let address = format!("/runs/{run}/jobs/{}", failure.job.id);
    let line = failure.error.or(failure.lines.first().map(|line| line.number));
    let target = match line {
        Some(line) => format!("{address}?line={line}#L{}", line + 1),
        None => address.clone(),
    };
    html! {
        section.failure aria-label="First error" {
            h2 {
                a data-first-error href=(target) {
                    "First error: " (failure.job.name)
                    @if let Some(step) = &failure.step { " › " (step.name) }
                }
            }
            @if let Some(reason) = failure.job.reason.as_deref().or(failure.job.infrastructure_error.as_deref()) {
                p.reason { (reason) }
            }
            @if !failure.lines.is_empty() {
                div.log.excerpt { @for shown in &failure.lines { (excerpt(shown, &address)) } }
            }
        }
    }
}

fn excerpt(shown: &Line, address: &str) -> Markup {
    line::render(shown, &format!("{address}?line={}", shown.number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::sample;
    use model::Timestamp;

    #[test]
    fn the_step_that_failed_first_is_the_first_error_whichever_job_ended_first() {
        let mut early = sample::job(1, "late-end");
        early.conclusion = Some(Conclusion::Failure);
        early.clock.ended_at = Some(Timestamp(90));
        let mut late = sample::job(2, "early-end");
        late.conclusion = Some(Conclusion::Failure);
        late.clock.ended_at = Some(Timestamp(50));
        let mut step = sample::step(early.id, "test");
        (step.conclusion, step.ended_at) = (Some(Conclusion::Failure), Some(Timestamp(40)));
        let steps = BTreeMap::from([(early.id, vec![step])]);
        let jobs = [early, late];
        let (job, step) = first(&jobs, &steps).unwrap();
        assert_eq!((job.path.as_str(), step.unwrap().name.as_str()), ("late-end", "test"));
    }

    #[test]
    fn what_failed_in_this_attempt_is_told_before_what_was_left_as_it_had_failed() {
        let failed = |id: u64, path: &str, at: u64| {
            let mut job = sample::job(id, path);
            (job.conclusion, job.clock.ended_at) = (Some(Conclusion::Failure), Some(Timestamp(at)));
            job
        };
        let mut left = failed(1, "left", 10);
        left.taken_from = Some(JobId(7));
        let jobs = [left, failed(2, "again", 50)];
        assert_eq!(first(&jobs, &BTreeMap::new()).unwrap().0.path, "again");
        assert_eq!(first(&jobs[..1], &BTreeMap::new()).unwrap().0.path, "left");
    }

    #[test]
    fn a_failure_that_did_not_count_is_none() {
        let job = sample::job(1, "a");
        let mut step = sample::step(job.id, "lint");
        (step.outcome, step.conclusion) = (Some(Conclusion::Failure), Some(Conclusion::Success));
        assert!(first(std::slice::from_ref(&job), &BTreeMap::from([(job.id, vec![step])])).is_none());
    }

    #[test]
    fn the_lines_around_an_error_stay_within_its_step() {
        assert_eq!(around(Some(100), 0, 500), (92, 11));
        assert_eq!(around(Some(100), 97, 500), (97, 6));
        assert_eq!(around(None, 97, 500), (492, 8));
        assert_eq!(around(None, 499, 500), (499, 1));
    }
}
