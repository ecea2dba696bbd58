//! `strategy.matrix`, as far as it can be judged before a run has any values.

use crate::diagnostic::codes;
use crate::syntax::{Node, NodeKind};
use crate::yaml::Problems;

/// Checks the matrix of a strategy.
pub(super) fn check(strategy: &Node, problems: &mut Problems) {
    let Some(matrix) = strategy.get("matrix") else { return };
    let NodeKind::Mapping(pairs) = &matrix.kind else { return };
    if !problems.is_sound(&matrix.span) || !problems.is_whole(&matrix.span) {
        return;
    }
    let mut vectors: Vec<&str> = Vec::new();
    for (name, _, vector) in matrix.entries().filter(|(name, _, _)| !is_filter(name)) {
        vectors.push(name);
        if matches!(&vector.kind, NodeKind::Sequence(items) if items.is_empty()) {
            let message = format!("Matrix vector '{name}' does not contain any values");
            problems.error(codes::MATRIX, &vector.span, message);
        }
    }
    let has_expression_key = pairs.iter().any(|(key, _)| key.is_expression());
    let include = matrix.get("include");
    let has_include = include.is_some_and(|include| include.has_expression() || !include.items().is_empty());
    if vectors.is_empty() && !has_expression_key && !has_include {
        problems.error(codes::MATRIX, &matrix.span, "Matrix must define at least one vector");
    }
    if !matrix.has_expression() {
        check_filters(matrix, &vectors, problems);
    }
}

fn is_filter(name: &str) -> bool {
    matches!(name, "include" | "exclude")
}

fn check_filters(matrix: &Node, vectors: &[&str], problems: &mut Problems) {
    for filter in matrix.get("include").map(Node::items).unwrap_or_default() {
        if filter.entries().next().is_none() {
            problems.error(codes::MATRIX, &filter.span, "Matrix include mapping does not contain any values");
        }
    }
    for filter in matrix.get("exclude").map(Node::items).unwrap_or_default() {
        if filter.entries().next().is_none() {
            problems.error(codes::MATRIX, &filter.span, "Matrix exclude filter must not be empty");
        }
        for (name, key, _) in filter.entries() {
            if !vectors.iter().any(|vector| vector.eq_ignore_ascii_case(name)) {
                let message = format!("Matrix exclude key '{name}' does not match any key within the matrix");
                problems.error(codes::MATRIX, &key.span, message);
            }
        }
    }
}
