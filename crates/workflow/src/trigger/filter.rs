//! Lists of patterns: each name is in or out by the last pattern that matches it.

use super::pattern::Pattern;
use crate::diagnostic::{Diagnostic, Severity, codes};
use crate::span::Spanned;
use crate::syntax::{Trigger, Workflow};

/// A list of patterns, as under `branches`.
pub(super) struct Filter {
    patterns: Vec<Pattern>,
}

impl Filter {
    /// Compiles all patterns; every one that can't be read is reported.
    pub(super) fn new(patterns: &[Spanned<String>]) -> Result<Filter, Vec<Diagnostic>> {
        let mut compiled = Vec::new();
        let mut problems = Vec::new();
        for pattern in patterns {
            match Pattern::new(&pattern.value) {
                Ok(pattern) => compiled.push(pattern),
                Err(error) => problems.push(Diagnostic {
                    severity: Severity::Error,
                    code: codes::INVALID_FILTER_PATTERN,
                    span: Some(pattern.span.clone()),
                    message: error.to_string(),
                    hint: Some("A character is taken as it is when '\\' stands before it.".to_owned()),
                }),
            }
        }
        if problems.is_empty() { Ok(Filter { patterns: compiled }) } else { Err(problems) }
    }

    /// Whether the list includes `name`: patterns are tried in order, `!` takes out, the last match counts.
    pub(super) fn includes(&self, name: &str) -> bool {
        let last = self.patterns.iter().rev().find(|pattern| pattern.matches(name));
        last.is_some_and(|pattern| !pattern.negates())
    }

    /// Whether every pattern takes out, so that nothing can be in.
    fn only_negates(&self) -> bool {
        !self.patterns.is_empty() && self.patterns.iter().all(Pattern::negates)
    }
}

/// What is wrong with the filters of a workflow: patterns that can't be read, and lists that include
/// nothing because every pattern in them begins with `!`.
pub fn check_filters(workflow: &Workflow) -> Vec<Diagnostic> {
    workflow.on.iter().flat_map(check_trigger).collect()
}

fn check_trigger(trigger: &Trigger) -> Vec<Diagnostic> {
    let filters = [
        ("branches", &trigger.branches, &trigger.branches_ignore),
        ("tags", &trigger.tags, &trigger.tags_ignore),
        ("paths", &trigger.paths, &trigger.paths_ignore),
        ("names", &trigger.names, &None),
        ("versions", &trigger.versions, &None),
    ];
    let mut problems = Vec::new();
    for (key, included, ignored) in filters {
        match included.as_deref().map(Filter::new) {
            Some(Err(found)) => problems.extend(found),
            Some(Ok(filter)) if filter.only_negates() => problems.extend(includes_nothing(key, included)),
            _ => {}
        }
        if let Some(Err(found)) = ignored.as_deref().map(Filter::new) {
            problems.extend(found);
        }
    }
    problems
}

fn includes_nothing(key: &str, patterns: &Option<Vec<Spanned<String>>>) -> Option<Diagnostic> {
    let first = patterns.as_ref()?.first()?;
    Some(Diagnostic {
        severity: Severity::Warning,
        code: codes::FILTER_INCLUDES_NOTHING,
        span: Some(first.span.clone()),
        message: format!("Every pattern of '{key}' begins with '!', so it matches nothing"),
        hint: Some("Put '**' before it.".to_owned()),
    })
}
