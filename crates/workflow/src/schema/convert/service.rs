//! What GitHub's service refuses of a file that its parser takes.
//!
//! These are warnings: what the file means is clear, and Hearth runs it.

use std::fmt::Display;

use crate::diagnostic::{Diagnostic, codes};
use crate::span::Span;
use crate::syntax::{Node, NodeKind};
use crate::yaml::Problems;

/// Inputs of a manual start.
/// <https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows#providing-inputs>
const MAX_DISPATCH_INPUTS: usize = 25;

/// Filters of events and their opposites, of which one excludes the other.
const FILTERS: [[&str; 2]; 3] =
    [["branches", "branches-ignore"], ["tags", "tags-ignore"], ["paths", "paths-ignore"]];

/// Checks a workflow.
pub(in crate::schema) fn check_service(root: &Node, problems: &mut Problems) {
    if let Some(on) = root.get("on") {
        check_on(on, problems);
    }
    for (id, key, job) in root.get("jobs").into_iter().flat_map(Node::entries) {
        check_steps(id, key, job, problems);
    }
}

fn check_on(on: &Node, problems: &mut Problems) {
    let is_empty = match &on.kind {
        NodeKind::Sequence(names) => names.is_empty(),
        NodeKind::Mapping(events) => events.is_empty(),
        _ => false,
    };
    if is_empty && problems.is_sound(&on.span) && problems.is_whole(&on.span) {
        let hint = "name an event, such as `push` or `workflow_dispatch`";
        refused(problems, codes::NO_TRIGGER, &on.span, "No event triggers defined in `on`", hint);
    }
    for (_, _, event) in on.entries() {
        FILTERS.iter().for_each(|[key, ignoring]| check_one_filter(event, key, ignoring, problems));
    }
    check_workflow_run(on, problems);
    let inputs = on.get("workflow_dispatch").and_then(|dispatch| dispatch.get("inputs"));
    if let Some(inputs) = inputs.filter(|inputs| inputs.entries().count() > MAX_DISPATCH_INPUTS) {
        let message = format!(
            "you may only define up to {MAX_DISPATCH_INPUTS} `inputs` for a `workflow_dispatch` event"
        );
        let hint = "pass several values in one input, as JSON for `fromJSON`";
        refused(problems, codes::INPUT_DEFINITION, &inputs.span, message, hint);
    }
}

/// A workflow that follows others says which.
fn check_workflow_run(on: &Node, problems: &mut Problems) {
    let Some((_, key, run)) = on.entries().find(|(event, _, _)| *event == "workflow_run") else { return };
    let names_none = match run.get("workflows").map(|names| &names.kind) {
        None | Some(NodeKind::Null) => true,
        Some(NodeKind::Sequence(names)) => names.is_empty(),
        Some(_) => false,
    };
    if names_none && problems.is_sound(&run.span) && problems.is_whole(&run.span) {
        let hint = "add `workflows:` with the names of those that it follows";
        let message = "`on.workflow_run` does not reference any workflows.";
        refused(problems, codes::NO_TRIGGER, &key.span, message, hint);
    }
}

/// Names come in or stay out by one list of patterns.
/// <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#onpushbranchestagsbranches-ignoretags-ignore>
fn check_one_filter(event: &Node, key: &str, ignoring: &str, problems: &mut Problems) {
    let is_there = |wanted: &str| {
        event.entries().find(|(name, _, list)| *name == wanted && !matches!(list.kind, NodeKind::Null))
    };
    if let (Some(_), Some((_, place, _))) = (is_there(key), is_there(ignoring)) {
        let message = format!("you may only define one of `{key}` and `{ignoring}` for a single event");
        let hint = format!("write what is ignored into `{key}`, each with `!` before it");
        refused(problems, codes::FILTER_CONFLICT, &place.span, message, hint);
    }
}

/// A job does something.
fn check_steps(id: &str, key: &Node, job: &Node, problems: &mut Problems) {
    let NodeKind::Mapping(pairs) = &job.kind else { return };
    let spliced = pairs.iter().any(|(key, _)| key.is_expression());
    let is_empty = match job.get("steps").map(|steps| &steps.kind) {
        Some(NodeKind::Sequence(steps)) => steps.is_empty(),
        Some(_) => false,
        None => job.get("uses").is_none() && !spliced,
    };
    // A misspelled key may be the one that is missing.
    if is_empty && problems.is_sound(&job.span) && problems.is_whole(&job.span) {
        let message = format!(
            "No steps defined in `steps` and no workflow called in `uses` for the following jobs: {id}"
        );
        refused(problems, codes::NO_STEPS, &key.span, message, "add `steps:` with at least one step");
    }
}

fn refused(
    problems: &mut Problems,
    code: &'static str,
    span: &Span,
    message: impl Display,
    hint: impl Into<String>,
) {
    let message = format!("GitHub refuses this file: {message}");
    problems.add(Diagnostic::warning(code, span.clone(), message).with_hint(hint));
}
