//! `if`: a text or an expression to a condition that holds a status function.

use std::sync::Arc;

use crate::diagnostic::{Diagnostic, codes};
use crate::expr::Expression;
use crate::schema::definition::Definition;
use crate::schema::reader::{Names, expression_hint};
use crate::span::Span;
use crate::syntax::{Node, NodeKind};
use crate::yaml::Problems;

/// The condition of a job or step.
///
/// Without a status function in it, it holds only while all is well: `success() && (...)`.
/// <https://docs.github.com/en/actions/reference/workflows-and-actions/expressions#status-check-functions>
pub(super) fn condition(node: Option<&Node>, place: &Definition, problems: &mut Problems) -> Arc<str> {
    let Some((node, source)) = node.and_then(|node| Some((node, source(node)?))) else {
        return "success()".into();
    };
    match parse(&source, &node.span, place, problems) {
        Some(expression) if !expression.calls_status_function() => format!("success() && ({source})").into(),
        _ => source,
    }
}

/// `pre-if` or `post-if` of an action: as it is, and `always()` when absent.
pub(super) fn plain(node: Option<&Node>, place: &Definition, problems: &mut Problems) -> Arc<str> {
    let Some((node, source)) = node.and_then(|node| Some((node, source(node)?))) else {
        return "always()".into();
    };
    parse(&source, &node.span, place, problems);
    source
}

fn source(node: &Node) -> Option<Arc<str>> {
    match &node.kind {
        NodeKind::Expression(source) => Some(source.clone()),
        _ => node.literal().map(|text| text.trim().into()).filter(|text: &Arc<str>| !text.is_empty()),
    }
}

fn parse(source: &str, span: &Span, place: &Definition, problems: &mut Problems) -> Option<Expression> {
    let names = Names::of(place);
    match Expression::parse(source, Some(&names.allowed())) {
        Ok(expression) => {
            if expression.format_pattern().is_some_and(is_never_empty) {
                problems.add(always_true(span));
            }
            Some(expression)
        }
        Err(error) => {
            if problems.is_sound(span) {
                let hint = expression_hint(&error.message, &names);
                problems.error_with_hint(codes::EXPRESSION, span, error.message, hint);
            }
            None
        }
    }
}

/// `if: ${{ a }} && ${{ b }}` has become `format('{0} && {1}', a, b)`: text, and so always true.
fn is_never_empty(pattern: &str) -> bool {
    pattern.contains("{0}") && pattern != "{0}"
}

fn always_true(span: &Span) -> Diagnostic {
    let message = "The condition is always true: text stands around its expressions";
    Diagnostic::warning(codes::CONDITION_ALWAYS_TRUE, span.clone(), message)
        .with_hint("write the whole condition inside of one `${{ }}`, or without any")
}
