//! Steps, of jobs and of composite actions.

use model::ActionRef;

use super::ids::Ids;
use super::{background, condition};
use crate::diagnostic::codes;
use crate::schema::definition::Definition;
use crate::span::Spanned;
use crate::syntax::{Node, NodeKind, Step, StepWork};
use crate::yaml::Problems;

const DOCKER: &str = "docker://";

/// All steps of a list, each with an id. A `parallel` group becomes its steps, and one that waits for them.
pub(super) fn steps(node: &Node, condition: &Definition, problems: &mut Problems) -> Vec<Step> {
    let mut ids = Ids::default();
    let mut steps: Vec<Step> = Vec::new();
    let mut groups = Vec::new();
    for item in node.items() {
        let Some(group) = item.get("parallel") else {
            steps.push(step(item, condition, &mut ids, problems));
            continue;
        };
        let first = steps.len();
        for member in group.items() {
            steps.push(Step { background: true, ..step(member, condition, &mut ids, problems) });
        }
        groups.push(first..steps.len());
        steps.push(background::end_of_group(&item.span));
    }
    background::check(node, problems);
    // Ids that the file gives come first, whatever their place.
    let make = |step: &mut Step, ids: &mut Ids| step.id = ids.make(&work_name(&step.work));
    steps.iter_mut().filter(|step| step.id.is_empty()).for_each(|step| make(step, &mut ids));
    background::link(&mut steps, groups);
    if let Some(mut last) = background::last_wait(&steps, &node.span) {
        make(&mut last, &mut ids);
        steps.push(last);
    }
    steps
}

fn step(node: &Node, place: &Definition, ids: &mut Ids, problems: &mut Problems) -> Step {
    let id = node.get("id").and_then(Node::spanned_text);
    if let Some(id) = &id
        && let Err(message) = ids.take(id)
        && problems.is_sound(&id.span)
    {
        problems.error(codes::INVALID_ID, &id.span, message);
    }
    let get = |name| node.get(name).cloned();
    let control = background::control(node);
    // Waiting and cancelling is done whatever happened before.
    let condition = match control {
        Some(_) => "always()".into(),
        None => condition::condition(node.get("if"), place, problems),
    };
    Step {
        span: node.span.clone(),
        id: id.map(|id| id.value).unwrap_or_default(),
        name: get("name"),
        condition,
        env: get("env"),
        continue_on_error: get("continue-on-error"),
        timeout_minutes: get("timeout-minutes"),
        background: background::is_background(node),
        work: control.unwrap_or_else(|| work(node, problems)),
    }
}

fn work(node: &Node, problems: &mut Problems) -> StepWork {
    let get = |name| node.get(name).cloned();
    match node.get("uses").and_then(Node::spanned_text) {
        Some(uses) => StepWork::Uses { uses: action_ref(uses, problems), with: get("with") },
        None => StepWork::Run {
            script: get("run").unwrap_or_else(|| Node { span: node.span.clone(), kind: NodeKind::Null }),
            shell: get("shell"),
            working_directory: get("working-directory"),
        },
    }
}

/// `uses` of a step: `./path`, `$/path`, `docker://image`, or `owner/repo[/path]@ref`.
fn action_ref(uses: Spanned<String>, problems: &mut Problems) -> Spanned<ActionRef> {
    let value = parse_action_ref(&uses).unwrap_or_else(|| {
        if problems.is_sound(&uses.span) {
            let message = format!("Expected format {{org}}/{{repo}}[/path]@ref. Actual '{}'", uses.value);
            let hint = "other forms are `$/path` and `./path` for an action in the repository, and \
                        `docker://image`";
            problems.error_with_hint(codes::USES_FORMAT, &uses.span, message, hint);
        }
        ActionRef::Local(uses.value.clone())
    });
    Spanned { value, span: uses.span }
}

fn parse_action_ref(uses: &str) -> Option<ActionRef> {
    if let Some(image) = uses.strip_prefix(DOCKER) {
        return Some(ActionRef::Docker(image.to_owned()));
    }
    if uses.starts_with("./") || uses.starts_with(".\\") {
        return Some(ActionRef::Local(uses.to_owned()));
    }
    if let Some(path) = uses.strip_prefix("$/") {
        let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
        return (!parts.contains(&"..") && !path.contains('@')).then(|| ActionRef::Own(parts.join("/")));
    }
    let (name, reference) = uses.split_once('@')?;
    if reference.is_empty() || reference.contains('@') {
        return None;
    }
    let mut parts = name.split(['/', '\\']).filter(|part| !part.is_empty());
    let (owner, repo) = (parts.next()?.to_owned(), parts.next()?.to_owned());
    let path = parts.collect::<Vec<_>>().join("/");
    Some(ActionRef::Repository { owner, repo, path, reference: reference.to_owned() })
}

/// What a made-up id is made of.
fn work_name(work: &StepWork) -> String {
    match work {
        StepWork::Run { .. } => "run".to_owned(),
        StepWork::Uses { uses, .. } => match &uses.value {
            ActionRef::Local(_) | ActionRef::Own(_) => "self".to_owned(),
            ActionRef::Docker(image) if image.is_empty() => "run".to_owned(),
            ActionRef::Docker(image) => image.clone(),
            ActionRef::Repository { owner, repo, .. } => format!("{owner}/{repo}"),
        },
        StepWork::Wait { .. } => "wait".to_owned(),
        StepWork::Cancel { .. } => "cancel".to_owned(),
    }
}
