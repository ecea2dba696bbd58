//! Scalars: text, expressions, and what they may be at a place.

use model::Template;

use super::{Names, Place, Reader};
use crate::diagnostic::codes;
use crate::expr;
use crate::nearest;
use crate::schema::definition::{Kind, Text};
use crate::span::Span;
use crate::syntax::NodeKind;
use crate::yaml::{self, Value};

const OPEN: &str = "${{";
const CLOSE: &str = "}}";

/// The directive that splices a mapping: an expression as a key only.
pub(super) const INSERT: &str = "insert";

impl Reader<'_> {
    pub(super) fn scalar(&mut self, node: &yaml::Node, place: &Place) -> NodeKind {
        let kind = match &node.value {
            // It has been reported.
            Value::Invalid => return NodeKind::Null,
            Value::String(text) => self.text(text, &node.span, &place.names),
            Value::Null | Value::Sequence(_) | Value::Mapping(_) => NodeKind::Null,
            Value::Bool(value) => NodeKind::Bool(*value),
            Value::Number(number) => NodeKind::Number(*number),
        };
        self.fit(kind, &node.span, place)
    }

    /// Text with its expressions. Where one is wrong, the problem is reported and the text stays.
    pub(super) fn text(&mut self, text: &str, span: &Span, names: &Names) -> NodeKind {
        match expr::fold_text(text, Some(&names.allowed())) {
            Ok(Template::Expression(source)) => NodeKind::Expression(source.into()),
            Ok(Template::String(text)) => NodeKind::String(text),
            Ok(_) => NodeKind::String(text.to_owned()),
            Err(error) => {
                let mut messages = each_problem(text, names);
                if messages.is_empty() {
                    messages.push(error.message);
                }
                for message in messages {
                    let hint = expression_hint(&message, names);
                    self.problems.error_with_hint(codes::EXPRESSION, span, message, hint);
                }
                NodeKind::String(text.to_owned())
            }
        }
    }

    /// Makes a scalar what it may be at a place, or reports it.
    fn fit(&mut self, kind: NodeKind, span: &Span, place: &Place) -> NodeKind {
        if let NodeKind::Expression(source) = &kind {
            if &**source == INSERT {
                self.unexpected_value("${{ insert }}", span, place);
            } else if place.names.is_empty() {
                self.expression_not_allowed(span);
            }
            return kind;
        }
        if place.definition.kinds().any(|wanted| fits(&kind, wanted)) {
            return kind;
        }
        let text = scalar_text(&kind);
        let as_text = NodeKind::String(text);
        if place.definition.kinds().any(|wanted| fits(&as_text, wanted)) {
            return as_text;
        }
        self.unexpected_value(&scalar_text(&kind), span, place);
        kind
    }

    pub(super) fn expression_not_allowed(&mut self, span: &Span) {
        self.problems.error_with_hint(
            codes::EXPRESSION_NOT_ALLOWED,
            span,
            "A template expression is not allowed in this context",
            "GitHub reads this before a run has any values: write the value itself",
        );
    }

    fn unexpected_value(&mut self, text: &str, span: &Span, place: &Place) {
        let message = format!("Unexpected value '{text}'");
        self.problems.error_with_hint(codes::UNEXPECTED_VALUE, span, message, wanted(text, place));
    }
}

fn fits(kind: &NodeKind, wanted: &Kind) -> bool {
    match (kind, wanted) {
        (NodeKind::Null, Kind::Null)
        | (NodeKind::Bool(_), Kind::Bool)
        | (NodeKind::Number(_), Kind::Number) => true,
        (NodeKind::String(text), Kind::Text(rule)) => rule.takes(text),
        _ => false,
    }
}

/// A scalar as GitHub writes it.
pub(super) fn scalar_text(kind: &NodeKind) -> String {
    match kind {
        NodeKind::Bool(value) => value.to_string(),
        NodeKind::Number(number) => expr::Value::Number(*number).to_text(),
        NodeKind::String(text) => text.clone(),
        NodeKind::Expression(source) => format!("${{{{ {source} }}}}"),
        NodeKind::Null | NodeKind::Sequence(_) | NodeKind::Mapping(_) => String::new(),
    }
}

/// Words for what may stand at a place: the one that was probably meant, or all.
fn wanted(text: &str, place: &Place) -> String {
    let mut words = Vec::new();
    for kind in place.definition.kinds() {
        match kind {
            Kind::Null => words.push("nothing".to_owned()),
            Kind::Bool => words.push("`true` or `false`".to_owned()),
            Kind::Number => words.push("a number".to_owned()),
            Kind::Text(Text::Any | Text::NonEmpty) => words.push("text".to_owned()),
            Kind::Text(Text::Words(choices)) => {
                if let Some(choice) = nearest(text, choices.iter().copied()) {
                    return format!("did you mean `{choice}`?");
                }
                words.extend(choices.iter().map(|choice| format!("`{choice}`")));
            }
            Kind::Sequence(_) => words.push("a list".to_owned()),
            Kind::Mapping(_) => words.push("a mapping".to_owned()),
            Kind::OneOf(_) => {}
        }
    }
    format!("what may stand here: {}", words.join(", "))
}

/// The problem of each expression in a text; the language's own reading stops at the first.
fn each_problem(text: &str, names: &Names) -> Vec<String> {
    let allowed = names.allowed();
    let mut problems = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find(OPEN) {
        rest = &rest[open..];
        let end = end_of_expression(rest);
        if let Err(error) = expr::fold_text(&rest[..end], Some(&allowed)) {
            problems.push(error.message);
        }
        rest = &rest[end..];
    }
    problems
}

/// Where the expression that begins `text` ends; the end of the text where it is not closed.
fn end_of_expression(text: &str) -> usize {
    let mut in_string = false;
    let mut place = OPEN.len();
    while let Some(character) = text[place..].chars().next() {
        if character == '\'' {
            in_string = !in_string;
        } else if !in_string && text[place..].starts_with(CLOSE) {
            return place + CLOSE.len();
        }
        place += character.len_utf8();
    }
    text.len()
}

/// What to do about a problem of an expression.
pub(in crate::schema) fn expression_hint(message: &str, names: &Names) -> String {
    if message.starts_with("Unrecognized named-value") {
        let called = message.split('\'').nth(1).unwrap_or_default();
        let is_function =
            |known: &&&str| known.split('(').next().is_some_and(|name| name.eq_ignore_ascii_case(called));
        if let Some(function) = names.functions.iter().find(is_function) {
            let name = function.split('(').next().unwrap_or_default();
            return format!("a function is called with parentheses: `{name}()`");
        }
        if names.contexts.is_empty() {
            return "no context is available here".to_owned();
        }
        return format!("contexts available here: {}", names.contexts.join(", "));
    }
    if message.starts_with("Unexpected symbol: '\"") {
        return "strings in expressions stand in single quotes".to_owned();
    }
    if message.starts_with("The expression is not closed") {
        return "close it with `}}`".to_owned();
    }
    "docs/reference/expressions.md describes the language of expressions".to_owned()
}
