//! `needs`, `if`, results, outputs, and how a run ends.

use std::sync::Arc;

use model::Conclusion::{Cancelled, Failure, Skipped, Success};
use serde_json::json;

use super::build;
use super::drive::Drive;
use crate::diagnostic::codes;
use crate::plan::{CalledWorkflows, RunPlan};
use crate::syntax::Workflow;

#[test]
fn a_job_waits_for_all_that_it_needs() {
    let mut run = Drive::new(&json!({"jobs": {"c": {"needs": ["a", "b"]}, "a": {}, "b": {}}}));
    assert_eq!(run.running(), ["a", "b"]);
    run.succeed(&["a"]);
    assert_eq!(run.running(), ["b"]);
    run.succeed(&["b", "c"]);
    assert_eq!(run.finished, Some(Success));
}

#[test]
fn jobs_that_wait_are_counted_as_far_as_they_are_known() {
    let matrix = json!({"needs": "a", "strategy": {"max-parallel": 1, "matrix": {"n": [1, 2, 3]}}});
    let mut run = Drive::new(&json!({"jobs": {"a": {}, "b": matrix, "c": {"needs": "b"}}}));
    assert_eq!(run.plan.waiting(), 2);
    run.succeed(&["a"]);
    assert_eq!((run.running(), run.plan.waiting()), (vec!["b (1)"], 3));
    run.cancel();
    assert_eq!(run.plan.waiting(), 1, "c is decided when b has ended");
    run.end("b (1)", Cancelled);
    assert_eq!(run.plan.waiting(), 0);
}

#[test]
fn what_stands_behind_a_failed_job_is_skipped_and_the_run_fails() {
    let mut run = Drive::new(&json!({"jobs": {"a": {}, "b": {"needs": "a"}, "c": {"needs": "b"}}}));
    run.fail("a");
    assert_eq!((run.decision("b"), run.decision("c")), (Skipped, Skipped));
    assert_eq!(run.reason("b"), "'a', which it needs, failed");
    assert_eq!(run.finished, Some(Failure));
}

#[test]
fn a_job_behind_a_skipped_one_is_skipped_even_if_the_job_between_ran() {
    let mut run = Drive::new(&json!({"jobs": {
        "a": {"if": "false"},
        "b": {"needs": "a", "if": "always()"},
        "c": {"needs": "b"},
        "d": {"needs": "b", "if": "!failure() && !cancelled()"},
    }}));
    run.succeed(&["b", "d"]);
    assert_eq!(run.decision("c"), Skipped);
    assert_eq!(run.finished, Some(Success));
}

#[test]
fn failure_looks_at_every_ancestor() {
    let mut run = Drive::new(&json!({"jobs": {
        "a": {},
        "b": {"needs": "a", "if": "always()"},
        "c": {"needs": "b", "if": "failure()"},
        "quiet": {"if": "failure()"},
        "named": {"needs": ["b", "quiet"], "if": "success('b')"},
    }}));
    assert_eq!(run.decision("quiet"), Skipped);
    run.fail("a");
    run.succeed(&["b"]);
    assert_eq!(run.running(), ["c", "named"]);
    run.succeed(&["c", "named"]);
    assert_eq!(run.finished, Some(Failure));
}

#[test]
fn a_condition_sees_results_and_outputs_of_direct_needs_only() {
    let mut run = Drive::new(&json!({"jobs": {
        "a": {},
        "b": {"needs": "a"},
        "yes": {"needs": ["a", "b"], "if": "needs.a.outputs.Go == 'yes' && needs.b.result == 'success'"},
        "far": {"needs": "b", "if": "needs.a.outputs.go == 'yes'"},
    }}));
    run.end_with("a", Success, &[("go", "yes")]);
    run.succeed(&["b"]);
    assert_eq!(run.running(), ["yes"]);
    assert_eq!(run.decision("far"), Skipped);
    assert_eq!(
        run.job("yes").contexts.needs,
        json!({"a": {"result": "success", "outputs": {"go": "yes"}}, "b": {"result": "success", "outputs": {}}})
    );
}

#[test]
fn a_forgiven_failure_is_a_success_for_those_who_need_it_and_for_the_run() {
    let mut run = Drive::new(&json!({"jobs": {
        "a": {"continue-on-error": "${{ github.event_name == 'push' }}"},
        "b": {"needs": "a", "if": "needs.a.result == 'success'"},
    }}));
    run.fail("a");
    run.succeed(&["b"]);
    assert_eq!(run.finished, Some(Success));
}

#[test]
fn a_cancelled_need_is_no_failure() {
    let mut run = Drive::new(&json!({"jobs": {
        "a": {}, "b": {"needs": "a"}, "c": {"needs": "a", "if": "failure()"}, "d": {"needs": "a", "if": "!cancelled()"},
    }}));
    run.end("a", Cancelled);
    assert_eq!((run.decision("b"), run.decision("c")), (Skipped, Skipped));
    run.succeed(&["d"]);
    assert_eq!(run.finished, Some(Cancelled));
}

#[test]
fn a_run_of_skipped_jobs_is_skipped() {
    let run = Drive::new(&json!({"jobs": {"a": {"if": "github.ref == 'x'"}, "b": {"needs": "a"}}}));
    assert_eq!(run.reason("a"), "its condition is false: success() && (github.ref == 'x')");
    assert_eq!(run.finished, Some(Skipped));
}

#[test]
fn an_error_in_a_condition_fails_the_job_and_the_run() {
    let mut run = Drive::new(&json!({"jobs": {
        "a": {"if": "fromJSON('{') == 1"}, "b": {"needs": "a", "if": "failure()"},
    }}));
    assert_eq!(run.decision("a"), Failure);
    assert!(run.reason("a").starts_with("Error when evaluating 'if' for job 'a'."), "{}", run.reason("a"));
    run.succeed(&["b"]);
    assert_eq!(run.finished, Some(Failure));
}

#[test]
fn only_the_chosen_jobs_run_with_what_they_need() {
    let mut context = build::context();
    context.only = vec!["C".to_owned()];
    let workflow = json!({"jobs": {"a": {}, "b": {}, "c": {"needs": "a"}}});
    let mut run = Drive::with(&workflow, CalledWorkflows::new(), context);
    run.succeed(&["a", "c"]);
    assert_eq!(run.names(), ["a", "c"]);
    assert_eq!(run.finished, Some(Success));
}

#[test]
fn what_other_jobs_call_is_not_missed_by_a_choice() {
    let mut context = build::context();
    let workflow = json!({"jobs": {"a": {}, "far": {"uses": "o/r/.github/workflows/x.yml@v1"}}});
    assert!(RunPlan::new(build::workflow(&workflow), CalledWorkflows::new(), context.clone()).is_err());
    context.only = vec!["a".to_owned()];
    let run = Drive::with(&workflow, CalledWorkflows::new(), context);
    assert_eq!(run.running(), ["a"]);
}

#[test]
fn an_unknown_choice_lists_the_jobs_and_what_may_be_meant() {
    let mut context = build::context();
    context.only = vec!["biuld".to_owned(), "überall".to_owned()];
    let workflow = build::workflow(&json!({"jobs": {"build": {}, "test": {}}}));
    let problems = RunPlan::new(workflow, CalledWorkflows::new(), context).unwrap_err();
    let hints: Vec<_> = problems.iter().map(|problem| problem.hint.as_deref().unwrap_or_default()).collect();
    assert_eq!(hints, ["did you mean 'build'? Its jobs are: build, test", "its jobs are: build, test"]);
}

#[test]
fn a_graph_that_could_never_end_has_no_plan() {
    let sound = build::workflow(&json!({"jobs": {"a": {}, "b": {"needs": "a"}, "c": {"needs": "b"}}}));
    let mut circle = Workflow::clone(&sound);
    circle.jobs[0].needs = sound.jobs[2].needs.clone();
    let mut unknown = Workflow::clone(&sound);
    unknown.jobs.remove(0);
    for (workflow, code) in [(circle, codes::NEEDS_CYCLE), (unknown, codes::UNKNOWN_JOB)] {
        let problems =
            RunPlan::new(Arc::new(workflow), CalledWorkflows::new(), build::context()).unwrap_err();
        assert_eq!(problems[0].code, code);
    }
}

#[test]
fn a_result_for_a_job_that_does_not_run_changes_nothing() {
    let mut run = Drive::new(&json!({"jobs": {"a": {}, "b": {"needs": "a"}}}));
    let id = run.id("a");
    run.plan.job_finished(model::JobId(999_999), &super::drive::result(Failure, &[]));
    run.poll();
    run.succeed(&["a"]);
    run.plan.job_finished(id, &super::drive::result(Failure, &[]));
    run.poll();
    run.succeed(&["b"]);
    assert_eq!(run.finished, Some(Success));
}
