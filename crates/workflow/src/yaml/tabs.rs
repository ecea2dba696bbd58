//! `key:<tab>value`: YAML takes the tab for a blank, our parser does not.

use std::borrow::Cow;
use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle};

/// What the parser says of such a tab; its mark is behind it.
const REFUSAL: &str = "must be followed by a valid YAML whitespace";

/// The text with blanks for the tabs that separate a value from its key. Places stay.
///
/// A colon before a tab ends a key, but in quotes and in blocks of text (and in comments, where it
/// does not matter). With blanks for all of them the text has the structure that is meant, so that
/// the parser tells which tabs are text.
pub(super) fn without_separating_tabs(text: &str) -> Cow<'_, str> {
    let runs = runs_behind_colons(text);
    if runs.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut blanked = text.to_owned();
    runs.iter().for_each(|run| blanked.replace_range(run.clone(), &" ".repeat(run.len())));
    let mut texts = texts(&blanked).into_iter().peekable();
    for run in &runs {
        while texts.next_if(|text| text.end <= run.start).is_some() {}
        if texts.peek().is_some_and(|text| text.start <= run.start) {
            blanked.replace_range(run.clone(), &text[run.clone()]);
        }
    }
    Cow::Owned(blanked)
}

/// The bytes of all tabs that stand right behind a colon.
fn runs_behind_colons(text: &str) -> Vec<Range<usize>> {
    text.match_indices(":\t")
        .map(|(colon, _)| {
            let tabs = text[colon + 1..].bytes().take_while(|byte| *byte == b'\t').count();
            colon + 1..colon + 1 + tabs
        })
        .collect()
}

/// The bytes of texts in quotes and of blocks of text, in order, as far as the parser reads.
fn texts(text: &str) -> Vec<Range<usize>> {
    let places: Vec<usize> = text.char_indices().map(|(place, _)| place).collect();
    let byte_of = |character: usize| places.get(character).copied().unwrap_or(text.len());
    let scalars = Parser::new_from_str(text).map_while(Result::ok).filter_map(|(event, marks)| match event {
        Event::Scalar(_, style, ..) if style != ScalarStyle::Plain && !marks.is_empty() => Some(marks),
        _ => None,
    });
    scalars.map(|marks| byte_of(marks.start.index())..byte_of(marks.end.index())).collect()
}

/// The bytes of the tabs right before `end`, where the parser refuses them with these words.
pub(super) fn separating(text: &str, end: usize, words: &str) -> Option<Range<usize>> {
    let start = text[..end].trim_end_matches('\t').len();
    (words.contains(REFUSAL) && start < end).then_some(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tabs_between_a_key_and_its_value_become_blanks() {
        for (text, expected) in [
            ("a:\tb\nc:\t\td\n", "a: b\nc:  d\n"),
            ("a: |\n  x:\ty\nb: 'x:\ty'\n", "a: |\n  x:\ty\nb: 'x:\ty'\n"),
            ("a:\tb\nc: |\n  x:\ty\n", "a: b\nc: |\n  x:\ty\n"),
            (
                "ä: 'ö:\tü'\nb:\tc\nd: [\"x:\ty\",\tz]\ne: >-\n  x:\ty\nf:\tg\n",
                "ä: 'ö:\tü'\nb: c\nd: [\"x:\ty\",\tz]\ne: >-\n  x:\ty\nf: g\n",
            ),
            ("'':\t''\na:\t'b:\tc'\n", "'': ''\na: 'b:\tc'\n"),
        ] {
            assert_eq!(without_separating_tabs(text), expected);
        }
    }
}
