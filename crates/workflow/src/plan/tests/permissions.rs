//! What tokens of jobs may do.
//!
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#how-permissions-are-calculated-for-a-workflow-job>

use model::Trust;
use serde_json::{Value as Json, json};

use super::build::{self, called};
use super::drive::Drive;
use crate::plan::CalledWorkflows;
use crate::resolve::DefaultPermissions::{self, LimitedRead, Unlimited, Write};

const FILE: &str = "./.github/workflows/called.yml";

/// What the job `name` may do, as GitHub shows it.
fn of(
    name: &str,
    workflow: &Json,
    files: CalledWorkflows,
    (default, trust): (DefaultPermissions, Trust),
) -> String {
    let mut context = build::context();
    (context.permissions, context.trust) = (default, trust);
    let run = Drive::with(workflow, files, context);
    let shown =
        run.job(name).permissions.iter().map(|(scope, access)| format!("{scope}: {}", access.as_str()));
    shown.collect::<Vec<_>>().join(", ")
}

#[test]
fn a_jobs_permissions_go_before_the_workflows_and_those_before_the_default() {
    let own = (LimitedRead, Trust::Trusted);
    let none = CalledWorkflows::new;
    let jobs = json!({"a": {}, "b": {"permissions": {"issues": "write", "contents": "none"}}, "c": {"permissions": {}}});
    let file = json!({"permissions": {"checks": "write", "id-token": "write"}, "jobs": jobs});
    assert_eq!(of("a", &file, none(), own), "checks: write, id-token: write");
    assert_eq!(of("b", &file, none(), own), "issues: write");
    assert_eq!(of("c", &file, none(), own), "");
    let silent = json!({"jobs": jobs});
    assert_eq!(of("a", &silent, none(), own), "contents: read, packages: read");
    for default in [Write, Unlimited] {
        let all = of("a", &silent, none(), (default, Trust::Trusted));
        assert!(all.contains("contents: write") && all.contains("statuses: write"), "{all}");
        assert!(!all.contains("id-token"), "nobody gets OIDC tokens unasked: {all}");
    }
}

#[test]
fn read_all_reads_everything_and_write_all_writes_it() {
    let file = |all: &str| json!({"permissions": all, "jobs": {"a": {}}});
    let own = (LimitedRead, Trust::Trusted);
    let read = of("a", &file("read-all"), CalledWorkflows::new(), own);
    assert!(read.contains("actions: read") && read.contains("attestations: read"), "{read}");
    assert!(!read.contains("write") && !read.contains("id-token"), "{read}");
    let write = of("a", &file("write-all"), CalledWorkflows::new(), own);
    assert!(write.contains("id-token: write") && write.contains("pull-requests: write"), "{write}");
    assert!(!write.contains("read"), "{write}");
}

#[test]
fn code_of_a_fork_reads_whatever_it_asks_for() {
    let fork = (Write, Trust::Untrusted);
    for permissions in [json!("write-all"), json!({"contents": "write", "id-token": "write"})] {
        for file in [
            json!({"permissions": permissions, "jobs": {"a": {}}}),
            json!({"jobs": {"a": {"permissions": permissions}}}),
        ] {
            let may = of("a", &file, CalledWorkflows::new(), fork);
            assert!(may.contains("contents: read"), "{file}: {may}");
            assert!(!may.contains("write") && !may.contains("id-token"), "{file}: {may}");
        }
    }
    let silent = of("a", &json!({"jobs": {"a": {}}}), CalledWorkflows::new(), fork);
    assert!(silent.contains("contents: read") && !silent.contains("write"), "{silent}");
}

#[test]
fn a_called_workflow_has_no_more_than_its_caller() {
    let own = (LimitedRead, Trust::Trusted);
    let callee = |permissions: Option<Json>| {
        let mut file = json!({"on": "workflow_call", "jobs": {"x": {}}});
        if let Some(permissions) = permissions {
            file["permissions"] = permissions;
        }
        called([(FILE, file)])
    };
    let call = |permissions: Json| json!({"jobs": {"call": {"uses": FILE, "permissions": permissions}}});
    let two = json!({"issues": "write", "contents": "read"});
    assert_eq!(of("call / x", &call(two.clone()), callee(None), own), "contents: read, issues: write");
    assert_eq!(
        of("call / x", &call(two.clone()), callee(Some(json!({"issues": "read"}))), own),
        "issues: read"
    );
    let silent = json!({"jobs": {"call": {"uses": FILE}}});
    assert_eq!(of("call / x", &silent, callee(None), own), "contents: read, packages: read");
    let fork = (Write, Trust::Untrusted);
    assert_eq!(of("call / x", &call(two), callee(None), fork), "contents: read, issues: read");
}
