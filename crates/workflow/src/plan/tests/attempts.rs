//! Further attempts: what counts of an earlier one, and what runs again.

use std::collections::BTreeMap;

use model::Conclusion::{self, Cancelled, Failure, Skipped, Success};
use model::JobResult;
use serde_json::{Value as Json, json};

use super::build::{self, called};
use super::drive::{Drive, result};
use crate::plan::{CalledWorkflows, JobPath};

type Earlier = BTreeMap<JobPath, JobResult>;

/// A job's name, how it ends, and its outputs.
type End<'a> = (&'a str, Conclusion, &'a [(&'a str, &'a str)]);

/// Ends the running jobs, and notes how by their paths.
fn end(run: &mut Drive, earlier: &mut Earlier, ends: &[End<'_>]) {
    for (name, conclusion, outputs) in ends {
        let place = run.plan.place(run.id(name)).unwrap();
        earlier.insert(place.path, result(*conclusion, outputs));
        run.end_with(name, *conclusion, outputs);
    }
}

fn successes(earlier: &Earlier) -> Earlier {
    earlier.clone().into_iter().filter(|(_, result)| result.conclusion == Success).collect()
}

fn again(workflow: &Json, files: CalledWorkflows, earlier: Earlier) -> Drive {
    Drive::after(workflow, files, build::context(), earlier)
}

#[test]
fn what_succeeded_is_not_run_again_and_what_needs_a_failed_job_is() {
    let workflow = json!({"jobs": {
        "build": {"outputs": {"v": "x"}},
        "test": {"needs": "build"},
        "lint": {"needs": "build"},
        "publish": {"needs": ["test", "lint", "build"]},
        "report": {"needs": "test", "if": "always()"},
        "other": {"needs": "lint", "if": "failure()"}}});
    let (mut run, mut earlier) = (Drive::new(&workflow), Earlier::new());
    end(&mut run, &mut earlier, &[("build", Success, &[("v", "7")]), ("test", Failure, &[])]);
    end(&mut run, &mut earlier, &[("lint", Success, &[]), ("report", Success, &[])]);
    assert_eq!((run.finished, run.decision("publish")), (Some(Failure), Skipped));

    let mut run = again(&workflow, CalledWorkflows::new(), successes(&earlier));
    assert_eq!(run.names(), ["test"]);
    assert_eq!(
        (run.decision("build"), run.decision("lint"), run.decision("other")),
        (Success, Success, Skipped)
    );
    assert_eq!(run.reason("build"), "it ended so in an earlier attempt");
    assert_eq!(run.job("test").contexts.needs["build"]["outputs"]["v"], "7");
    assert!(run.plan.place(run.id("test")).unwrap().same_needs);
    run.succeed(&["test"]);
    // It succeeded before, but what it needs has run again.
    assert_eq!(run.running(), ["publish", "report"]);
    assert_eq!(run.job("publish").contexts.needs["lint"]["result"], "success");
    assert!(!run.plan.place(run.id("report")).unwrap().same_needs);
    run.succeed(&["publish", "report"]);
    assert_eq!(run.finished, Some(Success));
}

#[test]
fn siblings_that_fail_fast_had_cancelled_run_again_and_failed_ones_that_count_stop_nobody() {
    let workflow = json!({"jobs": {"a": {"strategy": {"matrix": {"x": [1, 2, 3]}}}}});
    let (mut run, mut earlier) = (Drive::new(&workflow), Earlier::new());
    end(
        &mut run,
        &mut earlier,
        &[("a (1)", Success, &[("v", "1")]), ("a (2)", Failure, &[]), ("a (3)", Cancelled, &[])],
    );
    let mut run = again(&workflow, CalledWorkflows::new(), successes(&earlier));
    assert_eq!(run.running(), ["a (2)", "a (3)"]);
    run.succeed(&["a (3)", "a (2)"]);
    assert_eq!(run.finished, Some(Success));

    // Where only the third is wanted again, the second's failure counts and does not cancel it.
    earlier.retain(|path, _| path.to_string() != "a[2]");
    let mut run = again(&workflow, CalledWorkflows::new(), earlier);
    assert_eq!((run.running(), run.cancelled.len()), (vec!["a (3)"], 0));
    run.succeed(&["a (3)"]);
    assert_eq!(run.finished, Some(Failure));
}

#[test]
fn jobs_of_called_workflows_are_known_by_their_callers_and_their_outputs_count() {
    const FILE: &str = "./.github/workflows/lib.yml";
    let lib = json!({
        "on": {"workflow_call": {"outputs": {"o": {"value": "${{ jobs.in.outputs.v }}"}}}},
        "jobs": {"in": {"outputs": {"v": "x"}}, "next": {"needs": "in"}}});
    let workflow = json!({"jobs": {
        "call": {"uses": FILE, "strategy": {"matrix": {"x": [1, 2]}, "fail-fast": false}},
        "after": {"needs": "call"}}});
    let files = called([(FILE, lib)]);
    let (mut run, mut earlier) = (Drive::with(&workflow, files.clone(), build::context()), Earlier::new());
    end(
        &mut run,
        &mut earlier,
        &[("call (1) / in", Success, &[("v", "1")]), ("call (2) / in", Success, &[("v", "2")])],
    );
    end(&mut run, &mut earlier, &[("call (1) / next", Success, &[]), ("call (2) / next", Failure, &[])]);
    let paths: Vec<String> = earlier.keys().map(ToString::to_string).collect();
    assert_eq!(paths, ["call[0]/in", "call[0]/next", "call[1]/in", "call[1]/next"]);

    let mut run = again(&workflow, files, successes(&earlier));
    assert_eq!(run.names(), ["call (2) / next"]);
    run.succeed(&["call (2) / next"]);
    assert_eq!(run.job("after").contexts.needs["call"]["outputs"]["o"], "2");
    run.succeed(&["after"]);
    assert_eq!(run.finished, Some(Success));
}

#[test]
fn a_job_that_counts_takes_no_place_in_a_group_and_no_machine() {
    let group = json!({"group": "g", "cancel-in-progress": true});
    let workflow = json!({"jobs": {"a": {"concurrency": group}, "b": {"concurrency": group}}});
    let mut context = build::context();
    context.parallel = 1;
    let (mut run, mut earlier) = (Drive::new(&json!({"jobs": {"a": {}}})), Earlier::new());
    end(&mut run, &mut earlier, &[("a", Success, &[])]);
    let run = Drive::after(&workflow, CalledWorkflows::new(), context, earlier);
    assert_eq!((run.running(), run.decision("a")), (vec!["b"], Success));
}

#[test]
fn ranks_sort_jobs_as_the_files_have_them_and_keep_a_matrix_together() {
    let files =
        called([("./.github/workflows/two.yml", json!({"on": "workflow_call", "jobs": {"y": {}, "x": {}}}))]);
    let workflow = json!({"jobs": {
        "build": {},
        "test": {"strategy": {"matrix": {"os": ["b", "a"]}}},
        "call": {"uses": "./.github/workflows/two.yml"},
        "deploy": {}}});
    let run = Drive::with(&workflow, files, build::context());
    let mut ranked: Vec<_> =
        run.started.iter().map(|(job, _)| (run.plan.rank(job.id).unwrap(), job.name.clone())).collect();
    ranked.sort();
    let names: Vec<_> = ranked.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(names, ["build", "test (b)", "test (a)", "call / y", "call / x", "deploy"]);
}
