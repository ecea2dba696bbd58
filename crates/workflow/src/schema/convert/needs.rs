//! `needs`: every job that is needed exists, and the order of jobs has a beginning and no cycle.

use std::collections::{HashMap, VecDeque};

use crate::diagnostic::codes;
use crate::span::Spanned;
use crate::syntax::{Job, Node};
use crate::yaml::Problems;

/// A job that waits for others.
struct Waiting<'a> {
    id: &'a str,
    needs: Vec<&'a Spanned<String>>,
}

/// Checks the needs of all jobs.
pub(super) fn check(node: &Node, jobs: &[Job], problems: &mut Problems) {
    let (ready, mut waiting): (Vec<_>, Vec<_>) = jobs
        .iter()
        .map(|job| Waiting { id: &job.id.value, needs: job.needs.iter().collect() })
        .partition(|job| job.needs.is_empty());
    if ready.is_empty() {
        if problems.is_sound(&node.span) {
            let message = "The workflow must contain at least one job with no dependencies.";
            problems.error(codes::NO_FIRST_JOB, &node.span, message);
        }
        return;
    }
    let mut waiting_for: HashMap<String, Vec<usize>> = HashMap::new();
    for (place, job) in waiting.iter().enumerate() {
        for need in &job.needs {
            waiting_for.entry(need.to_lowercase()).or_default().push(place);
        }
    }
    let mut ready: VecDeque<&str> = ready.iter().map(|job| job.id).collect();
    while let Some(done) = ready.pop_front() {
        for place in waiting_for.remove(&done.to_lowercase()).unwrap_or_default() {
            let job = &mut waiting[place];
            job.needs.retain(|need| !need.eq_ignore_ascii_case(done));
            if job.needs.is_empty() {
                ready.push_back(job.id);
            }
        }
    }
    for job in &waiting {
        for need in &job.needs {
            report(job.id, need, jobs, problems);
        }
    }
}

fn report(id: &str, need: &Spanned<String>, jobs: &[Job], problems: &mut Problems) {
    let name = &need.value;
    if jobs.iter().any(|job| job.id.eq_ignore_ascii_case(name)) {
        let message =
            format!("Job '{id}' depends on job '{name}' which creates a cycle in the dependency graph.");
        let hint = "jobs that need each other never start: remove one of the needs";
        problems.error_with_hint(codes::NEEDS_CYCLE, &need.span, message, hint);
    } else {
        let message = format!("Job '{id}' depends on unknown job '{name}'.");
        let known: Vec<_> = jobs.iter().map(|job| job.id.as_str()).collect();
        let hint = format!("jobs of this file: {}", known.join(", "));
        problems.error_with_hint(codes::UNKNOWN_JOB, &need.span, message, hint);
    }
}
