//! The graph of `needs`: is it sound, and which jobs does a choice of jobs bring along.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Severity, codes};
use crate::nearest;
use crate::span::{Span, Spanned};
use crate::syntax::Workflow;

/// The position of a job by its key. Keys are the same without regard to case.
fn position(workflow: &Workflow, key: &str) -> Option<usize> {
    workflow.jobs.iter().position(|job| job.id.eq_ignore_ascii_case(key))
}

/// For each job the positions of those that it needs.
///
/// # Errors
/// A need that does not exist, or a circle. The reader of files refuses both; a plan made of
/// such a graph would never end, so it is not left to chance.
pub(super) fn needs(workflow: &Workflow) -> Result<Vec<Vec<usize>>, Vec<Diagnostic>> {
    let places: HashMap<String, usize> =
        workflow.jobs.iter().enumerate().map(|(place, job)| (job.id.to_ascii_lowercase(), place)).collect();
    let place = |need: &Spanned<String>| {
        let unknown =
            || problem(codes::UNKNOWN_JOB, Some(&need.span), format!("There is no job '{}'.", **need));
        places.get(&need.to_ascii_lowercase()).copied().ok_or_else(|| vec![unknown()])
    };
    let needs: Vec<Vec<usize>> =
        workflow.jobs.iter().map(|job| job.needs.iter().map(place).collect()).collect::<Result<_, _>>()?;
    match unreachable(&needs).first() {
        None => Ok(needs),
        Some(job) => {
            let id = &workflow.jobs[*job].id;
            let message = format!("Job '{}' can never start: its needs lead in a circle.", **id);
            Err(vec![problem(codes::NEEDS_CYCLE, Some(&id.span), message)])
        }
    }
}

fn problem(code: &'static str, span: Option<&Span>, message: String) -> Diagnostic {
    Diagnostic { severity: Severity::Error, code, span: span.cloned(), message, hint: None }
}

/// Jobs that never become free, because they stand in a circle or behind one.
fn unreachable(needs: &[Vec<usize>]) -> Vec<usize> {
    let mut missing: Vec<usize> = needs.iter().map(Vec::len).collect();
    let mut dependents = vec![Vec::new(); needs.len()];
    for (job, needed) in needs.iter().enumerate() {
        needed.iter().for_each(|need| dependents[*need].push(job));
    }
    let mut free: Vec<usize> = (0..needs.len()).filter(|job| missing[*job] == 0).collect();
    while let Some(job) = free.pop() {
        for dependent in &dependents[job] {
            missing[*dependent] -= 1;
            if missing[*dependent] == 0 {
                free.push(*dependent);
            }
        }
    }
    (0..needs.len()).filter(|job| missing[*job] > 0).collect()
}

/// The workflow with only the jobs named in `only` and all that they need; unchanged where it is
/// empty. What the other jobs call need not be loaded then.
///
/// # Errors
/// A name that no job has, with what may have been meant; or as [`RunPlan::new`] for a graph that
/// has no plan.
///
/// [`RunPlan::new`]: super::RunPlan::new
pub fn select(workflow: &Arc<Workflow>, only: &[String]) -> Result<Arc<Workflow>, Vec<Diagnostic>> {
    let needs = needs(workflow)?;
    if only.is_empty() {
        return Ok(Arc::clone(workflow));
    }
    let (found, unknown): (Vec<_>, Vec<_>) =
        only.iter().map(|name| position(workflow, name).ok_or(name)).partition(Result::is_ok);
    if !unknown.is_empty() {
        return Err(unknown
            .into_iter()
            .filter_map(Result::err)
            .map(|name| no_such_job(workflow, name))
            .collect());
    }
    let mut open: Vec<usize> = found.into_iter().flatten().collect();
    let mut chosen = BTreeSet::new();
    while let Some(job) = open.pop() {
        if chosen.insert(job) {
            open.extend(&needs[job]);
        }
    }
    let mut selected = Workflow::clone(workflow);
    selected.jobs = chosen.into_iter().map(|job| workflow.jobs[job].clone()).collect();
    Ok(Arc::new(selected))
}

fn no_such_job(workflow: &Workflow, name: &str) -> Diagnostic {
    Diagnostic {
        hint: Some(suggestion(workflow, name)),
        ..problem(codes::UNKNOWN_JOB, None, format!("{} has no job '{name}'.", workflow.file))
    }
}

/// What may have been meant, and what there is.
fn suggestion(workflow: &Workflow, name: &str) -> String {
    let all: Vec<&str> = workflow.jobs.iter().map(|job| job.id.value.as_str()).collect();
    match nearest(name, all.iter().copied()) {
        Some(near) => format!("did you mean '{near}'? Its jobs are: {}", all.join(", ")),
        None => format!("its jobs are: {}", all.join(", ")),
    }
}
