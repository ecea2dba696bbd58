//! From the bytes of a file to its text.

use crate::diagnostic::{Diagnostic, codes};
use crate::span::{Position, Span};

/// The text of a file, or where it stops to be UTF-8. `file` is its name for people.
///
/// # Errors
/// The bytes are not UTF-8; the place is that of the first wrong one.
pub fn decode<'a>(file: &str, bytes: &'a [u8]) -> Result<&'a str, Diagnostic> {
    std::str::from_utf8(bytes).map_err(|error| {
        let sound = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        let span = Span { file: file.into(), start: end_of(&sound, 0), end: end_of(&sound, 1) };
        Diagnostic::error(codes::FILE_ENCODING, span, "The file is not UTF-8 text").with_hint(hint(bytes))
    })
}

fn hint(bytes: &[u8]) -> &'static str {
    match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "the file is UTF-16; save it as UTF-8",
        _ => "save the file as UTF-8; this byte belongs to another encoding",
    }
}

/// The place right behind `text`, `further` columns on.
fn end_of(text: &str, further: usize) -> Position {
    let line = text.split('\n').count();
    let column = text.rsplit('\n').next().unwrap_or_default().chars().count() + 1 + further;
    let number = |count| u32::try_from(count).unwrap_or(u32::MAX);
    Position { line: number(line), column: number(column) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_that_of_the_first_wrong_byte_in_characters() {
        let problem = decode("ci.yml", b"on: push\nname: \xc3\xa4\xff\n").unwrap_err();
        let span = problem.span.unwrap();
        assert_eq!((&*span.file, span.start.line, span.start.column), ("ci.yml", 2, 8));
        assert_eq!(span.end.column, 9);
    }

    #[test]
    fn utf_16_is_called_by_its_name() {
        let problem = decode("ci.yml", b"\xff\xfeo\0n\0").unwrap_err();
        assert!(problem.hint.unwrap().contains("UTF-16"));
    }
}
