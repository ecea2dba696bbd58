//! Reads on behind what is no YAML: tells it, takes it out, and tries again.
//!
//! The parser stops at the first fault. So that one look shows all of them, what can't be read
//! (a value, or a line with all that is indented further) is blanked out, and the text is read
//! anew; the place of everything else stays. What was taken out is remembered, so that nobody is
//! told that something is missing that stands there.

mod brackets;
mod diagnose;
mod fault;
mod lines;
mod repair;
mod stumble;

use std::collections::HashMap;
use std::ops::Range;

use fault::{Fault, Kind};
use lines::Lines;
use repair::Repair;

use super::problems::{Problems, Unread};
use super::tabs;
use crate::diagnostic::Diagnostic;
use crate::span::Position;

/// Faults that are told of one file. One with more is no YAML, and the rest is guesswork.
const MAX_FAULTS: usize = 20;

/// Characters that are read again in one file, all readings together: some seconds at worst, and
/// enough for any number of faults that a person makes in a file of common length.
const MAX_REREAD: usize = 16 * 1024 * 1024;

/// Readings of one file. Most faults take one or two.
const MAX_READINGS: usize = 40;

/// A text that the parser can read, and what was taken out of it.
pub(super) struct Readable {
    pub(super) text: String,
    pub(super) cuts: Cuts,
}

/// What was taken out of a text.
#[derive(Default)]
pub(super) struct Cuts {
    found: Vec<Cut>,
    /// Lines that were taken out, by the line above them (from 1).
    below: HashMap<u32, Gap>,
}

/// Lines that were taken out, seen from the line above them.
struct Gap {
    end: Position,
    is_deeper: bool,
}

struct Cut {
    /// First and last line, from 0.
    first: usize,
    last: usize,
    what: What,
    /// What stood there.
    text: String,
}

/// What was taken out.
enum What {
    /// An alias or a value: from where to where.
    Alias(Position, Position),
    Value(Position, Position),
    Lines,
}

/// Tells what in `text` is no YAML, and gives what is left when that is taken out; `None` where
/// there is no end to it, of which something has been told then.
pub(super) fn recover(text: &str, problems: &mut Problems) -> Option<Readable> {
    let readable = read_on(text, problems);
    if readable.is_none() && !problems.has_errors() {
        let words = Kind::Other.words();
        problems.error_with_hint(words.code, &super::start_of(problems.file()), words.message, words.hint);
    }
    readable
}

fn read_on(text: &str, problems: &mut Problems) -> Option<Readable> {
    let mut text = text.to_owned();
    let mut cuts = Cuts::default();
    let (mut told, mut reread, mut readings) = (0, 0, 0);
    while readings < MAX_READINGS && reread <= MAX_REREAD {
        reread += text.len();
        let Some(stumble) = stumble::find(&text) else {
            cuts.remember(&Lines::new(&text), problems);
            return Some(Readable { text, cuts });
        };
        if let Some(tabs) = tabs::separating(&text, stumble.at, &stumble.info) {
            text.replace_range(tabs.clone(), &" ".repeat(tabs.len()));
            readings += 1;
            continue;
        }
        let lines = Lines::new(&text);
        let open = diagnose::bracket(&stumble, &lines);
        let shallow = open.map(|open| brackets::shallow_lines(&lines, open)).unwrap_or_default();
        if !shallow.is_empty() {
            indent(&mut text, &shallow, problems);
            continue;
        }
        readings += 1;
        let fault = diagnose::fault(&stumble, &lines);
        if !cuts.explain(&fault, &lines) {
            problems.add(diagnostic(&fault, &lines, problems));
            told += 1;
        }
        if told == MAX_FAULTS || fault.kind == Kind::Depth {
            return None;
        }
        let repair = repair::plan(&fault, &lines, |line| cuts.touch(line))?;
        let cut = Cut::of(&repair, &lines);
        cuts.found.extend(cut);
        apply(&repair, &mut text);
    }
    None
}

/// Puts blanks before lines, and lets the places of what stands in them be where it stands in the file.
fn indent(text: &mut String, shallow: &[(usize, usize)], problems: &mut Problems) {
    let starts: Vec<usize> = {
        let lines = Lines::new(text);
        shallow.iter().map(|(line, _)| lines.start(*line)).collect()
    };
    for (start, (line, blanks)) in starts.into_iter().zip(shallow).rev() {
        text.insert_str(start, &" ".repeat(*blanks));
        problems.add_indent(number(*line), u32::try_from(*blanks).unwrap_or(u32::MAX));
    }
}

fn diagnostic(fault: &Fault, lines: &Lines<'_>, problems: &Problems) -> Diagnostic {
    let words = fault.kind.words();
    let span = problems
        .span(lines.position(fault.shown.start), lines.position(fault.shown.end.min(lines.text.len())));
    Diagnostic::error(words.code, span, words.message).with_hint(words.hint)
}

fn apply(repair: &Repair, text: &mut String) {
    let (bytes, mut first) = match repair {
        Repair::Colon { at } => return text.insert(*at, ':'),
        Repair::Alias { bytes } | Repair::Value { bytes } => (bytes, Some('~')),
        Repair::Lines { bytes } => (bytes, None),
    };
    let blank =
        |character| if matches!(character, '\n' | '\r') { character } else { first.take().unwrap_or(' ') };
    let blanks: String = text[bytes.clone()].chars().map(blank).collect();
    text.replace_range(bytes.clone(), &blanks);
}

impl Cut {
    fn of(repair: &Repair, lines: &Lines<'_>) -> Option<Cut> {
        let place = |bytes: &Range<usize>| (lines.position(bytes.start), lines.position(bytes.end));
        let (bytes, what) = match repair {
            Repair::Colon { .. } => return None,
            Repair::Alias { bytes } => (bytes, What::Alias(place(bytes).0, place(bytes).1)),
            Repair::Value { bytes } => (bytes, What::Value(place(bytes).0, place(bytes).1)),
            Repair::Lines { bytes } => (bytes, What::Lines),
        };
        let text = lines.text[bytes.clone()].to_owned();
        Some(Cut { first: lines.at(bytes.start), last: lines.at(bytes.end), what, text })
    }

    fn gap(&self, above: usize, lines: &Lines<'_>) -> Gap {
        let blanks = &self.text[..self.text.len() - self.text.trim_start_matches([' ', '\t']).len()];
        // Nobody knows how deep a tab is.
        let indent = if blanks.contains('\t') { usize::MAX } else { blanks.len() };
        let entry = lines.entry(above).map(|entry| entry.column);
        let column = entry.or(lines.indent(above)).unwrap_or(0);
        let end = lines.position(lines.end(self.last));
        Gap { end, is_deeper: indent > column }
    }
}

impl Cuts {
    /// Where the value ends that stood at a place, if it was taken out.
    pub(super) fn value_at(&self, start: Position) -> Option<Position> {
        self.found.iter().find_map(|cut| match cut.what {
            What::Alias(begin, end) | What::Value(begin, end) if begin == start => Some(end),
            _ => None,
        })
    }

    /// Whether nothing was taken out.
    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Whether something of a line was taken out, names apart.
    fn touch(&self, line: usize) -> bool {
        let cuts = self.found.iter().filter(|cut| !matches!(cut.what, What::Alias(..)));
        cuts.into_iter().any(|cut| (cut.first..=cut.last).contains(&line))
    }

    /// Whether a fault may come from what was taken out, and is none in the file as it stands.
    fn explain(&self, fault: &Fault, lines: &Lines<'_>) -> bool {
        if let Kind::Alias { name } = &fault.kind {
            let anchor = format!("&{name}");
            return self.found.iter().any(|cut| cut.text.contains(&anchor));
        }
        let line = lines.at(fault.cause);
        let above = lines.above(line).map_or(0, |above| above + 1);
        let follows_gap = || self.gaps().any(|gap| (above..line).contains(&gap.last));
        self.touch(line) || (fault.kind.is_structural() && follows_gap())
    }

    /// Cuts of whole lines.
    fn gaps(&self) -> impl Iterator<Item = &Cut> {
        self.found.iter().filter(|cut| matches!(cut.what, What::Lines))
    }

    /// Where a text without quotes that ends on `line` (from 1) may go on to, in lines that were
    /// taken out: where these are indented further, or there is no text yet.
    pub(super) fn end_of_text(&self, line: u32, is_empty: bool) -> Option<Position> {
        let gap = self.below.get(&line)?;
        (gap.is_deeper || is_empty).then_some(gap.end)
    }

    /// Lets those who judge the rest know what they can't see.
    fn remember(&mut self, lines: &Lines<'_>, problems: &mut Problems) {
        for cut in &self.found {
            let (mut first, mut last) = (cut.first, cut.last);
            if matches!(cut.what, What::Lines) {
                last = lines.below(last).unwrap_or(last);
                if let Some(above) = lines.above(first) {
                    first = above;
                    self.below.entry(number(above)).or_insert_with(|| cut.gap(above, lines));
                }
            }
            problems.add_unread(Unread { first: number(first), last: number(last), text: cut.text.clone() });
        }
    }
}

fn number(line: usize) -> u32 {
    u32::try_from(line).unwrap_or(u32::MAX).saturating_add(1)
}
