//! Jobs.

use super::ids::Ids;
use super::{condition, container, matrix, permissions, runs_on, step, workflow};
use crate::diagnostic::codes;
use crate::schema::workflow_tables::{CONDITION_OF_JOB, CONDITION_OF_STEP};
use crate::span::Spanned;
use crate::syntax::{CallSecrets, Job, JobWork, Node, NodeKind};
use crate::yaml::Problems;

/// One job.
pub(super) fn job(key: &Node, node: &Node, problems: &mut Problems) -> Job {
    let id = Spanned { value: key.literal().unwrap_or_default(), span: key.span.clone() };
    if let Err(message) = Ids::default().take(&id)
        && problems.is_sound(&id.span)
    {
        problems.error(codes::INVALID_ID, &id.span, message);
    }
    check_parts(node, problems);
    let get = |name| node.get(name).cloned();
    Job {
        id,
        name: get("name"),
        needs: node.get("needs").map(needs).unwrap_or_default(),
        condition: condition::condition(node.get("if"), CONDITION_OF_JOB, problems),
        permissions: node.get("permissions").map(permissions::permissions),
        cache_mode: get("cache-mode"),
        environment: get("environment"),
        concurrency: get("concurrency"),
        strategy: get("strategy"),
        env: get("env"),
        defaults: workflow::defaults(node.get("defaults")),
        outputs: get("outputs"),
        timeout_minutes: get("timeout-minutes"),
        cancel_timeout_minutes: get("cancel-timeout-minutes"),
        continue_on_error: get("continue-on-error"),
        work: work(node, problems),
    }
}

fn check_parts(node: &Node, problems: &mut Problems) {
    for (name, _, value) in node.entries() {
        match name {
            "concurrency" => workflow::check_concurrency(value, problems),
            "container" => container::check_container(value, problems),
            "services" => container::check_services(value, problems),
            "runs-on" => runs_on::check(value, problems),
            "snapshot" => check_snapshot(value, problems),
            "strategy" => matrix::check(value, problems),
            _ => {}
        }
    }
}

fn needs(node: &Node) -> Vec<Spanned<String>> {
    match &node.kind {
        NodeKind::Sequence(items) => items.iter().filter_map(Node::spanned_text).collect(),
        _ => node.spanned_text().into_iter().collect(),
    }
}

fn work(node: &Node, problems: &mut Problems) -> JobWork {
    let get = |name| node.get(name).cloned();
    if let Some(uses) = node.get("uses").and_then(Node::spanned_text) {
        return JobWork::Call { uses, with: get("with"), secrets: call_secrets(node.get("secrets")) };
    }
    JobWork::Steps {
        runs_on: get("runs-on").unwrap_or_else(|| Node { span: node.span.clone(), kind: NodeKind::Null }),
        container: get("container"),
        services: get("services"),
        snapshot: get("snapshot"),
        steps: node
            .get("steps")
            .map(|steps| step::steps(steps, CONDITION_OF_STEP, problems))
            .unwrap_or_default(),
    }
}

fn call_secrets(node: Option<&Node>) -> CallSecrets {
    match node {
        None => CallSecrets::None,
        Some(node) if node.text() == Some("inherit") => CallSecrets::Inherit,
        Some(node) => CallSecrets::Named(node.clone()),
    }
}

fn check_snapshot(node: &Node, problems: &mut Problems) {
    condition::condition(node.get("if"), CONDITION_OF_STEP, problems);
    let Some(version) = node.get("version").and_then(Node::text) else { return };
    let is_major = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !version.strip_suffix(".*").is_some_and(is_major) {
        let message = format!("Expected format '{{major-version}}.*' Actual '{version}'");
        problems.error(codes::SNAPSHOT_VERSION, &node.span, message);
    }
}
