//! Inputs of `workflow_dispatch` and `workflow_call`.

use crate::diagnostic::{Diagnostic, codes};
use crate::span::Spanned;
use crate::syntax::{Input, InputKind, Node, NodeKind};
use crate::yaml::Problems;

/// Typed inputs.
pub(super) fn inputs(node: &Node, is_call: bool, problems: &mut Problems) -> Vec<Input> {
    node.entries()
        .filter_map(|(_, key, definition)| Some(input(key.spanned_text()?, definition, is_call, problems)))
        .collect()
}

fn input(name: Spanned<String>, definition: &Node, is_call: bool, problems: &mut Problems) -> Input {
    let kind = kind(definition);
    let default = definition.get("default").filter(|default| !matches!(default.kind, NodeKind::Null));
    if problems.is_sound(&definition.span) && problems.is_whole(&definition.span) {
        check_options(definition, &kind, problems);
        if let Some(default) = default {
            check_default(default, &kind, is_call, problems);
        }
    }
    Input {
        name,
        description: definition.get("description").and_then(Node::text).map(str::to_owned),
        required: definition.get("required").and_then(Node::boolean).unwrap_or(false),
        default: default.cloned(),
        kind,
    }
}

fn kind(definition: &Node) -> InputKind {
    match definition.get("type").and_then(Node::text) {
        Some("boolean") => InputKind::Boolean,
        Some("number") => InputKind::Number,
        Some("environment") => InputKind::Environment,
        Some("choice") => {
            let options = definition.get("options").map(Node::items).unwrap_or_default();
            InputKind::Choice(options.iter().filter_map(Node::literal).collect())
        }
        _ => InputKind::String,
    }
}

fn check_options(definition: &Node, kind: &InputKind, problems: &mut Problems) {
    let options = definition.get("options");
    let message = match (kind, options) {
        (InputKind::Choice(options), _) if options.is_empty() => "Missing 'options' for choice input",
        (InputKind::Choice(_), _) | (_, None) => return,
        (_, Some(_)) => "Input type is not 'choice', but 'options' is defined",
    };
    let hint = "`type: choice` goes with `options:`, a list of the values to choose from";
    problems.error_with_hint(codes::INPUT_DEFINITION, &definition.span, message, hint);
}

/// A default that can't be of the input's type is an error. One that GitHub makes fit
/// (`type: boolean` with `default: 'true'`) is a warning.
fn check_default(default: &Node, kind: &InputKind, is_call: bool, problems: &mut Problems) {
    let (expected, fits) = match (kind, &default.kind) {
        (_, NodeKind::Expression(_))
        | (InputKind::Boolean, NodeKind::Bool(_))
        | (InputKind::Number, NodeKind::Number(_)) => return,
        (InputKind::Boolean, NodeKind::String(text)) => {
            ("BooleanToken", !is_call && matches!(text.as_str(), "true" | "false"))
        }
        (InputKind::Boolean, _) => ("BooleanToken", false),
        // GitHub looks at it when the input has no value.
        (InputKind::Number, _) => ("NumberToken", true),
        // GitHub reads any scalar as text.
        (InputKind::String | InputKind::Choice(_) | InputKind::Environment, _) => return,
    };
    let message = format!(
        "Unexpected type '{}' encountered while reading 'input default'. The type '{expected}' was expected.",
        type_name(default)
    );
    let hint = "remove the quotes, or change the type of the input";
    let problem = if fits {
        Diagnostic::warning(codes::UNEXPECTED_TYPE, default.span.clone(), message)
    } else {
        Diagnostic::error(codes::UNEXPECTED_TYPE, default.span.clone(), message)
    };
    problems.add(problem.with_hint(hint));
}

/// GitHub's name for what a value is.
fn type_name(node: &Node) -> &'static str {
    match node.kind {
        NodeKind::Null => "NullToken",
        NodeKind::Bool(_) => "BooleanToken",
        NodeKind::Number(_) => "NumberToken",
        NodeKind::String(_) => "StringToken",
        NodeKind::Expression(_) => "BasicExpressionToken",
        NodeKind::Sequence(_) => "SequenceToken",
        NodeKind::Mapping(_) => "MappingToken",
    }
}
