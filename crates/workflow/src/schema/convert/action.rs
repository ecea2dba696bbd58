//! Actions.

use super::{condition, step};
use crate::diagnostic::{Diagnostic, codes};
use crate::schema::action_tables::{CONDITION_OF_RUNS, CONDITION_OF_STEP};
use crate::span::Span;
use crate::syntax::{Action, ActionInput, ActionOutput, ActionRuns, Node, NodeKind};
use crate::yaml::Problems;

/// Keys of `runs`, for each kind of action.
const JAVASCRIPT_KEYS: &[&str] = &["using", "main", "pre", "pre-if", "post", "post-if"];
const COMPOSITE_KEYS: &[&str] = &["using", "steps"];
const DOCKER_KEYS: &[&str] = &[
    "using",
    "image",
    "args",
    "env",
    "entrypoint",
    "pre-entrypoint",
    "pre-if",
    "post-entrypoint",
    "post-if",
];

/// The typed action; `None` when the file is no mapping, or `runs` says nothing that can be run.
pub(in crate::schema) fn action(root: &Node, problems: &mut Problems) -> Option<Action> {
    let NodeKind::Mapping(_) = root.kind else { return None };
    let inputs = root.get("inputs").map(inputs).unwrap_or_default();
    let outputs = root.get("outputs").map(outputs).unwrap_or_default();
    let runs = root.get("runs").and_then(|node| runs(node, problems))?;
    Some(Action {
        file: problems.file().clone(),
        name: root.get("name").and_then(Node::spanned_text),
        description: root.get("description").and_then(Node::spanned_text),
        inputs,
        outputs,
        runs,
    })
}

fn inputs(node: &Node) -> Vec<ActionInput> {
    let input = |(_, key, input): (&str, &Node, &Node)| {
        Some(ActionInput {
            name: key.spanned_text()?,
            description: text(input, "description"),
            required: input.get("required").and_then(Node::literal).is_some_and(|text| text == "true"),
            default: input.get("default").cloned(),
            deprecation_message: text(input, "deprecationMessage"),
        })
    };
    node.entries().filter_map(input).collect()
}

fn outputs(node: &Node) -> Vec<ActionOutput> {
    let output = |(_, key, output): (&str, &Node, &Node)| {
        Some(ActionOutput {
            name: key.spanned_text()?,
            description: text(output, "description"),
            value: output.get("value").cloned(),
        })
    };
    node.entries().filter_map(output).collect()
}

fn text(node: &Node, key: &str) -> Option<String> {
    node.get(key).and_then(Node::text).map(str::to_owned)
}

fn runs(node: &Node, problems: &mut Problems) -> Option<ActionRuns> {
    let mut using = node.get("using")?.spanned_text()?;
    using.value.make_ascii_lowercase();
    match using.value.as_str() {
        "composite" => {
            report_other_keys(node, COMPOSITE_KEYS, problems);
            let steps = required(node, "steps", problems)?;
            Some(ActionRuns::Composite { steps: step::steps(steps, CONDITION_OF_STEP, problems) })
        }
        "docker" => docker(node, problems),
        name if is_node(name) => {
            report_other_keys(node, JAVASCRIPT_KEYS, problems);
            let main = required(node, "main", problems)?.text()?.to_owned();
            Some(ActionRuns::JavaScript {
                using,
                main,
                pre: text(node, "pre"),
                pre_if: condition::plain(node.get("pre-if"), CONDITION_OF_RUNS, problems),
                post: text(node, "post"),
                post_if: condition::plain(node.get("post-if"), CONDITION_OF_RUNS, problems),
            })
        }
        name => {
            let message = format!("Unexpected value '{name}'");
            let hint = "what may stand here: `node20`, `node24` (or another `node` with a version), `composite`, `docker`";
            problems.error_with_hint(codes::UNEXPECTED_VALUE, &using.span, message, hint);
            None
        }
    }
}

fn is_node(using: &str) -> bool {
    using
        .strip_prefix("node")
        .is_some_and(|version| !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit()))
}

fn docker(node: &Node, problems: &mut Problems) -> Option<ActionRuns> {
    report_other_keys(node, DOCKER_KEYS, problems);
    let image = required(node, "image", problems)?.spanned_text()?;
    Some(ActionRuns::Docker {
        image,
        args: node.get("args").cloned(),
        entrypoint: text(node, "entrypoint"),
        pre_entrypoint: text(node, "pre-entrypoint"),
        pre_if: condition::plain(node.get("pre-if"), CONDITION_OF_RUNS, problems),
        post_entrypoint: text(node, "post-entrypoint"),
        post_if: condition::plain(node.get("post-if"), CONDITION_OF_RUNS, problems),
        env: node.get("env").cloned(),
    })
}

fn required<'a>(node: &'a Node, key: &str, problems: &mut Problems) -> Option<&'a Node> {
    let value = node.get(key);
    if value.is_none() && !problems.may_hide(&node.span, key) {
        missing(key, &node.span, problems);
    }
    value
}

fn missing(key: &str, span: &Span, problems: &mut Problems) {
    let message = format!("Required property is missing: {key}");
    problems.error_with_hint(codes::REQUIRED_PROPERTY, span, message, format!("add `{key}:`"));
}

/// Keys of another kind of action do nothing.
fn report_other_keys(node: &Node, keys: &[&str], problems: &mut Problems) {
    for (name, key, _) in node.entries().filter(|(name, _, _)| !keys.contains(name)) {
        let message = format!("The key '{name}' does not go with this 'using' and is ignored");
        problems.add(Diagnostic::warning(codes::IGNORED_KEY, key.span.clone(), message));
    }
}
