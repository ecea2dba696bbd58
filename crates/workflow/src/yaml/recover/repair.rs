//! What to take out of a text so that the rest of it can be read.

use std::ops::Range;

use super::fault::{Fault, Kind};
use super::lines::Lines;

/// A change to the text that gets the parser past a fault.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Repair {
    /// A colon behind a word that stands over indented lines.
    Colon { at: usize },
    /// An alias becomes nothing.
    Alias { bytes: Range<usize> },
    /// A value becomes nothing; its key or its dash stays.
    Value { bytes: Range<usize> },
    /// Whole lines become nothing.
    Lines { bytes: Range<usize> },
}

/// How to get past a fault. `is_cut` tells of a line whether something of it has been taken out.
/// `None` where nothing is left to take out.
pub(super) fn plan(fault: &Fault, lines: &Lines<'_>, is_cut: impl Fn(usize) -> bool) -> Option<Repair> {
    let cause = lines.at(fault.cause);
    match &fault.kind {
        Kind::Alias { .. } => Some(Repair::Alias { bytes: fault.shown.clone() }),
        _ if is_cut(cause) => whole(fault, lines, cause),
        Kind::MissingColon { word, .. } if stands_over_lines(word, lines, cause) => {
            Some(Repair::Colon { at: fault.shown.end })
        }
        kind if kind.is_structural() || matches!(kind, Kind::Tab | Kind::Directive) => {
            whole(fault, lines, cause)
        }
        _ => value(fault, lines, cause).or_else(|| whole(fault, lines, cause)),
    }
}

/// The last line of what begins on `first` in `column`: those behind it that are indented further
/// belong to it, and so do closing brackets in its own column where `closes` says so.
pub(super) fn last_line(lines: &Lines<'_>, first: usize, column: usize, closes: bool) -> usize {
    let mut last = first;
    for line in first + 1..lines.count() {
        let Some(indent) = lines.indent(line) else { continue };
        let is_end = closes && indent == column && lines.content(line).trim_start().starts_with([']', '}']);
        if indent <= column && !is_end && !lines.has_leading_tab(line) {
            break;
        }
        last = line;
    }
    last
}

/// Only the value goes: the key is readable, and what is wrong stands behind it.
fn value(fault: &Fault, lines: &Lines<'_>, line: usize) -> Option<Repair> {
    let entry = lines.entry(line).filter(|entry| entry.value <= fault.cause)?;
    let closes = matches!(fault.kind, Kind::InBrackets { .. } | Kind::UnclosedBracket { .. });
    let last = last_line(lines, line, entry.column, closes);
    let bytes = entry.value..lines.end(last);
    (!lines.text[bytes.clone()].trim().is_empty()).then_some(Repair::Value { bytes })
}

/// The line goes with all that is indented further, or else the last line before it that says something.
fn whole(fault: &Fault, lines: &Lines<'_>, cause: usize) -> Option<Repair> {
    let says = |line: usize| !lines.content(line).trim().is_empty();
    let first =
        (0..=cause).rev().find(|line| says(*line)).or_else(|| (0..lines.count()).find(|line| says(*line)))?;
    let is_tab = fault.kind == Kind::Tab && lines.has_leading_tab(first);
    // Nobody knows how deep a tab is: what is deeper than the line above it may belong to it.
    let above = if is_tab { lines.above(first) } else { Some(first) };
    let column = above.and_then(|line| lines.indent(line)).unwrap_or(0);
    let last = last_line(lines, first, column, false);
    Some(Repair::Lines { bytes: lines.start(first)..lines.end(last) })
}

/// Whether a word is a key that lacks its colon: the next line is indented further.
fn stands_over_lines(word: &str, lines: &Lines<'_>, line: usize) -> bool {
    let is_key = word.chars().all(|character| character.is_alphanumeric() || "_-".contains(character));
    let is_alone = lines.content(line).trim() == word;
    let below = lines.below(line).and_then(|below| lines.indent(below));
    is_key && is_alone && below > lines.indent(line)
}
