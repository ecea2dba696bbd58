//! One line of a log as markup.

use maud::{Markup, html};
use model::{LogLine, Stream, Timestamp};
use store::log::Line;

use crate::pages::ansi;
use crate::pages::format;

/// What a line is, by the mark at its beginning. The journal of a job writes marks, as GitHub's raw logs have them;
/// what a job itself prints is text, whatever it looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pages) enum Mark {
    /// Text.
    None,
    /// A group begins; the text is its title.
    Group,
    /// The open group ends.
    EndGroup,
    /// An annotation.
    Error,
    /// An annotation.
    Warning,
    /// An annotation.
    Notice,
    /// Told only when debugging is on.
    Debug,
    /// Hearth's own words: the command that it runs, notes.
    Hearth,
}

const MARKS: [(&str, Mark); 6] = [
    ("##[group]", Mark::Group),
    ("##[endgroup]", Mark::EndGroup),
    ("##[error]", Mark::Error),
    ("##[warning]", Mark::Warning),
    ("##[notice]", Mark::Notice),
    ("##[debug]", Mark::Debug),
];

/// How the runner writes an annotation into the log, on the stream that it was found on. A line that a job printed itself
/// so looks the same, and mostly is meant so.
const ANNOTATIONS: [(&str, Mark); 3] =
    [("Error: ", Mark::Error), ("Warning: ", Mark::Warning), ("Notice: ", Mark::Notice)];

/// Finds all that is needed of marks to fold groups and to find errors, for [`store::log::Pattern::regex`]; and lines of
/// jobs that look like them.
pub(in crate::pages) const MARK_PATTERN: &str = r"^(##\[(group|endgroup|error)\]|Error: )";

/// Finds errors, and lines of jobs that look like them.
pub(in crate::pages) const ERROR_PATTERN: &str = r"^(##\[error\]|Error: )";

impl Mark {
    /// The class of the line, and the word that the viewer's script knows.
    pub(in crate::pages) fn word(self) -> &'static str {
        match self {
            Mark::None => "text",
            Mark::Group => "group",
            Mark::EndGroup => "end",
            Mark::Error => "error",
            Mark::Warning => "warning",
            Mark::Notice => "notice",
            Mark::Debug => "debug",
            Mark::Hearth => "hearth",
        }
    }
}

/// What a line is, and its text without the mark.
pub(in crate::pages) fn read(line: &LogLine) -> (Mark, &str) {
    let (own, plain) = match line.stream {
        Stream::Hearth => (MARKS.as_slice(), Mark::Hearth),
        Stream::Stdout | Stream::Stderr => (&[][..], Mark::None),
    };
    let mut marks = own.iter().chain(&ANNOTATIONS);
    let marked = marks.find_map(|(mark, kind)| Some((*kind, line.text.strip_prefix(mark)?)));
    marked.unwrap_or((plain, &line.text))
}

/// The number that people read and that `#L1` names: lines are counted from 1.
pub(in crate::pages) fn shown_number(number: u64) -> u64 {
    number.saturating_add(1)
}

/// A line with its number, which is a link to it, and its time. `base` stands before `#L1`, where the link leads to
/// another page.
pub(in crate::pages) fn render(line: &Line, base: &str) -> Markup {
    let (mark, text) = read(&line.line);
    let number = shown_number(line.number);
    let at = Timestamp::from(line.line.at);
    html! {
        div class={ "l m-" (mark.word()) } id={ "L" (number) } data-n=(line.number) {
            a.n href={ (base) "#L" (number) } { (number) }
            time { (format::time_of_day(at)) }
            span.t { (coloured(text)) }
        }
    }
}

/// Text with its colours.
pub(in crate::pages) fn coloured(text: &str) -> Markup {
    html! {
        @for (style, text) in ansi::runs(text) {
            @let classes = style.classes();
            @if classes.is_empty() { (text) } @else { span class=(classes) { (text) } }
        }
    }
}

#[cfg(test)]
pub(in crate::pages) mod tests {
    use super::*;
    use model::{StepPhase, StepRef};
    use std::time::UNIX_EPOCH;

    pub(in crate::pages) fn line(number: u64, stream: Stream, text: &str) -> Line {
        let step = StepRef { index: 1, phase: StepPhase::Main };
        let line = LogLine { step, sequence: number, stream, at: UNIX_EPOCH, text: text.to_owned() };
        Line { number, line }
    }

    #[test]
    fn a_line_is_escaped_and_its_number_leads_to_it() {
        let shown = render(&line(41, Stream::Stdout, "<script>\u{1b}[31m\"x\"</script>"), "").into_string();
        assert!(shown.contains(r##"<a class="n" href="#L42">42</a>"##), "{shown}");
        assert!(
            shown.contains(r#"&lt;script&gt;<span class="f1">&quot;x&quot;&lt;/script&gt;</span>"#),
            "{shown}"
        );
    }

    #[test]
    fn only_hearths_own_lines_have_marks() {
        let own = line(0, Stream::Hearth, "##[error]src/a.rs:3: wrong");
        let printed = line(1, Stream::Stdout, "##[error]src/a.rs:3: wrong");
        assert_eq!(read(&own.line), (Mark::Error, "src/a.rs:3: wrong"));
        assert_eq!(read(&printed.line), (Mark::None, "##[error]src/a.rs:3: wrong"));
    }

    #[test]
    fn an_annotation_is_marked_on_whichever_stream_it_was_found() {
        for stream in [Stream::Hearth, Stream::Stdout, Stream::Stderr] {
            let line = line(0, stream, "Error: src/a.rs:3: wrong");
            assert_eq!(read(&line.line), (Mark::Error, "src/a.rs:3: wrong"));
        }
    }

    #[test]
    fn the_pattern_of_marks_finds_groups_and_errors() {
        let pattern = MARK_PATTERN.replace('\\', "");
        for (mark, kind) in MARKS.into_iter().chain(ANNOTATIONS) {
            let name = mark.trim_start_matches("##[").trim_end_matches(']');
            let is_needed = matches!(kind, Mark::Group | Mark::EndGroup | Mark::Error);
            assert_eq!(pattern.contains(name), is_needed, "{mark}");
        }
    }
}
