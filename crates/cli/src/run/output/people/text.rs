//! Text that others wrote, made fit for a terminal: no control sequences but colours, and no wider than its place.

use std::borrow::Cow;
use std::iter::Peekable;
use std::str::Chars;

use model::Contact;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Ends all colours.
const RESET: &str = "\x1b[0m";

/// A line of a log as a terminal would leave it standing: what a carriage return overwrote is gone, and so is
/// every control sequence, which could otherwise move the cursor or write to the clipboard. Colours stay if wanted.
pub(crate) fn printable(line: &str, colours: bool) -> Cow<'_, str> {
    let line = line.trim_end_matches('\r');
    let line = line.rsplit('\r').next().unwrap_or(line);
    // Most lines have neither control characters nor the byte with which the longer ones begin.
    if line.bytes().all(|byte| byte >= b' ' && byte != 0x7f && byte != 0xc2 || byte == b'\t') {
        return Cow::Borrowed(line);
    }
    let mut shown = String::with_capacity(line.len());
    let mut coloured = false;
    let mut rest = line.chars().peekable();
    while let Some(char) = rest.next() {
        match char {
            '\x1b' => {
                if let Some(sequence) = escape(&mut rest).filter(|_| colours) {
                    shown.push_str(&sequence);
                    coloured = true;
                }
            }
            '\u{9b}' => drop(control_sequence(&mut rest)),
            char if is_unsafe(char) => {}
            char => shown.push(char),
        }
    }
    if coloured {
        shown.push_str(RESET);
    }
    Cow::Owned(shown)
}

/// Text in one line and without control characters, for names and titles.
pub(crate) fn one_line(text: &str) -> String {
    let text = text.trim().replace("\r\n", " ").replace(['\n', '\r'], " ").replace('\t', "  ");
    printable(&text, false).into_owned()
}

fn is_unsafe(char: char) -> bool {
    char.is_control() && char != '\t'
}

/// Reads what follows an ESC. Gives it back if it only sets colours.
fn escape(rest: &mut Peekable<Chars<'_>>) -> Option<String> {
    match rest.next()? {
        '[' => control_sequence(rest).filter(|sequence| sequence.ends_with('m')),
        // Operating system commands and other strings: titles, links, the clipboard.
        ']' | 'P' | 'X' | '^' | '_' => {
            control_string(rest);
            None
        }
        ' '..='/' => {
            rest.find(|char| !(' '..='/').contains(char));
            None
        }
        _ => None,
    }
}

/// Reads the parameters and the final character of a control sequence. An unfinished one has no value.
fn control_sequence(rest: &mut Peekable<Chars<'_>>) -> Option<String> {
    let mut sequence = "\x1b[".to_owned();
    while let Some(char) = rest.next_if(|char| (' '..='~').contains(char)) {
        sequence.push(char);
        if ('@'..='~').contains(&char) {
            let plain = sequence[2..].chars().all(|char| char.is_ascii_alphanumeric() || ";:".contains(char));
            return plain.then_some(sequence);
        }
    }
    None
}

/// Reads up to BEL or ESC \, which end a control string.
fn control_string(rest: &mut Peekable<Chars<'_>>) {
    while let Some(char) = rest.next() {
        if matches!(char, '\x07' | '\u{9c}') || char == '\x1b' && rest.next_if_eq(&'\\').is_some() {
            return;
        }
    }
}

/// Columns that a text takes.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// The text cut to so many columns, with a mark where something is missing.
pub(crate) fn fit(text: &str, columns: usize) -> Cow<'_, str> {
    if width(text) <= columns {
        return Cow::Borrowed(text);
    }
    let mut kept = String::new();
    let mut used = 1;
    for char in text.chars() {
        used += char.width().unwrap_or(0);
        if used > columns {
            break;
        }
        kept.push(char);
    }
    if columns > 0 {
        kept.push('…');
    }
    Cow::Owned(kept)
}

/// The text with spaces behind it up to so many columns, cut if it is longer.
pub(crate) fn pad(text: &str, columns: usize) -> String {
    let text = fit(text, columns);
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(&text))))
}

/// What a job contacted, and how often.
pub(super) fn contacted(contact: &Contact, times: u64) -> String {
    let how_often = if times == 1 { "once".to_owned() } else { format!("{times} times") };
    format!("network: {} ({how_often})", one_line(&contact.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_stay_where_they_are_wanted_and_end_with_the_line() {
        assert_eq!(printable("\x1b[36;1mecho ü\x1b[K x", true), "\x1b[36;1mecho ü x\x1b[0m");
        assert_eq!(printable("\x1b[36;1mecho ü\x1b[0m x\x1b[2K", false), "echo ü x");
    }

    #[test]
    fn nothing_that_a_job_prints_can_move_the_cursor_or_reach_the_clipboard() {
        for hostile in [
            "a\x1b[2Jb",
            "a\x1b[1;1Hb",
            "a\x1b]52;c;ZXZpbA==\x07b",
            "a\x1b]0;title\x1b\\b",
            "a\x1bPq#0\x1b\\b",
            "a\x1bcb",
            "a\x1b(0b",
            "a\u{9b}2Jb",
            "a\x08\x07\x0e\u{85}b",
            "a\x1b[?1049hb",
            "a\x1b[>4;1mb",
        ] {
            assert_eq!(printable(hostile, true), "ab", "{hostile:?}");
        }
        for unfinished in ["a\x1b", "a\x1b[", "a\x1b[1;", "a\x1b]0;b", "a\x1b("] {
            assert_eq!(printable(unfinished, true), "a", "{unfinished:?}");
        }
    }

    #[test]
    fn a_carriage_return_overwrites_as_on_a_terminal() {
        assert_eq!(printable("10%\r20%\rdone\r", false), "done");
    }

    #[test]
    fn a_name_has_one_line() {
        assert_eq!(one_line(" Build\r\n\tthe\x1b[2J lot\r"), "Build   the lot");
    }

    #[test]
    fn text_is_cut_by_the_columns_that_it_takes() {
        assert_eq!(fit("Grüße aus München", 8), "Grüße a…");
        assert_eq!(fit("構築とテスト", 12), "構築とテスト");
        assert_eq!(fit("構築とテスト", 8), "構築と…");
        assert_eq!(fit("構築とテスト", 7), "構築と…");
        assert_eq!((fit("ab", 1), fit("ab", 0)), ("…".into(), "".into()));
        assert_eq!(pad("構築", 6), "構築  ");
    }
}
