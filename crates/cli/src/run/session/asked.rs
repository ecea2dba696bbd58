//! What a user asks of the workflows that an event starts: some of their jobs, some configurations of their matrices.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use workflow::syntax::{JobWork, NodeKind, Workflow};

use super::Chosen;
use crate::run::given;

/// Leaves of these workflows those that have jobs asked for. A job that none of them has is asked of each.
pub(super) fn share_jobs(chosen: &mut Vec<Chosen>, asked: &[String]) {
    if asked.is_empty() {
        return;
    }
    let has =
        |one: &Chosen, name: &str| one.workflow.jobs.iter().any(|job| job.id.eq_ignore_ascii_case(name));
    let (known, unknown): (Vec<_>, Vec<_>) =
        asked.iter().cloned().partition(|name| chosen.iter().any(|one| has(one, name)));
    for one in chosen.iter_mut() {
        let own = known.iter().filter(|name| has(one, name));
        one.jobs = own.chain(&unknown).cloned().collect();
    }
    chosen.retain(|one| !one.jobs.is_empty());
}

/// Refuses a key of `--matrix` that no matrix has, as far as that can be known before the run.
pub(super) fn check_matrix(chosen: &[Chosen], asked: &[String]) -> Result<()> {
    let asked: Vec<(String, String)> = given::all_pairs("--matrix", asked)?;
    let keys: Option<Vec<BTreeSet<&str>>> = chosen.iter().map(|one| matrix_keys(&one.workflow)).collect();
    let Some(keys) = keys else { return Ok(()) };
    let keys: BTreeSet<&str> = keys.into_iter().flatten().collect();
    match asked.iter().find(|(key, _)| !keys.iter().any(|known| known.eq_ignore_ascii_case(key))) {
        None => Ok(()),
        Some((key, _)) if keys.is_empty() => bail!("--matrix {key}: no job that would run has a matrix"),
        Some((key, _)) => {
            let known: Vec<&str> = keys.into_iter().collect();
            bail!("--matrix {key}: no matrix has this key; there are: {}", known.join(", "))
        }
    }
}

/// All keys of all matrices; `None` where an expression or a called workflow may bring in others.
fn matrix_keys(workflow: &Workflow) -> Option<BTreeSet<&str>> {
    let mut keys = BTreeSet::new();
    for job in &workflow.jobs {
        if !matches!(job.work, JobWork::Steps { .. }) {
            return None;
        }
        let Some(strategy) = &job.strategy else { continue };
        if !matches!(strategy.kind, NodeKind::Mapping(_)) {
            return None;
        }
        let Some(matrix) = strategy.get("matrix") else { continue };
        if !matches!(matrix.kind, NodeKind::Mapping(_)) {
            return None;
        }
        for (key, _, value) in matrix.entries() {
            match key {
                "exclude" => {}
                "include" if matches!(value.kind, NodeKind::Sequence(_)) => {
                    for item in value.items() {
                        if !matches!(item.kind, NodeKind::Mapping(_)) {
                            return None;
                        }
                        keys.extend(item.entries().map(|(key, ..)| key));
                    }
                }
                "include" => return None,
                key => drop(keys.insert(key)),
            }
        }
    }
    Some(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(strategy: &str) -> Option<Vec<String>> {
        let text = format!(
            "on: push\njobs:\n  a:\n    runs-on: x\n    strategy: {strategy}\n    steps: [{{run: a}}]\n"
        );
        let (workflow, problems) = workflow::schema::read_workflow("ci.yml", &text, &Default::default());
        let workflow = workflow.unwrap_or_else(|| panic!("{problems:?}"));
        matrix_keys(&workflow).map(|keys| keys.into_iter().map(str::to_owned).collect())
    }

    #[test]
    fn the_keys_of_a_matrix_are_known_unless_an_expression_makes_them() {
        let matrix =
            "{matrix: {os: [1], v: '${{ fromJSON(vars.V) }}', include: [{extra: 1}], exclude: [{os: 1}]}}";
        assert_eq!(keys(matrix).unwrap(), ["extra", "os", "v"]);
        assert_eq!(keys("{fail-fast: false}").unwrap(), [""; 0]);
        for unknown in
            ["{matrix: '${{ fromJSON(vars.M) }}'}", "{matrix: {os: [1], include: '${{ fromJSON(vars.M) }}'}}"]
        {
            assert_eq!(keys(unknown), None, "{unknown}");
        }
    }
}
