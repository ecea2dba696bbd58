//! Looks for text in a log.

use std::borrow::Cow;
use std::io;

use regex::{Regex, RegexBuilder};

use super::cursor::{Cursor, Place};
use super::reader::{Line, PAGE_BYTES, PAGE_LINES};
use crate::error::StoreError;

/// Text that one call looks through: a quarter of a second's work, so that nobody who has gone keeps the disk busy.
pub const SCAN_BYTES: usize = 64 * 1024 * 1024;

/// Size of a compiled pattern; what people type needs a hundredth of it.
const COMPILED_BYTES: usize = 1024 * 1024;

/// Length of a pattern; nobody types more.
const PATTERN_CHARS: usize = 1000;

/// What to look for. Colours in the log do not matter: they are not part of the text.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The lines, in order.
    pub lines: Vec<Line>,
    /// The line to go on with, unless all was looked through.
    pub next: Option<u64>,
}

impl Pattern {
    /// This text, as it stands, whatever the case of its letters if `ignore_case` is set.
    ///
    /// # Errors
    /// When it is too long.
    pub fn text(text: &str, ignore_case: bool) -> Result<Pattern, StoreError> {
        Pattern::build(text, &regex::escape(text), ignore_case)
    }

    /// This [regular expression](https://docs.rs/regex/latest/regex/#syntax).
    ///
    /// # Errors
    /// When it is none, or too long.
    pub fn regex(pattern: &str, ignore_case: bool) -> Result<Pattern, StoreError> {
        Pattern::build(pattern, pattern, ignore_case)
    }

    fn build(typed: &str, pattern: &str, ignore_case: bool) -> Result<Pattern, StoreError> {
        let failed =
            |reason: String| StoreError::Failed { operation: "search for this pattern".to_owned(), reason };
        if typed.chars().count() > PATTERN_CHARS {
            return Err(failed(format!("it is longer than {PATTERN_CHARS} characters")));
        }
        let mut builder = RegexBuilder::new(pattern);
        builder.case_insensitive(ignore_case).size_limit(COMPILED_BYTES).dfa_size_limit(COMPILED_BYTES);
        builder.build().map(Pattern).map_err(|error| failed(error.to_string()))
    }

    fn is_in(&self, text: &str) -> bool {
        self.0.is_match(&without_colours(text))
    }
}

/// Goes on from where the cursor is.
pub(super) fn search(cursor: &mut Cursor, pattern: &Pattern, limit: usize) -> io::Result<Found> {
    let (mut lines, mut scanned, mut bytes) = (Vec::new(), 0, 0);
    loop {
        match cursor.advance()? {
            Place::End => return Ok(Found { lines, next: None }),
            Place::Gap(..) => {}
            Place::Line(number) => {
                let Some(record) = cursor.record() else { continue };
                let text = record.text();
                scanned += text.len();
                if pattern.is_in(&text) {
                    bytes += text.len();
                    lines.push(Line { number, line: record.line() });
                }
            }
        }
        if lines.len() >= limit.min(PAGE_LINES) || bytes >= PAGE_BYTES || scanned >= SCAN_BYTES {
            return Ok(Found { lines, next: Some(cursor.number()) });
        }
    }
}

/// The text without its [control sequences](https://ecma-international.org/publications-and-standards/standards/ecma-48/)
/// (`ESC [`, parameters, one letter).
fn without_colours(text: &str) -> Cow<'_, str> {
    let Some((first, rest)) = text.split_once("\x1b[") else { return Cow::Borrowed(text) };
    let mut plain = first.to_owned();
    for part in rest.split("\x1b[") {
        let end = part.find(|letter: char| ('\x40'..='\x7e').contains(&letter));
        plain.push_str(end.map_or("", |end| &part[end + 1..]));
    }
    Cow::Owned(plain)
}
