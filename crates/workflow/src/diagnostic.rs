//! What is wrong with a file, where, and what to do.

pub mod codes;

use std::fmt;

use crate::span::Span;

/// One problem in a workflow or action file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How grave it is.
    pub severity: Severity,
    /// A stable code that documentation and tests can name (`unexpected-value`); see [`codes`].
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

impl Diagnostic {
    /// An error without a hint.
    pub fn error(code: &'static str, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic { severity: Severity::Error, code, span: Some(span), message: message.into(), hint: None }
    }

    /// A warning without a hint.
    pub fn warning(code: &'static str, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::error(code, span, message) }
    }

    /// The same with a hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Diagnostic {
        self.hint = Some(hint.into());
        self
    }
}

/// Characters of a shown problem; GitHub cuts there.
const MAX_SHOWN: usize = 500;

impl fmt::Display for Diagnostic {
    /// GitHub's form: `file (Line: 1, Col: 7): message`, cut at 500 characters. For some problems
    /// GitHub names the file only, or nothing; those are shown in the same way, though
    /// [`Diagnostic::span`] knows more.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match (&self.span, codes::shown_place(self.code)) {
            (None, _) | (_, codes::Shown::Nothing) => self.message.clone(),
            (Some(span), codes::Shown::File) => format!("{}: {}", span.file, self.message),
            (Some(span), codes::Shown::Exact) => {
                let start = span.start;
                format!("{} (Line: {}, Col: {}): {}", span.file, start.line, start.column, self.message)
            }
        };
        match text.char_indices().nth(MAX_SHOWN) {
            Some((end, _)) => write!(f, "{}[...]", &text[..end]),
            None => f.write_str(&text),
        }
    }
}
