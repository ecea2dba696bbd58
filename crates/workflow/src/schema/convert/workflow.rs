//! The file as a whole.

use super::{event, job, needs, permissions};
use crate::diagnostic::codes;
use crate::syntax::{Defaults, Node, NodeKind, QUEUE_CONFLICT, Workflow};
use crate::yaml::Problems;

/// Characters of the name of a concurrency group.
const MAX_GROUP: usize = 400;

/// The typed workflow; `None` when the file is no mapping.
pub(in crate::schema) fn workflow(root: &Node, problems: &mut Problems) -> Option<Workflow> {
    let NodeKind::Mapping(_) = root.kind else { return None };
    let concurrency = root.get("concurrency");
    if let Some(group) = concurrency {
        check_concurrency(group, problems);
    }
    let jobs = root.get("jobs");
    let converted = jobs.map(|jobs| {
        let converted: Vec<_> =
            jobs.entries().map(|(_, key, value)| job::job(key, value, problems)).collect();
        needs::check(jobs, &converted, problems);
        converted
    });
    Some(Workflow {
        file: problems.file().clone(),
        name: root.get("name").and_then(Node::spanned_text),
        run_name: root.get("run-name").cloned(),
        on: root.get("on").map(|on| event::triggers(on, problems)).unwrap_or_default(),
        env: root.get("env").cloned(),
        defaults: defaults(root.get("defaults")),
        permissions: root.get("permissions").map(permissions::permissions),
        cache_mode: root.get("cache-mode").cloned(),
        concurrency: concurrency.cloned(),
        jobs: converted.unwrap_or_default(),
    })
}

/// `defaults`.
pub(super) fn defaults(node: Option<&Node>) -> Defaults {
    let run = node.and_then(|node| node.get("run"));
    let get = |key| run.and_then(|run| run.get(key)).cloned();
    Defaults { shell: get("shell"), working_directory: get("working-directory") }
}

/// `concurrency` of the workflow or of a job.
pub(super) fn check_concurrency(node: &Node, problems: &mut Problems) {
    let group = node.text().or_else(|| node.get("group").and_then(Node::text));
    if group.is_some_and(|group| group.chars().count() > MAX_GROUP) {
        let message = format!("Concurrency group name must be less than {MAX_GROUP} characters");
        problems.error(codes::CONCURRENCY_GROUP, &node.span, message);
    }
    let queue = node.get("queue").filter(|queue| queue.text() == Some("max"));
    if let (Some(queue), Some(true)) = (queue, node.get("cancel-in-progress").and_then(Node::boolean)) {
        let hint = "with `cancel-in-progress: true` nobody waits in line: remove one of the two";
        problems.error_with_hint(codes::CONCURRENCY_QUEUE, &queue.span, QUEUE_CONFLICT, hint);
    }
}
