//! Lines of a text as YAML counts them, and what stands at their beginning.

use crate::span::Position;

/// A text and where its lines begin. Lines count from 0, places from 1.
pub(super) struct Lines<'a> {
    pub(super) text: &'a str,
    starts: Vec<usize>,
}

/// What a line begins with: dashes of lists, a key, or both.
pub(super) struct Entry {
    /// Column, from 0, of the key, or of the last dash where there is no key.
    pub(super) column: usize,
    /// Byte of the text at which its value begins.
    pub(super) value: usize,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a str) -> Lines<'a> {
        let bytes = text.as_bytes();
        let ends = bytes.iter().enumerate().filter(|&(place, byte)| match byte {
            b'\n' => true,
            b'\r' => bytes.get(place + 1) != Some(&b'\n'),
            _ => false,
        });
        let starts = std::iter::once(0).chain(ends.map(|(place, _)| place + 1)).collect();
        Lines { text, starts }
    }

    pub(super) fn count(&self) -> usize {
        self.starts.len()
    }

    /// First byte of a line.
    pub(super) fn start(&self, line: usize) -> usize {
        self.starts.get(line).copied().unwrap_or(self.text.len())
    }

    /// One past the last byte of a line, its end not included.
    pub(super) fn end(&self, line: usize) -> usize {
        self.start(line) + self.content(line).len()
    }

    /// A line without its end.
    pub(super) fn content(&self, line: usize) -> &'a str {
        self.text[self.start(line)..self.start(line + 1)].trim_end_matches(['\n', '\r'])
    }

    /// The line that a byte is in.
    pub(super) fn at(&self, byte: usize) -> usize {
        self.starts.partition_point(|start| *start <= byte).saturating_sub(1)
    }

    /// The place of the character that begins at a byte, or of the next one.
    pub(super) fn position(&self, byte: usize) -> Position {
        let begins = |byte: &usize| self.text.is_char_boundary(*byte);
        let byte = (byte..self.text.len()).find(begins).unwrap_or(self.text.len());
        let line = self.at(byte);
        let column = self.text[self.start(line)..byte].chars().count();
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX).saturating_add(1);
        Position { line: number(line), column: number(column) }
    }

    /// Blanks before the first other character of a line; `None` for lines that say nothing.
    pub(super) fn indent(&self, line: usize) -> Option<usize> {
        let content = self.content(line);
        let text = content.trim_start_matches([' ', '\t']);
        (!text.is_empty() && !text.starts_with('#')).then(|| content.len() - text.len())
    }

    /// Whether a tab stands among the blanks at the beginning of a line.
    pub(super) fn has_leading_tab(&self, line: usize) -> bool {
        self.content(line).trim_start_matches(' ').starts_with('\t')
    }

    /// Whether nothing but blanks and dashes stands before a byte in its line.
    pub(super) fn is_first(&self, byte: usize) -> bool {
        self.text[self.start(self.at(byte))..byte].bytes().all(|byte| b" \t-".contains(&byte))
    }

    /// The last line before `line` that says something.
    pub(super) fn above(&self, line: usize) -> Option<usize> {
        (0..line).rev().find(|line| self.indent(*line).is_some())
    }

    /// The first line behind `line` that says something.
    pub(super) fn below(&self, line: usize) -> Option<usize> {
        (line + 1..self.count()).find(|line| self.indent(*line).is_some())
    }

    /// What a line begins with; `None` where it is neither a dash nor a key.
    pub(super) fn entry(&self, line: usize) -> Option<Entry> {
        let content = self.content(line);
        let mut place = content.len() - content.trim_start_matches(' ').len();
        let mut entry = None;
        while content[place..].starts_with("- ") {
            let behind = content[place + 1..].trim_start_matches(' ');
            let value = content.len() - behind.len();
            entry = Some(Entry { column: place, value: self.start(line) + value });
            place = value;
        }
        let rest = &content[place..];
        match key_end(rest) {
            Some(end) => {
                let behind = rest[end..].trim_start_matches([' ', '\t']);
                Some(Entry { column: place, value: self.end(line) - behind.len() })
            }
            None => entry,
        }
    }
}

/// Where a key ends with which a text begins, its colon included.
fn key_end(text: &str) -> Option<usize> {
    let first = text.chars().next()?;
    let end = match first {
        '"' | '\'' => {
            let close = 1 + text[1..].find(first)?;
            close + 1
        }
        _ if "[]{}&*!|>%@`#?,".contains(first) => return None,
        _ => plain_key_end(text)?,
    };
    let behind = text[end..].trim_start_matches(' ');
    let is_key = behind.starts_with(": ") || behind.starts_with(":\t") || behind == ":";
    is_key.then(|| text.len() - behind.len() + 1)
}

fn plain_key_end(text: &str) -> Option<usize> {
    let ends = text.match_indices(':').map(|(place, _)| place);
    let end =
        ends.into_iter().find(|end| matches!(text.as_bytes().get(end + 1), None | Some(b' ' | b'\t')))?;
    (!text[..end].contains(" #")).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_line_end_ends_a_line() {
        let lines = Lines::new("a\nb\r\nc\rd");
        let contents: Vec<_> = (0..lines.count()).map(|line| lines.content(line)).collect();
        assert_eq!(contents, ["a", "b", "c", "d"]);
        assert_eq!(lines.position(7), Position { line: 4, column: 1 });
    }

    #[test]
    fn a_line_begins_with_dashes_a_key_or_both() {
        for (line, expected) in [
            ("a: b", Some((0, "b"))),
            ("  - - a:  \"b", Some((6, "\"b"))),
            ("- \"b", Some((0, "\"b"))),
            ("'a b': c", Some((0, "c"))),
            ("http://x", None),
            ("[a: b", None),
            ("a # b: c", None),
            ("a:", Some((0, ""))),
        ] {
            let lines = Lines::new(line);
            let entry = lines.entry(0).map(|entry| (entry.column, &line[entry.value..]));
            assert_eq!(entry, expected, "{line}");
        }
    }
}
