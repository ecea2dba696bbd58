//! `key:<tab>value`: YAML takes the tab for a blank, our parser does not.

use std::borrow::Cow;

use saphyr_parser::Parser;

/// What the parser says of such a tab; its mark is behind it.
const REFUSAL: &str = "must be followed by a valid YAML whitespace";

/// Tabs that are replaced in one file. Each costs a reading of the file, and a file with more is
/// made to cost time.
const MAX_TABS: usize = 100;

/// The text with blanks for the tabs that separate a plain value from its key. Places stay.
pub(super) fn without_separating_tabs(text: &str) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(text);
    if !text.contains(":\t") {
        return text;
    }
    for _ in 0..MAX_TABS {
        let Some(tabs) = refused_tabs(&text) else { break };
        let blanks = " ".repeat(tabs.len());
        text.to_mut().replace_range(tabs, &blanks);
    }
    text
}

/// The bytes of the first tabs that the parser refuses.
fn refused_tabs(text: &str) -> Option<std::ops::Range<usize>> {
    let error = Parser::new_from_str(text).find_map(Result::err)?;
    let end = text.char_indices().nth(error.marker().index()).map_or(text.len(), |(place, _)| place);
    separating(text, end, error.info())
}

/// The bytes of the tabs right before `end`, where the parser refuses them with these words.
pub(super) fn separating(text: &str, end: usize, words: &str) -> Option<std::ops::Range<usize>> {
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
            ("a: b\n\tc:\td\n", "a: b\n\tc:\td\n"),
        ] {
            assert_eq!(without_separating_tabs(text), expected);
        }
    }
}
