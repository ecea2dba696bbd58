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

/// What is wrong with the filters of a workflow: patterns that can't be read, and lists that
/// include nothing because every pattern in them begins with `!`.
pub fn check_filters(workflow: &Workflow) -> Vec<Diagnostic> {
    workflow.on.iter().flat_map(check_trigger).collect()
}

fn check_trigger(trigger: &Trigger) -> Vec<Diagnostic> {
    let including = [
        ("branches", &trigger.branches),
        ("tags", &trigger.tags),
        ("paths", &trigger.paths),
        ("names", &trigger.names),
        ("versions", &trigger.versions),
    ];
    let ignoring = [&trigger.branches_ignore, &trigger.tags_ignore, &trigger.paths_ignore];
    let mut problems = Vec::new();
    for patterns in ignoring.into_iter().flatten() {
        problems.extend(Filter::new(patterns).err().unwrap_or_default());
    }
    for (key, patterns) in including {
        let Some(patterns) = patterns else { continue };
        match Filter::new(patterns) {
            Err(found) => problems.extend(found),
            Ok(filter) if filter.only_negates() => problems.push(Diagnostic {
                severity: Severity::Warning,
                code: codes::FILTER_INCLUDES_NOTHING,
                span: patterns.first().map(|pattern| pattern.span.clone()),
                message: format!("Every pattern of '{key}' begins with '!', so it matches nothing"),
                hint: Some("Put '**' before it.".to_owned()),
            }),
            Ok(_) => {}
        }
    }
    problems
}
