//! A run of any workflow that can be read, with results as they come: it has to end.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::{Conclusion, JobId, JobResult, RunId, Trust};
use workflow::plan::{CalledWorkflows, PlanCommand, RunContext, RunPlan, preview};
use workflow::syntax::Workflow;

/// Jobs at once.
const PARALLEL: usize = 3;

/// Plans, previews, and plays a run; it calls itself wherever it calls a local file.
pub(crate) fn run(workflow: Workflow, seed: usize) {
    let workflow = Arc::new(workflow);
    let mut called = CalledWorkflows::new();
    for missing in workflow::resolve::missing(&workflow, &called) {
        called.insert(missing.key, Arc::clone(&workflow));
    }
    let _ = preview(Arc::clone(&workflow), called.clone(), context());
    match RunPlan::new(workflow, called, context()) {
        Ok(plan) => play(plan, seed),
        Err(problems) => assert!(!problems.is_empty(), "a refusal has a reason"),
    }
}

fn context() -> RunContext {
    RunContext {
        run: RunId(1),
        attempt: 1,
        github: serde_json::json!({"event_name": "push", "event": {"list": [1, "ä", null]}}),
        vars: serde_json::json!({"A": "[1,2]"}),
        inputs: serde_json::json!({}),
        secrets: model::Secrets::new(),
        trust: Trust::Trusted,
        permissions: Default::default(),
        parallel: PARALLEL,
        only: Vec::new(),
        matrix: Vec::new(),
        commits: std::collections::BTreeMap::new(),
        first_job: JobId(1),
    }
}

fn play(mut plan: RunPlan, seed: usize) {
    let mut running = Vec::new();
    let mut seen = BTreeSet::new();
    for turn in seed.. {
        for command in plan.poll() {
            match command {
                PlanCommand::Start { job, .. } => {
                    assert!(seen.insert(job.id), "a job starts once");
                    running.push(job.id);
                }
                PlanCommand::Cancel(id) => assert!(running.contains(&id), "only what runs is cancelled"),
                PlanCommand::Decided { name, .. } => assert!(!name.is_empty(), "a job has a name"),
                PlanCommand::Finished(_) => {
                    assert!(running.is_empty(), "the end comes after all jobs");
                    return;
                }
            }
        }
        assert!(running.len() <= PARALLEL, "no more jobs at once than allowed");
        assert!(!running.is_empty(), "a run in which nothing runs is at its end");
        if turn % 17 == 16 {
            plan.cancel();
        }
        let id = running.swap_remove(turn % running.len());
        let conclusion =
            [Conclusion::Success, Conclusion::Success, Conclusion::Failure, Conclusion::Cancelled][turn % 4];
        plan.job_finished(id, &result(conclusion));
    }
}

fn result(conclusion: Conclusion) -> JobResult {
    JobResult {
        conclusion,
        infrastructure_error: None,
        decided: None,
        outputs: vec![("o".to_owned(), "[\"ä\", 1]".to_owned())],
        environment_url: None,
        steps: Vec::new(),
    }
}
