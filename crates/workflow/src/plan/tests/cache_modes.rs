//! What jobs may do with caches.

use model::{CacheMode, Trust};
use serde_json::{Value as Json, json};

use super::build::{self, called};
use super::drive::Drive;
use crate::plan::{CalledWorkflows, RunPlan};

const FILE: &str = "./.github/workflows/called.yml";

fn modes(workflow: &Json, files: CalledWorkflows, event: &str, trust: Trust) -> Vec<(String, CacheMode)> {
    let mut context = build::context();
    context.trust = trust;
    context.github["event_name"] = json!(event);
    let run = Drive::with(workflow, files, context);
    run.started.iter().map(|(job, _)| (job.name.clone(), job.cache_mode)).collect()
}

fn named(modes: &[(&str, CacheMode)]) -> Vec<(String, CacheMode)> {
    modes.iter().map(|(name, mode)| ((*name).to_owned(), *mode)).collect()
}

#[test]
fn a_job_s_cache_mode_goes_before_the_workflow_s_and_that_before_the_event_s() {
    let jobs = json!({"a": {}, "b": {"cache-mode": "write-only"}, "c": {"cache-mode": "${{ vars.NO && 'none' || 'read' }}"}});
    for (file, event, of_a) in [
        (json!({"jobs": jobs}), "push", CacheMode::Write),
        (json!({"jobs": jobs}), "issue_comment", CacheMode::Read),
        (json!({"cache-mode": "none", "jobs": jobs}), "push", CacheMode::None),
        (json!({"cache-mode": "write", "jobs": jobs}), "issue_comment", CacheMode::Write),
    ] {
        let expected = named(&[("a", of_a), ("b", CacheMode::WriteOnly), ("c", CacheMode::Read)]);
        assert_eq!(modes(&file, CalledWorkflows::new(), event, Trust::Trusted), expected, "{file} {event}");
    }
}

#[test]
fn nothing_lets_untrusted_code_write_caches() {
    let file = json!({"cache-mode": "write", "jobs": {"a": {}, "b": {"cache-mode": "write-only"}}});
    let expected = named(&[("a", CacheMode::Read), ("b", CacheMode::None)]);
    assert_eq!(modes(&file, CalledWorkflows::new(), "push", Trust::Untrusted), expected);
}

#[test]
fn a_called_workflow_may_do_no_more_than_its_caller() {
    let callee = |mode: Option<&str>| {
        let mut file = json!({"on": "workflow_call", "jobs": {"a": {}, "b": {"cache-mode": "write"}}});
        if let Some(mode) = mode {
            file["cache-mode"] = json!(mode);
        }
        called([(FILE, file)])
    };
    let call = |mode: &str| json!({"jobs": {"call": {"uses": FILE, "cache-mode": mode}}});
    for (workflow, files, of_a, of_b) in [
        (call("read"), callee(None), CacheMode::Read, CacheMode::Read),
        (call("read"), callee(Some("write")), CacheMode::Read, CacheMode::Read),
        (call("write"), callee(Some("none")), CacheMode::None, CacheMode::Write),
        (call("write-only"), callee(Some("read")), CacheMode::None, CacheMode::WriteOnly),
        (json!({"jobs": {"call": {"uses": FILE}}}), callee(None), CacheMode::Write, CacheMode::Write),
    ] {
        let expected = named(&[("call / a", of_a), ("call / b", of_b)]);
        assert_eq!(modes(&workflow, files, "push", Trust::Trusted), expected, "{workflow}");
    }
}

#[test]
fn a_cache_mode_that_is_none_fails_its_job_or_the_run() {
    let run = Drive::new(&json!({"jobs": {"a": {"cache-mode": "${{ vars.REGION }}"}}}));
    let reason = run.reason("a");
    assert!(
        reason.contains("cache-mode") && reason.contains("'eu'") && reason.contains("write-only"),
        "{reason}"
    );
    let workflow = build::workflow(&json!({"cache-mode": "${{ vars.REGION }}", "jobs": {"a": {}}}));
    let problems = RunPlan::new(workflow, CalledWorkflows::new(), build::context()).unwrap_err();
    assert!(problems[0].message.contains("'eu'"), "{problems:?}");
}
