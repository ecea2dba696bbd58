//! Inputs of a manual start: checked, completed, and typed.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use crate::diagnostic::{Diagnostic, Severity, codes};
use crate::expr::Value;
use crate::span::Span;
use crate::syntax::{Input, InputKind, NodeKind, Workflow};

/// The `inputs` context of a `workflow_dispatch` that was given these inputs.
///
/// An input that is not given has its default, or else `false`, `0`, or the empty text by its
/// type. Names are found without regard to case. Errors: an input that is required and missing,
/// one that the workflow does not know, a value that is not of the type.
pub fn resolve_inputs(workflow: &Workflow, given: BTreeMap<String, String>) -> Result<Json, Vec<Diagnostic>> {
    let dispatch = workflow.on.iter().find(|trigger| *trigger.event.value == *"workflow_dispatch");
    let declared = dispatch.map_or(&[][..], |trigger| &trigger.inputs);
    let mut problems: Vec<Diagnostic> = given
        .keys()
        .filter(|name| find(declared, name).is_none())
        .map(|name| unexpected(name, declared))
        .collect();
    let mut inputs = Map::new();
    for input in declared {
        let name = &input.name.value;
        let text =
            given.iter().find(|(given, _)| given.eq_ignore_ascii_case(name)).map(|(_, text)| text.as_str());
        match resolve(input, text) {
            Ok(value) => {
                inputs.insert(name.clone(), value);
            }
            Err(message) => {
                problems.push(error(codes::INVALID_INPUT, Some(input.name.span.clone()), message))
            }
        }
    }
    if problems.is_empty() { Ok(Json::Object(inputs)) } else { Err(problems) }
}

/// `github.event.inputs` for resolved inputs: there every value is text.
pub fn event_inputs(inputs: &Json) -> Json {
    let as_text = |value: &Json| Json::String(Value::from_json(value).to_text());
    let entries = inputs.as_object().into_iter().flatten();
    entries.map(|(name, value)| (name.clone(), as_text(value))).collect()
}

fn find<'a>(declared: &'a [Input], name: &str) -> Option<&'a Input> {
    declared.iter().find(|input| input.name.value.eq_ignore_ascii_case(name))
}

fn resolve(input: &Input, given: Option<&str>) -> Result<Json, String> {
    let name = &input.name.value;
    let given = given.filter(|text| !(text.is_empty() && input.required));
    match (given, default_of(input)) {
        (Some(text), _) => convert(input, text),
        (None, Some(text)) => convert(input, &text),
        (None, None) if input.required => Err(format!("Required input '{name}' not provided")),
        (None, None) => Ok(match &input.kind {
            InputKind::Boolean => false.into(),
            InputKind::Number => 0.into(),
            InputKind::String | InputKind::Choice(_) | InputKind::Environment => "".into(),
        }),
    }
}

fn default_of(input: &Input) -> Option<String> {
    match &input.default.as_ref()?.kind {
        NodeKind::Bool(value) => Some(Value::Bool(*value).to_text()),
        NodeKind::Number(number) => Some(Value::Number(*number).to_text()),
        NodeKind::String(text) => Some(text.clone()),
        NodeKind::Expression(source) => Some(format!("${{{{ {source} }}}}")),
        NodeKind::Null | NodeKind::Sequence(_) | NodeKind::Mapping(_) => None,
    }
}

fn convert(input: &Input, text: &str) -> Result<Json, String> {
    let wrong =
        |expected: &str| format!("Provided value '{text}' for input '{}' {expected}", input.name.value);
    match &input.kind {
        InputKind::String | InputKind::Environment => Ok(text.into()),
        InputKind::Boolean if text.eq_ignore_ascii_case("true") => Ok(true.into()),
        InputKind::Boolean if text.eq_ignore_ascii_case("false") => Ok(false.into()),
        InputKind::Boolean => Err(wrong("is not a boolean: give true or false")),
        InputKind::Number => {
            let number = Value::from(text).to_number();
            let is_number = number.is_finite() && !text.trim().is_empty();
            is_number.then(|| Value::Number(number).to_json()).ok_or_else(|| wrong("is not a number"))
        }
        InputKind::Choice(options) if options.iter().any(|option| option == text) => Ok(text.into()),
        InputKind::Choice(options) => {
            Err(wrong(&format!("not in the list of allowed values: {}", options.join(", "))))
        }
    }
}

fn unexpected(name: &str, declared: &[Input]) -> Diagnostic {
    let mut problem = error(codes::UNEXPECTED_INPUT, None, format!("Unexpected inputs provided: '{name}'"));
    let names: Vec<&str> = declared.iter().map(|input| input.name.value.as_str()).collect();
    problem.hint = Some(if names.is_empty() {
        "The workflow declares no inputs under 'workflow_dispatch'.".to_owned()
    } else {
        format!("The workflow's inputs are: {}.", names.join(", "))
    });
    problem
}

fn error(code: &'static str, span: Option<Span>, message: String) -> Diagnostic {
    Diagnostic { severity: Severity::Error, code, span, message, hint: None }
}
