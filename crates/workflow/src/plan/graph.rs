//! The graph of `needs`: is it sound, and which jobs does a choice of jobs bring along.

use std::collections::{BTreeSet, HashMap};

use crate::diagnostic::{Diagnostic, Severity};
use crate::syntax::Workflow;

/// Most letters by which a mistyped name may differ from the one that is suggested.
const TYPO_DISTANCE: usize = 2;

/// The position of a job by its key. Keys are the same without regard to case.
fn position(workflow: &Workflow, key: &str) -> Option<usize> {
    workflow.jobs.iter().position(|job| job.id.eq_ignore_ascii_case(key))
}

/// For each job the positions of those that it needs, or what is wrong with the graph.
pub(crate) fn needs(workflow: &Workflow) -> Result<Vec<Vec<usize>>, Vec<Diagnostic>> {
    let places: HashMap<String, usize> =
        workflow.jobs.iter().enumerate().map(|(place, job)| (job.id.to_ascii_lowercase(), place)).collect();
    let mut problems = Vec::new();
    let mut needs = Vec::with_capacity(workflow.jobs.len());
    for job in &workflow.jobs {
        let mut of_job = Vec::new();
        for need in &job.needs {
            match places.get(&need.to_ascii_lowercase()) {
                Some(found) => of_job.push(*found),
                None => problems.push(Diagnostic {
                    severity: Severity::Error,
                    code: "unknown-job",
                    span: Some(need.span.clone()),
                    message: format!("Job '{}' depends on unknown job '{}'.", *job.id, **need),
                    hint: Some(suggestion(workflow, need)),
                }),
            }
        }
        needs.push(of_job);
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let problems = cycles(workflow, &needs);
    if problems.is_empty() { Ok(needs) } else { Err(problems) }
}

/// A complaint for every need that is part of a circle.
fn cycles(workflow: &Workflow, needs: &[Vec<usize>]) -> Vec<Diagnostic> {
    let stuck = unreachable(needs);
    if stuck.is_empty() {
        return Vec::new();
    }
    // What waits behind a circle is not part of one: it never frees anybody in the graph turned round.
    let mut needed_by = vec![Vec::new(); needs.len()];
    for (job, of_job) in needs.iter().enumerate() {
        of_job.iter().for_each(|need| needed_by[*need].push(job));
    }
    let turned: BTreeSet<usize> = unreachable(&needed_by).into_iter().collect();
    let in_circle: BTreeSet<usize> = stuck.into_iter().filter(|job| turned.contains(job)).collect();
    in_circle
        .iter()
        .flat_map(|job| {
            workflow.jobs[*job].needs.iter().zip(&needs[*job]).map(move |(need, target)| (job, need, target))
        })
        .filter(|(_, _, target)| in_circle.contains(target))
        .map(|(job, need, _)| Diagnostic {
            severity: Severity::Error,
            code: "needs-cycle",
            span: Some(need.span.clone()),
            message: format!(
                "Job '{}' depends on job '{}' which creates a cycle in the dependency graph.",
                *workflow.jobs[*job].id, **need
            ),
            hint: Some("take one job out of the circle's `needs`".to_owned()),
        })
        .collect()
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

/// The jobs named in `only` and all that they need; all jobs where it is empty.
pub(super) fn chosen(
    workflow: &Workflow,
    needs: &[Vec<usize>],
    only: &[String],
) -> Result<BTreeSet<usize>, Vec<Diagnostic>> {
    if only.is_empty() {
        return Ok((0..workflow.jobs.len()).collect());
    }
    let mut problems = Vec::new();
    let mut open = Vec::new();
    for name in only {
        match position(workflow, name) {
            Some(found) => open.push(found),
            None => problems.push(Diagnostic {
                severity: Severity::Error,
                code: "unknown-job",
                span: None,
                message: format!("{} has no job '{name}'.", workflow.file),
                hint: Some(suggestion(workflow, name)),
            }),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut chosen = BTreeSet::new();
    while let Some(job) = open.pop() {
        if chosen.insert(job) {
            open.extend(&needs[job]);
        }
    }
    Ok(chosen)
}

/// What may have been meant, and what there is.
fn suggestion(workflow: &Workflow, name: &str) -> String {
    let wanted = name.to_lowercase();
    let near = workflow
        .jobs
        .iter()
        .map(|job| (distance(&wanted, &job.id.to_lowercase()), &job.id.value))
        .filter(|(distance, _)| *distance <= TYPO_DISTANCE)
        .min_by_key(|(distance, _)| *distance);
    let all: Vec<&str> = workflow.jobs.iter().map(|job| job.id.value.as_str()).collect();
    match near {
        Some((_, near)) => format!("did you mean '{near}'? Its jobs are: {}", all.join(", ")),
        None => format!("its jobs are: {}", all.join(", ")),
    }
}

/// Letters to insert, take away, or change to make one text of the other.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, letter) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, other) in right.iter().enumerate() {
            let change = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = change.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}
