//! Steps that the job does not wait for, and those that wait for them.
//!
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#jobsjob_idstepsbackground>

use std::collections::HashSet;
use std::ops::Range;

use crate::diagnostic::codes;
use crate::span::{Span, Spanned};
use crate::syntax::{Node, NodeKind, Step, StepWork};
use crate::yaml::Problems;

/// What `wait`, `wait-all`, or `cancel` of a step asks for.
pub(super) fn control(node: &Node) -> Option<StepWork> {
    if let Some(wanted) = node.get("wait") {
        return Some(StepWork::Wait { steps: Some(targets(wanted).map(|id| id.value).collect()) });
    }
    if let Some(all) = node.get("wait-all") {
        let steps = matches!(all.kind, NodeKind::Bool(false)).then(Vec::new);
        return Some(StepWork::Wait { steps });
    }
    let step = node.get("cancel")?.spanned_text()?.value;
    Some(StepWork::Cancel { step })
}

/// The ids that `wait` or `cancel` gives: one, or a list.
fn targets(node: &Node) -> impl Iterator<Item = Spanned<String>> {
    std::iter::once(node).chain(node.items()).filter_map(Node::spanned_text)
}

/// The step behind a `parallel` group, which waits for the steps of it.
pub(super) fn end_of_group(group: &Span) -> Step {
    wait("Wait for the parallel steps", Some(Vec::new()), group)
}

/// A step that waits, whatever happened before it.
fn wait(name: &str, steps: Option<Vec<String>>, span: &Span) -> Step {
    Step {
        span: span.clone(),
        id: String::new(),
        name: Some(Node { span: span.clone(), kind: NodeKind::String(name.to_owned()) }),
        condition: "always()".into(),
        env: None,
        continue_on_error: None,
        timeout_minutes: None,
        background: false,
        work: StepWork::Wait { steps },
    }
}

/// Lets the step behind each group wait for the steps of it, now that all have an id.
pub(super) fn link(steps: &mut [Step], groups: Vec<Range<usize>>) {
    for group in groups {
        let ids = steps[group.clone()].iter().map(|step| step.id.clone()).collect();
        steps[group.end].work = StepWork::Wait { steps: Some(ids) };
    }
}

/// Reports what waits for, or cancels, what is no background step before it.
pub(super) fn check(steps: &Node, problems: &mut Problems) {
    // Who knows which steps stand in what can't be read?
    if !problems.is_whole(&steps.span) {
        return;
    }
    let mut started: HashSet<String> = HashSet::new();
    for item in steps.items() {
        for (key, id) in ["wait", "cancel"]
            .into_iter()
            .flat_map(|key| item.get(key).into_iter().flat_map(targets).map(move |id| (key, id)))
        {
            if !started.contains(&id.value.to_ascii_lowercase()) && problems.is_sound(&id.span) {
                unknown(key, &id.value, &id.span, problems);
            }
        }
        let group = item.get("parallel").into_iter().flat_map(Node::items);
        let alone = std::iter::once(item).filter(|item| is_background(item));
        let ids = group.chain(alone).filter_map(|step| step.get("id").and_then(Node::literal));
        started.extend(ids.map(|id| id.to_ascii_lowercase()));
    }
}

fn unknown(key: &str, id: &str, span: &Span, problems: &mut Problems) {
    let message = format!("The step '{id}' is not a background step before this one");
    let hint = format!("`{key}` takes the `id` of an earlier step with `background: true`");
    problems.error_with_hint(codes::UNKNOWN_STEP, span, message, hint);
}

/// Whether a step says `background: true`.
pub(super) fn is_background(step: &Node) -> bool {
    step.get("background").is_some_and(|value| matches!(value.kind, NodeKind::Bool(true)))
}

/// The step that waits at the end for background steps that nothing waits for and nothing cancels.
pub(super) fn last_wait(steps: &[Step], span: &Span) -> Option<Step> {
    let key = |id: &str| id.to_ascii_lowercase();
    let mut loose: HashSet<String> = HashSet::new();
    for step in steps {
        match &step.work {
            StepWork::Wait { steps: None } => loose.clear(),
            StepWork::Wait { steps: Some(ids) } => ids.iter().for_each(|id| {
                loose.remove(&key(id));
            }),
            StepWork::Cancel { step } => {
                loose.remove(&key(step));
            }
            StepWork::Run { .. } | StepWork::Uses { .. } if step.background => {
                loose.insert(key(&step.id));
            }
            StepWork::Run { .. } | StepWork::Uses { .. } => {}
        }
    }
    (!loose.is_empty()).then(|| wait("Wait for all background steps", None, span))
}
