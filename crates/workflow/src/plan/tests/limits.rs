//! Bounds that keep a hostile workflow from filling memory.

use model::Conclusion::Failure;
use model::limits::RUN_JOBS;
use serde_json::{Value as Json, json};

use super::build::{self, called};
use super::drive::Drive;
use crate::diagnostic::codes;
use crate::plan::{CalledWorkflows, RunPlan};

#[test]
fn matrices_of_calls_of_matrices_end_at_the_runs_bound() {
    let wide = json!({"matrix": {"x": (0..256).collect::<Vec<_>>()}, "fail-fast": false});
    let file = "./.github/workflows/lib.yml";
    let files = called([(file, json!({"on": {"workflow_call": {}}, "jobs": {"a": {"strategy": wide}}}))]);
    let mut context = build::context();
    context.parallel = usize::MAX;
    let mut run = Drive::with(&json!({"jobs": {"call": {"uses": file, "strategy": wide}}}), files, context);
    assert!(run.started.len() < RUN_JOBS);
    assert!(run.decided.iter().any(|(_, conclusion, reason)| {
        *conclusion == Failure
            && reason.as_deref().is_some_and(|reason| reason.contains("may not have more than"))
    }));
    let ids: std::collections::BTreeSet<_> = run.started.iter().map(|(job, _)| job.id).collect();
    assert_eq!(ids.len(), run.started.len());
    assert!(ids.iter().all(|id| (1000..1000 + RUN_JOBS as u64).contains(&id.0)));
    for id in ids {
        run.plan.job_finished(id, &super::drive::result(model::Conclusion::Success, &[]));
        run.forget(id);
    }
    run.poll();
    assert_eq!(run.finished, Some(Failure));
}

#[test]
fn a_file_with_too_many_jobs_is_refused() {
    let jobs: serde_json::Map<String, Json> =
        (0..=RUN_JOBS).map(|number| (format!("j{number}"), json!({}))).collect();
    let plan =
        RunPlan::new(build::workflow(&json!({"jobs": jobs})), CalledWorkflows::new(), build::context());
    assert_eq!(plan.unwrap_err()[0].code, codes::JOB_LIMIT);
}
