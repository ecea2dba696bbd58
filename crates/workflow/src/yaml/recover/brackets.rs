//! Values in brackets that go over several lines.
//!
//! YAML 1.2 wants all their lines indented further than the key or dash before them, and so does our parser.
//! GitHub's minds no indentation between brackets, and many people close a list in the column of its key.

use super::fault::closing;
use super::lines::Lines;

/// Where a bracket closes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Close {
    /// At this byte.
    At(usize),
    /// Not: this bracket, the same one or one inside of it, is left open.
    Never(usize),
    /// Quotes that are not closed hide it.
    Hidden,
}

/// Where the bracket at `open` closes.
pub(super) fn close(text: &str, open: usize) -> Close {
    let mut stack: Vec<(usize, char)> = Vec::new();
    // Whether a quote here would begin a text: not in the middle of a word.
    let mut begins = true;
    let mut after_blank = false;
    let mut characters = text[open..].char_indices().map(|(place, character)| (open + place, character));
    while let Some((place, character)) = characters.next() {
        match character {
            '[' | '{' => stack.push((place, character)),
            ']' | '}' => match stack.pop() {
                Some((_, bracket)) if closing(bracket) == character => {
                    if stack.is_empty() {
                        return Close::At(place);
                    }
                }
                Some((bracket, _)) => return Close::Never(bracket),
                None => return Close::Hidden,
            },
            '"' | '\'' if begins && !characters.by_ref().any(|(_, other)| other == character) => {
                return Close::Hidden;
            }
            '#' if after_blank => {
                characters.by_ref().find(|(_, other)| *other == '\n');
                continue;
            }
            _ => {}
        }
        after_blank = character.is_whitespace();
        begins = "[{,:".contains(character) || (begins && after_blank);
    }
    stack.last().map_or(Close::Hidden, |(place, _)| Close::Never(*place))
}

/// Lines (from 0) between the bracket at `open` and the one that closes it which are not indented further than it,
/// each with the blanks that it lacks. None where it does not close.
pub(super) fn shallow_lines(lines: &Lines<'_>, open: usize) -> Vec<(usize, usize)> {
    let Close::At(end) = close(lines.text, open) else { return Vec::new() };
    let first = lines.at(open);
    let column = lines.text[lines.start(first)..open].chars().count();
    let lacks = |line: usize| {
        let indent = lines.indent(line).filter(|_| !lines.has_leading_tab(line))?;
        (indent <= column).then(|| (line, column + 1 - indent))
    };
    (first + 1..=lines.at(end)).filter_map(lacks).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bracket_closes_behind_texts_and_comments() {
        for (text, expected) in [
            ("[a, b]", Close::At(5)),
            ("[a, {b: \"]\"}]", Close::At(12)),
            ("[it's,\n # it's ]\n b]", Close::At(19)),
            ("[a#]", Close::At(3)),
            ("[a, {b]", Close::Never(4)),
            ("[a,\n b", Close::Never(0)),
            ("[a, 'b]", Close::Hidden),
        ] {
            assert_eq!(close(text, 0), expected, "{text}");
        }
    }

    #[test]
    fn lines_in_brackets_lack_what_makes_them_deeper_than_the_bracket() {
        let lines = Lines::new("a: [\n\n  1,\n     2\n]\nb");
        assert_eq!(shallow_lines(&lines, 3), [(2, 2), (4, 4)]);
        assert_eq!(shallow_lines(&Lines::new("a: [\n1\n"), 3), []);
    }
}
