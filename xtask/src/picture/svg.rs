//! A recording as an SVG that moves, and stands still at its end for whoever wants no motion.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::recording::{Frame, Span};

/// Size of one character cell, in SVG units.
const CELL: (f64, f64) = (8.4, 18.0);

/// Room around the text.
const MARGIN: f64 = 16.0;

/// How long the command stands before it is run.
const OPENING: Duration = Duration::from_millis(800);

/// How long the end stands before it begins again.
const REST: Duration = Duration::from_secs(12);

/// The frames below each other in a strip, of which a window shows one.
pub(super) fn draw(frames: &[Frame]) -> String {
    let rows = frames.iter().map(|frame| frame.rows.len()).max().unwrap_or(0);
    let columns = frames.iter().flat_map(|frame| &frame.rows).map(|row| width(row)).max().unwrap_or(0);
    let (width, height) = (columns as f64 * CELL.0 + 2.0 * MARGIN, rows as f64 * CELL.1 + 2.0 * MARGIN);
    let mut definitions = Definitions::default();
    let mut strip = String::new();
    for (number, frame) in frames.iter().enumerate() {
        let top = number as f64 * height + MARGIN + CELL.1 * 0.75;
        for (row, spans) in frame.rows.iter().enumerate().filter(|(_, spans)| !spans.is_empty()) {
            let (id, y) = (definitions.of(spans), top + row as f64 * CELL.1);
            let _ = writeln!(strip, "<use href=\"#r{id}\" y=\"{y}\"/>");
        }
    }
    let motion = motion(frames, height);
    let definitions = definitions.text;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" font-family=\"ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace\" \
         font-size=\"14\" fill=\"#d6d9e0\">\n<style>{motion}</style>\n<defs>\n{definitions}</defs>\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#16181d\"/>\n<g class=\"s\">\n{strip}</g>\n</svg>\n"
    )
}

/// Shows each frame for its time; the last one where nothing may move.
fn motion(frames: &[Frame], height: f64) -> String {
    let end = OPENING + frames.last().map_or(Duration::ZERO, |frame| frame.at) + REST;
    let mut steps = String::new();
    for (number, frame) in frames.iter().enumerate() {
        let begins = if number == 0 { Duration::ZERO } else { OPENING + frame.at };
        let part = 100.0 * begins.as_secs_f64() / end.as_secs_f64();
        let _ = write!(steps, "{part:.2}%{{transform:translateY({}px)}}", -(number as f64) * height);
    }
    let last = -(frames.len().saturating_sub(1) as f64) * height;
    let seconds = end.as_secs_f64();
    format!(
        ".s{{transform:translateY({last}px);animation:r {seconds:.2}s step-end infinite}}\
         @keyframes r{{{steps}}}@media(prefers-reduced-motion:reduce){{.s{{animation:none}}}}"
    )
}

/// Rows that the strip uses, each defined once.
#[derive(Default)]
struct Definitions {
    ids: HashMap<Vec<Span>, usize>,
    text: String,
}

impl Definitions {
    fn of(&mut self, row: &[Span]) -> usize {
        if let Some(id) = self.ids.get(row) {
            return *id;
        }
        let id = self.ids.len();
        self.ids.insert(row.to_vec(), id);
        let spans: String = row.iter().map(span).collect();
        let _ =
            writeln!(self.text, "<text id=\"r{id}\" x=\"{MARGIN}\" xml:space=\"preserve\">{spans}</text>");
        id
    }
}

fn width(row: &[Span]) -> usize {
    row.iter().map(|span| span.text.chars().count()).sum()
}

fn span(span: &Span) -> String {
    let text = span.text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let colour = span.colour.and_then(colour).map(|colour| format!(" fill=\"{colour}\""));
    let bold = if span.bold { " font-weight=\"bold\"" } else { "" };
    match colour.unwrap_or_default() + bold {
        style if style.is_empty() => text,
        style => format!("<tspan{style}>{text}</tspan>"),
    }
}

fn colour(number: u8) -> Option<&'static str> {
    Some(match number {
        1 => "#f47067",
        2 => "#7ec699",
        3 => "#e0b35c",
        4 => "#6cb6ff",
        5 => "#dcbdfb",
        6 => "#76d4d6",
        8 => "#768390",
        13 => "#e0a3ff",
        14 => "#96e4e6",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> Span {
        Span { text: text.to_owned(), colour: None, bold: false }
    }

    #[test]
    fn styles_become_spans_and_markup_is_escaped() {
        assert_eq!(span(&plain("a <b> & c")), "a &lt;b&gt; &amp; c");
        let ok = Span { text: "ok".to_owned(), colour: Some(2), bold: true };
        assert_eq!(span(&ok), "<tspan fill=\"#7ec699\" font-weight=\"bold\">ok</tspan>");
    }

    #[test]
    fn a_row_that_stays_is_defined_once_and_the_end_stands_where_nothing_moves() {
        let frame = |seconds, last| Frame {
            at: Duration::from_secs(seconds),
            rows: vec![vec![plain("stays")], vec![plain(last)]],
        };
        let svg = draw(&[frame(0, "runs"), frame(3, "done")]);
        assert_eq!(svg.matches(">stays</text>").count(), 1);
        assert_eq!(svg.matches("<use ").count(), 4);
        assert!(svg.contains(".s{transform:translateY(-68px);") && svg.contains("24.05%{"), "{svg}");
    }
}
