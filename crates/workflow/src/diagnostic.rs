//! What is wrong with a file, where, and what to do.

use std::fmt;

use crate::span::Span;

/// One problem in a workflow or action file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How grave it is.
    pub severity: Severity,
    /// A stable code that documentation and tests can name (`unexpected-value`).
    pub code: &'static str,
    /// Where, if there is a place.
    pub span: Option<Span>,
    /// What is wrong, in GitHub's words where GitHub has some.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// How grave a diagnostic is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The file can't be run.
    Error,
    /// It can, but probably not as meant.
    Warning,
}

impl fmt::Display for Diagnostic {
    /// GitHub's form: `file (Line: 1, Col: 7): message`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(span) = &self.span {
            write!(f, "{} (Line: {}, Col: {}): ", span.file, span.start.line, span.start.column)?;
        }
        f.write_str(&self.message)
    }
}
