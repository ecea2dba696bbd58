//! Collects what is wrong with one file.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Severity, codes};
use crate::span::{Position, Span};

/// Problems that are kept of one file. A file with more has one cause, not a thousand; the
/// bound keeps memory small when each node of a large file is wrong.
const MAX_PROBLEMS: usize = 1000;

/// Characters of a message or a hint that are kept: twice what GitHub shows of one. A value of the
/// file stands in some of them, and there may be as many as problems.
const MAX_TEXT: usize = 1000;

/// Problems of one file, in the order in which they were found.
#[derive(Debug)]
pub struct Problems {
    file: Arc<str>,
    found: Vec<Diagnostic>,
    /// Parts of the file that are in no tree, because they could not be read.
    unread: Vec<Unread>,
    /// Blanks that were put before lines of the file (from 1), so that it can be read.
    indents: HashMap<u32, u32>,
}

/// A part of the file that could not be read.
#[derive(Debug)]
pub(super) struct Unread {
    /// The lines that it may have belonged to, from 1.
    pub(super) first: u32,
    pub(super) last: u32,
    /// What stands there.
    pub(super) text: String,
}

impl Problems {
    /// No problems yet.
    pub fn new(file: &str) -> Problems {
        Problems { file: file.into(), found: Vec::new(), unread: Vec::new(), indents: HashMap::new() }
    }

    /// The file.
    pub fn file(&self) -> &Arc<str> {
        &self.file
    }

    /// Says that blanks were put before a line (from 1): the places of what stands in it are further left.
    pub(super) fn add_indent(&mut self, line: u32, blanks: u32) {
        let indent = self.indents.entry(line).or_default();
        *indent = indent.saturating_add(blanks);
    }

    /// A place in the file, by places in the text that was read.
    pub fn span(&self, start: Position, end: Position) -> Span {
        let place = |place: Position| {
            let blanks = self.indents.get(&place.line).copied().unwrap_or(0);
            Position { column: place.column.saturating_sub(blanks).max(1), ..place }
        };
        Span { file: self.file.clone(), start: place(start), end: place(end) }
    }

    /// Adds an error.
    pub fn error(&mut self, code: &'static str, span: &Span, message: impl Into<String>) {
        self.add(Diagnostic::error(code, span.clone(), message));
    }

    /// Adds an error with a hint.
    pub fn error_with_hint(
        &mut self,
        code: &'static str,
        span: &Span,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.add(Diagnostic::error(code, span.clone(), message).with_hint(hint));
    }

    /// Adds a problem. One of many lines (a script, a job) points at their beginning, so that who
    /// shows it does not show them all.
    pub fn add(&mut self, mut problem: Diagnostic) {
        if let Some(span) = problem.span.as_mut().filter(|span| span.end.line > span.start.line) {
            span.end = Position { column: span.start.column.saturating_add(1), ..span.start };
        }
        std::iter::once(&mut problem.message).chain(&mut problem.hint).for_each(cut);
        if self.found.len() < MAX_PROBLEMS || self.drop_for(&problem) {
            self.found.push(problem);
        }
    }

    /// Makes room for an error by dropping a warning: a file whose error went unnoticed among
    /// warnings would pass as right.
    fn drop_for(&mut self, problem: &Diagnostic) -> bool {
        let warning = self.found.iter().rposition(|found| found.severity == Severity::Warning);
        let place = warning.filter(|_| problem.severity == Severity::Error);
        place.map(|place| self.found.remove(place)).is_some()
    }

    /// Whether there is an error among them.
    pub fn has_errors(&self) -> bool {
        self.found.iter().any(|problem| problem.severity == Severity::Error)
    }

    /// Whether no error lies inside of `span`: only then is it worth to judge how its parts fit.
    pub fn is_sound(&self, span: &Span) -> bool {
        !self.found.iter().any(|problem| {
            problem.severity == Severity::Error
                && problem
                    .span
                    .as_ref()
                    .is_some_and(|place| span.start <= place.start && place.start <= span.end)
        })
    }

    /// Whether all lines of `span` could be read: only then is it worth to judge what it lacks.
    pub fn is_whole(&self, span: &Span) -> bool {
        !self.unread.iter().any(|part| part.touches(span))
    }

    /// Whether `name` may stand in a part of `span` that could not be read.
    pub fn may_hide(&self, span: &Span, name: &str) -> bool {
        self.unread.iter().any(|part| part.touches(span) && part.text.contains(name))
    }

    /// Remembers a part of the file that could not be read.
    pub(super) fn add_unread(&mut self, part: Unread) {
        self.unread.push(part);
    }

    /// Takes what was found meanwhile in the same file.
    pub(super) fn take(&mut self, other: Problems) {
        other.found.into_iter().for_each(|problem| self.add(problem));
        self.unread.extend(other.unread);
    }

    /// All of them, in the order of their places. Of a value whose expression is wrong nothing else is
    /// said: who knows what the right one gives?
    pub fn into_sorted(mut self) -> Vec<Diagnostic> {
        let of_expressions = self.found.iter().filter(|problem| problem.code == codes::EXPRESSION);
        let places: HashSet<Option<Span>> = of_expressions.map(|problem| problem.span.clone()).collect();
        self.found
            .retain(|problem| problem.code != codes::UNEXPECTED_VALUE || !places.contains(&problem.span));
        self.found.sort_by_key(|problem| problem.span.as_ref().map(|span| span.start));
        self.found
    }

    /// All of them.
    pub fn into_found(self) -> Vec<Diagnostic> {
        self.found
    }
}

fn cut(text: &mut String) {
    if let Some((end, _)) = text.char_indices().nth(MAX_TEXT) {
        text.truncate(end);
        text.push_str("...");
        text.shrink_to_fit();
    }
}

impl Unread {
    fn touches(&self, span: &Span) -> bool {
        self.first <= span.end.line && span.start.line <= self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_value_without_end_only_the_beginning_is_told() {
        let mut problems = Problems::new("ci.yml");
        let start = Position { line: 1, column: 1 };
        let span = problems.span(start, start);
        let long = "ä".repeat(10 * MAX_TEXT);
        problems.error_with_hint("unexpected-value", &span, format!("Unexpected value '{long}'"), &long);
        let found = problems.into_found();
        let shown = [Some(&found[0].message), found[0].hint.as_ref()];
        assert!(
            shown.iter().flatten().all(|text| text.ends_with("ä...") && text.chars().count() == MAX_TEXT + 3)
        );
    }

    #[test]
    fn an_error_is_not_lost_behind_a_thousand_warnings() {
        let mut problems = Problems::new("action.yml");
        let start = Position { line: 1, column: 1 };
        let span = problems.span(start, start);
        for _ in 0..2 * MAX_PROBLEMS {
            problems.add(Diagnostic::warning("ignored-key", span.clone(), "a warning"));
        }
        problems.error("required-property", &span, "an error");
        assert!(problems.has_errors());
        assert_eq!(problems.into_found().len(), MAX_PROBLEMS);
    }
}
