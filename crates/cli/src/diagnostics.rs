//! Shows diagnostics with the lines that they are about.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use workflow::diagnostic::{Diagnostic, Severity};
use workflow::span::{Position, Span};

/// Renders each diagnostic in the manner of rustc. `source` gives the text of a file, where there is one.
pub(crate) fn render(
    diagnostics: &[Diagnostic],
    source: &dyn Fn(&str) -> Option<String>,
    colour: bool,
) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let mut out = String::new();
    for diagnostic in diagnostics {
        out.push_str(&render_one(diagnostic, source, &renderer));
        out.push_str("\n\n");
    }
    out
}

fn render_one(
    diagnostic: &Diagnostic,
    source: &dyn Fn(&str) -> Option<String>,
    renderer: &Renderer,
) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let text = diagnostic.span.as_ref().and_then(|span| source(&span.file));
    let title = level.primary_title(diagnostic.message.as_str()).id(diagnostic.code);
    let mut group = match (&diagnostic.span, &text) {
        (Some(span), Some(text)) => title.element(
            Snippet::source(text.as_str())
                .path(&*span.file)
                .annotation(AnnotationKind::Primary.span(byte_range(text, span))),
        ),
        (Some(span), None) => title.element(
            annotate_snippets::Origin::path(&*span.file)
                .line(span.start.line as usize)
                .char_column(span.start.column as usize),
        ),
        (None, _) => Group::with_title(title),
    };
    if let Some(hint) = &diagnostic.hint {
        group = group.element(Level::HELP.message(hint.as_str()));
    }
    renderer.render(&[group])
}

/// The bytes of `text` that a span covers, cut to what exists.
fn byte_range(text: &str, span: &Span) -> std::ops::Range<usize> {
    let start = byte_offset(text, span.start);
    let end = byte_offset(text, span.end).max(start);
    start..end
}

fn byte_offset(text: &str, position: Position) -> usize {
    let mut offset = 0;
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        if number == position.line {
            let column = position.column.saturating_sub(1) as usize;
            let within =
                line.char_indices().nth(column).map_or(line.trim_end_matches('\n').len(), |(i, _)| i);
            return offset + within;
        }
        offset += line.len();
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diagnostic_points_at_its_characters_even_behind_non_ascii_text() {
        let text = "name: Grüße\non: psh\n".to_owned();
        let span = Span {
            file: "ci.yml".into(),
            start: Position { line: 2, column: 5 },
            end: Position { line: 2, column: 8 },
        };
        assert_eq!(&text[byte_range(&text, &span)], "psh");
        let diagnostic = Diagnostic {
            severity: Severity::Error,
            code: "unexpected-value",
            span: Some(span),
            message: "Unexpected value 'psh'".into(),
            hint: Some("did you mean `push`?".into()),
        };
        let shown = render(&[diagnostic], &|_| Some(text.clone()), false);
        assert!(shown.contains("error[unexpected-value]: Unexpected value 'psh'"), "{shown}");
        assert!(shown.contains("ci.yml:2:5"), "{shown}");
        assert!(shown.contains("help: did you mean `push`?"), "{shown}");
    }

    #[test]
    fn a_span_beyond_the_text_does_not_panic() {
        let span = Span {
            file: "ci.yml".into(),
            start: Position { line: 9, column: 9 },
            end: Position { line: 1, column: 1 },
        };
        assert_eq!(byte_range("on: push", &span), 8..8);
    }
}
