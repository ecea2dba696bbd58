//! Concurrency groups inside of a run, and the bound on machines.

use model::Conclusion::{Cancelled, Failure, Success};
use serde_json::{Value as Json, json};

use super::build;
use super::drive::Drive;
use crate::plan::{CalledWorkflows, RunPlan, begin_together};

#[test]
fn one_job_of_a_group_runs_and_the_newest_that_waits_replaces_the_others() {
    let mut run = Drive::new(&json!({"jobs": {
        "a": {"concurrency": "Deploy"}, "b": {"concurrency": {"group": "deploy"}}, "c": {"concurrency": "DEPLOY"},
        "free": {},
    }}));
    assert_eq!(run.running(), ["a", "free"]);
    assert_eq!(run.decision("b"), Cancelled);
    assert_eq!(run.reason("b"), "a higher priority waiting request for 'DEPLOY' exists");
    run.succeed(&["a", "c", "free"]);
    assert_eq!(run.finished, Some(Cancelled));
}

#[test]
fn with_queue_max_all_wait_in_line() {
    let wish = json!({"group": "g-${{ github.ref }}", "queue": "max"});
    let mut run = Drive::new(&json!({"jobs": {
        "a": {"concurrency": wish}, "b": {"concurrency": wish}, "c": {"concurrency": wish},
    }}));
    for name in ["a", "b", "c"] {
        assert_eq!(run.running(), [name]);
        run.succeed(&[name]);
    }
    assert_eq!(run.finished, Some(Success));
}

#[test]
fn a_newcomer_may_cancel_who_is_in_progress() {
    let mut run = Drive::new(&json!({"jobs": {
        "first": {},
        "a": {"concurrency": "g"},
        "b": {"needs": "first", "concurrency": {"group": "g", "cancel-in-progress": "${{ github.ref == 'refs/heads/main' }}"}},
    }}));
    run.succeed(&["first"]);
    assert_eq!(run.cancelled, [run.id("a")]);
    assert_eq!(run.running(), ["a"], "it waits until the other has stopped");
    run.end("a", Cancelled);
    run.succeed(&["b"]);
    assert_eq!(run.finished, Some(Cancelled));
}

#[test]
fn a_matrix_with_a_group_for_each_value_runs_side_by_side() {
    let run = Drive::new(&json!({"jobs": {
        "b": {"concurrency": "g-${{ matrix.x }}", "strategy": {"matrix": {"x": [1, 2]}}},
    }}));
    assert_eq!(run.running().len(), 2);
}

#[test]
fn a_job_can_not_ask_for_the_group_of_its_own_run() {
    let run = Drive::new(&json!({"concurrency": "ci-${{ github.ref }}", "jobs": {
        "a": {"concurrency": "CI-refs/heads/main"},
    }}));
    assert_eq!(run.decision("a"), Failure);
    assert!(run.reason("a").contains("deadlock"), "{}", run.reason("a"));
}

#[test]
fn wrong_groups_fail_their_job() {
    for (wish, expected) in [
        (json!("${{ github.none }}"), "Concurrency group name cannot be empty"),
        (
            json!({"group": "g", "cancel-in-progress": "${{ vars.YES == 'true' && 'yes' }}"}),
            "Unexpected value 'yes'",
        ),
        (json!(format!("{}${{{{ github.sha }}}}", "x".repeat(400))), "less than 400 characters"),
    ] {
        let run = Drive::new(&json!({"jobs": {"a": {"concurrency": wish}}}));
        assert!(run.reason("a").contains(expected), "{}", run.reason("a"));
        assert_eq!(run.finished, Some(Failure));
    }
}

#[test]
fn no_more_machines_than_allowed_are_busy() {
    let mut context = build::context();
    context.parallel = 2;
    let workflow = json!({"jobs": {"b": {"strategy": {"matrix": {"x": [1, 2, 3, 4]}}}}});
    let mut run = Drive::with(&workflow, CalledWorkflows::new(), context);
    assert_eq!(run.running(), ["b (1)", "b (2)"]);
    run.succeed(&["b (2)"]);
    assert_eq!(run.running(), ["b (1)", "b (3)"]);
    run.succeed(&["b (1)", "b (3)", "b (4)"]);
    assert_eq!(run.finished, Some(Success));
}

#[test]
fn nobody_is_kept_from_running_by_a_bound_of_nought() {
    let mut context = build::context();
    context.parallel = 0;
    let run = Drive::with(&json!({"jobs": {"a": {}, "b": {}}}), CalledWorkflows::new(), context);
    assert_eq!(run.running(), ["a"]);
}

#[test]
fn a_line_of_more_than_a_hundred_turns_the_newest_away() {
    let jobs: serde_json::Map<String, Json> = (0..103)
        .map(|number| (format!("j{number}"), json!({"concurrency": {"group": "g", "queue": "max"}})))
        .collect();
    let run = Drive::new(&json!({"jobs": jobs}));
    assert_eq!((run.decision("j101"), run.decision("j102")), (Cancelled, Cancelled));
    assert_eq!(run.decided.len(), 2);
}

#[test]
fn calls_that_wait_for_each_others_groups_do_not_wait_for_ever() {
    let file = |wants: &str| json!({"on": {"workflow_call": {}}, "jobs": {"a": {}, "b": {"needs": "a", "concurrency": wants}}});
    let files =
        build::called([("./.github/workflows/a.yml", file("B")), ("./.github/workflows/b.yml", file("A"))]);
    let workflow = json!({"jobs": {
        "one": {"concurrency": "A", "uses": "./.github/workflows/a.yml"},
        "two": {"concurrency": "B", "uses": "./.github/workflows/b.yml"},
    }});
    let mut run = Drive::with(&workflow, files, build::context());
    run.succeed(&["one / a", "two / a"]);
    assert!(run.reason("one / b").contains("deadlock"), "{}", run.reason("one / b"));
    run.succeed(&["two / b"]);
    assert_eq!(run.finished, Some(Failure));
}

#[test]
fn a_wrong_group_of_the_run_is_refused_before_anything_starts() {
    let workflow = build::workflow(&json!({"concurrency": "${{ github.none }}", "jobs": {"a": {}}}));
    let problems = crate::plan::RunPlan::new(workflow, CalledWorkflows::new(), build::context()).unwrap_err();
    assert!(
        problems[0].message.starts_with("Error when evaluating 'concurrency'. ci.yml"),
        "{}",
        problems[0].message
    );
    assert!(
        problems[0].message.ends_with("Concurrency group name cannot be empty"),
        "{}",
        problems[0].message
    );
}

/// Runs of workflows with these keys that begin together.
fn together<const N: usize>(concurrency: [Json; N]) -> [Drive; N] {
    let jobs = json!({"a": {}, "b": {"needs": "a"}, "c": {"if": "always()"}});
    let mut plans = concurrency.map(|wish| {
        let workflow = build::workflow(&json!({"concurrency": wish, "jobs": jobs}));
        RunPlan::new(workflow, CalledWorkflows::new(), build::context()).expect("the workflow has a plan")
    });
    begin_together(&mut plans.each_mut());
    plans.map(Drive::of)
}

#[test]
fn of_runs_that_begin_together_the_first_of_a_group_and_the_newest_run() {
    let [first, mut between, last, free] =
        together([json!("G"), json!("g"), json!({"group": "G"}), json!("other")]);
    assert_eq!(
        (first.running(), last.running(), free.running()),
        (vec!["a", "c"], vec!["a", "c"], vec!["a", "c"])
    );
    between.poll();
    assert_eq!((between.started.len(), between.finished), (0, Some(Cancelled)));
    assert_eq!(between.reason("c"), "a higher priority waiting request for 'G' exists");
}

#[test]
fn with_queue_max_no_run_is_displaced_and_a_line_has_an_end() {
    let wish = json!({"group": "g", "queue": "max"});
    let runs: [Drive; 102] = together(std::array::from_fn(|_| wish.clone()));
    assert!(runs[..101].iter().all(|run| run.running() == ["a", "c"]));
    assert_eq!(runs[101].finished, Some(Cancelled));
    assert!(runs[101].reason("a").contains("too many wait"), "{}", runs[101].reason("a"));
}

#[test]
fn a_run_may_cancel_the_one_that_begins_before_it() {
    let [mut first, second] = together([json!("g"), json!({"group": "g", "cancel-in-progress": true})]);
    assert_eq!(first.running(), ["c"], "always() holds");
    assert_eq!(first.decision("a"), Cancelled);
    assert_eq!(first.reason("a"), "a higher priority waiting request for 'g' exists");
    first.succeed(&["c"]);
    assert_eq!(first.finished, Some(Cancelled));
    assert_eq!(second.running(), ["a", "c"]);
}

#[test]
fn who_waits_in_line_can_not_cancel() {
    let mut context = build::context();
    context.vars = json!({"YES": "true"});
    let wish = json!({"group": "g", "queue": "max", "cancel-in-progress": "${{ vars.YES == 'true' }}"});
    let run = Drive::with(&json!({"jobs": {"a": {"concurrency": wish}}}), CalledWorkflows::new(), context);
    assert!(run.reason("a").contains("can't stand together"), "{}", run.reason("a"));
}
