//! Shows diagnostics with the lines that they are about.

use std::collections::BTreeMap;
use std::ops::Range;

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
    let mut sources = BTreeMap::new();
    for diagnostic in diagnostics {
        let source = diagnostic.span.as_ref().and_then(|span| {
            let known =
                sources.entry(span.file.clone()).or_insert_with(|| source(&span.file).map(Source::new));
            known.as_ref()
        });
        out.push_str(&render_one(diagnostic, source, &renderer));
        out.push_str("\n\n");
    }
    out
}

fn render_one(diagnostic: &Diagnostic, source: Option<&Source>, renderer: &Renderer) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(diagnostic.message.as_str()).id(diagnostic.code);
    let mut group = match (&diagnostic.span, source) {
        (Some(span), Some(source)) => {
            let (lines, marked) = source.excerpt(span);
            title.element(
                Snippet::source(lines)
                    .line_start(span.start.line as usize)
                    .path(&*span.file)
                    .annotation(AnnotationKind::Primary.span(marked)),
            )
        }
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

/// A text that knows where its lines begin: it may be long, and be pointed into a thousand times.
struct Source {
    text: String,
    starts: Vec<usize>,
}

impl Source {
    fn new(text: String) -> Source {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(end, _)| end + 1)).collect();
        Source { text, starts }
    }

    /// The lines that a span touches, and the bytes of them that it covers, cut to what exists.
    fn excerpt(&self, span: &Span) -> (&str, Range<usize>) {
        let begin = self.start(span.start.line);
        let end = self.start(span.end.line.max(span.start.line).saturating_add(1));
        let start = self.offset(span.start);
        (&self.text[begin..end], start - begin..self.offset(span.end).max(start) - begin)
    }

    /// Where a line begins, from 1; the end of the text where there is none.
    fn start(&self, line: u32) -> usize {
        self.starts.get(line.saturating_sub(1) as usize).copied().unwrap_or(self.text.len())
    }

    fn offset(&self, position: Position) -> usize {
        let start = self.start(position.line);
        let line = self.text[start..].split('\n').next().unwrap_or_default();
        let column = position.column.saturating_sub(1) as usize;
        start + line.char_indices().nth(column).map_or(line.len(), |(place, _)| place)
    }
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
        let source = Source::new(text.clone());
        let (lines, marked) = source.excerpt(&span);
        assert_eq!((lines, &lines[marked]), ("on: psh\n", "psh"));
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
        assert_eq!(Source::new("on: push".to_owned()).excerpt(&span), ("", 0..0));
    }
}
