//! `needs`: every job that is needed exists, and the order of jobs has a beginning and no cycle.

use std::collections::{HashMap, HashSet, VecDeque};

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
    let known: HashSet<String> = jobs.iter().map(|job| job.id.to_lowercase()).collect();
    let exists = |need: &str| known.contains(&need.to_lowercase());
    if ready.is_empty() {
        if problems.is_sound(&node.span) && problems.is_whole(&node.span) {
            let message = "The workflow must contain at least one job with no dependencies.";
            problems.error_with_hint(codes::NO_FIRST_JOB, &node.span, message, first_job_hint(jobs, exists));
        }
        return;
    }
    let ready = ready.iter().map(|job| job.id).collect();
    settle(ready, &mut waiting);
    // Who waits for a job that does not exist is told so, and stands in no cycle.
    let mut freed = VecDeque::new();
    let hint = format!("jobs of this file: {}", listed(jobs.iter().map(|job| job.id.as_str())));
    for job in &mut waiting {
        let (known, unknown): (Vec<_>, Vec<_>) = job.needs.iter().partition(|need| exists(need));
        unknown.into_iter().for_each(|need| report_unknown(job.id, need, node, &hint, problems));
        job.needs = known;
        if job.needs.is_empty() {
            freed.push_back(job.id);
        }
    }
    settle(freed, &mut waiting);
    for job in &waiting {
        job.needs.iter().for_each(|need| report_cycle(job.id, need, problems));
    }
}

fn first_job_hint(jobs: &[Job], exists: impl Fn(&str) -> bool) -> String {
    let needs = jobs.iter().flat_map(|job| &job.needs).map(|need| need.as_str());
    let unknown: Vec<_> = needs.filter(|need| !exists(need)).collect();
    match unknown.as_slice() {
        [] => "let one job need no other".to_owned(),
        names => {
            let names = listed(names.iter().copied());
            format!("let one job need no other; there are no jobs of these names: {names}")
        }
    }
}

/// Names that a hint lists; nobody reads more.
const LISTED_NAMES: usize = 20;

fn listed<'a>(mut names: impl Iterator<Item = &'a str>) -> String {
    let shown = names.by_ref().take(LISTED_NAMES).collect::<Vec<_>>().join(", ");
    match names.count() {
        0 => shown,
        more => format!("{shown}, and {more} more"),
    }
}

/// Lets those go on who wait for jobs that are ready, and then those who wait for them.
fn settle<'a>(mut ready: VecDeque<&'a str>, waiting: &mut [Waiting<'a>]) {
    let mut waiting_for: HashMap<String, Vec<usize>> = HashMap::new();
    for (place, job) in waiting.iter().enumerate() {
        for need in &job.needs {
            waiting_for.entry(need.to_lowercase()).or_default().push(place);
        }
    }
    while let Some(done) = ready.pop_front() {
        for place in waiting_for.remove(&done.to_lowercase()).unwrap_or_default() {
            let job = &mut waiting[place];
            job.needs.retain(|need| !need.eq_ignore_ascii_case(done));
            if job.needs.is_empty() {
                ready.push_back(job.id);
            }
        }
    }
}

fn report_cycle(id: &str, need: &Spanned<String>, problems: &mut Problems) {
    let name = &need.value;
    let message =
        format!("Job '{id}' depends on job '{name}' which creates a cycle in the dependency graph.");
    let hint = "jobs that need each other never start: remove one of the needs";
    problems.error_with_hint(codes::NEEDS_CYCLE, &need.span, message, hint);
}

fn report_unknown(id: &str, need: &Spanned<String>, node: &Node, hint: &str, problems: &mut Problems) {
    let name = &need.value;
    if problems.may_hide(&node.span, name) {
        return;
    }
    let message = format!("Job '{id}' depends on unknown job '{name}'.");
    problems.error_with_hint(codes::UNKNOWN_JOB, &need.span, message, hint);
}
