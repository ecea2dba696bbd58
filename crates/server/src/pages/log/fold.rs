//! Groups of lines, for a page that folds without a script.

use maud::{Markup, html};
use store::log::Line;

use super::line::{self, Mark};
use crate::pages::ansi;

/// Groups within one another that are folded; deeper ones are lines. Nobody reads deeper.
const DEPTH: usize = 8;

/// Lines as markup, each group as something to unfold. A group whose end is on another page ends with this one; one
/// in which something went wrong is open.
pub(in crate::pages) fn render(lines: &[Line], base: &str) -> Markup {
    let mut rest = lines;
    html! { @while !rest.is_empty() { (group(&mut rest, base, 0)) } }
}

/// What stands up to the end of the group that is open, which is taken too.
fn group(rest: &mut &[Line], base: &str, depth: usize) -> Markup {
    let mut parts = Vec::new();
    while let Some((first, more)) = rest.split_first() {
        *rest = more;
        match line::read(&first.line) {
            (Mark::EndGroup, _) => break,
            (Mark::Group, title) if depth < DEPTH => {
                let title = ansi::plain(title);
                let before = *rest;
                let inner = group(rest, base, depth + 1);
                let is_open = has_error(&before[..before.len() - rest.len()]);
                let number = line::shown_number(first.number);
                parts.push(html! {
                    details.group open[is_open] id={ "L" (number) } {
                        summary { a.n href={ (base) "#L" (number) } { (number) } span.t { (title) } }
                        (inner)
                    }
                });
            }
            _ => parts.push(line::render(first, base)),
        }
    }
    html! { @for part in &parts { (part) } }
}

fn has_error(lines: &[Line]) -> bool {
    lines.iter().any(|line| line::read(&line.line).0 == Mark::Error)
}

#[cfg(test)]
mod tests {
    use super::super::line::tests::line;
    use super::*;
    use model::Stream;

    fn hearth(texts: &[&str]) -> String {
        let lines: Vec<Line> =
            texts.iter().zip(0..).map(|(text, number)| line(number, Stream::Hearth, text)).collect();
        render(&lines, "").into_string()
    }

    #[test]
    fn a_group_is_folded_under_its_title() {
        let page = hearth(&["##[group]Install <b>", "a", "##[endgroup]", "b"]);
        let (group, after) = page.split_once("</details>").unwrap();
        assert!(group.contains("Install &lt;b&gt;") && group.contains(">a</span>"), "{page}");
        assert!(after.contains(">b</span>") && !page.contains("endgroup"), "{page}");
        assert!(!page.contains("open"), "{page}");
    }

    #[test]
    fn a_group_with_an_error_is_open_and_so_is_the_one_around_it() {
        let page = hearth(&[
            "##[group]a",
            "##[group]b",
            "##[error]no",
            "##[endgroup]",
            "##[endgroup]",
            "##[group]c",
        ]);
        assert_eq!(page.matches("<details").count(), 3);
        assert_eq!(page.matches(" open").count(), 2, "{page}");
    }

    #[test]
    fn an_end_without_a_beginning_and_a_beginning_without_an_end_lose_no_line() {
        let page = hearth(&["a", "##[endgroup]", "b", "##[group]c", "d"]);
        for text in ["a", "b", "c", "d"] {
            assert!(page.contains(&format!(">{text}</span>")), "{text} is not in {page}");
        }
    }

    #[test]
    fn groups_within_groups_without_end_stay_bounded() {
        let page = hearth(&vec!["##[group]x"; 500]);
        assert_eq!(page.matches("<details").count(), DEPTH);
    }
}
