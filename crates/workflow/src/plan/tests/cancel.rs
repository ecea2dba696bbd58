//! Cancellation of a run, and what survives it.

use model::Conclusion::{Cancelled, Success};
use serde_json::json;

use super::build;
use super::drive::Drive;
use crate::plan::CalledWorkflows;

#[test]
fn running_jobs_are_told_and_waiting_ones_are_cancelled() {
    let mut run = Drive::new(&json!({"jobs": {"a": {}, "b": {"needs": "a"}}}));
    run.cancel();
    assert_eq!(run.cancelled, [run.id("a")]);
    assert_eq!(run.finished, None);
    run.end("a", Cancelled);
    assert_eq!(run.decision("b"), Cancelled);
    assert_eq!(run.finished, Some(Cancelled));
}

#[test]
fn jobs_that_hold_on_when_cancelled_keep_running_and_still_start() {
    let mut run = Drive::new(&json!({"jobs": {
        "a": {}, "steady": {"if": "always()"}, "polite": {"if": "!cancelled()"},
        "clean": {"needs": "a", "if": "always()"}, "told": {"needs": "a", "if": "cancelled()"},
        "late": {"needs": "clean"},
    }}));
    run.cancel();
    assert_eq!(run.cancelled, [run.id("a"), run.id("polite")]);
    run.end("a", Cancelled);
    run.end("polite", Cancelled);
    assert_eq!(run.running(), ["steady", "clean", "told"]);
    run.succeed(&["steady", "clean", "told"]);
    assert_eq!(run.decision("late"), Cancelled);
    assert_eq!(run.finished, Some(Cancelled));
}

#[test]
fn a_job_that_waits_for_a_machine_never_gets_one() {
    let mut context = build::context();
    context.parallel = 1;
    let mut run = Drive::with(
        &json!({"jobs": {"a": {}, "b": {}, "c": {"if": "always()"}}}),
        CalledWorkflows::new(),
        context,
    );
    run.cancel();
    assert_eq!(run.decision("b"), Cancelled);
    run.end("a", Cancelled);
    assert_eq!(run.running(), ["c"]);
}

#[test]
fn cancelling_twice_or_too_late_changes_nothing() {
    let mut run = Drive::new(&json!({"jobs": {"a": {}}}));
    run.cancel();
    run.cancel();
    assert_eq!(run.cancelled.len(), 1);
    run.end("a", Success);
    assert_eq!(run.finished, Some(Success));
    run.cancel();
    assert_eq!(run.cancelled.len(), 1);
}

#[test]
fn a_cancelled_matrix_keeps_no_place_for_those_that_wait() {
    let mut run = Drive::new(&json!({"jobs": {
        "b": {"strategy": {"matrix": {"x": [1, 2, 3]}, "max-parallel": 1}}, "c": {"needs": "b", "if": "always()"},
    }}));
    run.cancel();
    assert_eq!((run.decision("b (2)"), run.decision("b (3)")), (Cancelled, Cancelled));
    run.end("b (1)", Cancelled);
    assert_eq!(run.job("c").contexts.needs["b"]["result"], "cancelled");
}

#[test]
fn a_job_that_ends_while_the_run_is_cancelled_is_not_told_to_stop() {
    let mut run = Drive::new(&json!({"jobs": {"a": {}, "b": {}}}));
    run.plan.cancel();
    run.end("a", Success);
    assert_eq!(run.cancelled, [run.id("b")]);
}
