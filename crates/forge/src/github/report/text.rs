//! Texts within GitHub's bounds.

use anstream::adapter::strip_str;

/// The text, or as much of its beginning as fits into `limit` bytes together with `note`, which says that it was cut.
/// GitHub counts characters in some places and bytes in others; bytes are the smaller bound.
pub(super) fn cut(text: &str, limit: usize, note: &str) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let mut end = limit.saturating_sub(note.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{note}", &text[..end])
}

/// `12s`, `1m 2s`, `1h 3m`.
pub(super) fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m {}s", seconds / 60, seconds % 60),
        _ => format!("{}h {}m", seconds / 3600, seconds % 3600 / 60),
    }
}

/// Without colours and other sequences of terminals, none of which GitHub shows.
fn plain(text: &str) -> String {
    strip_str(text).to_string().chars().filter(|c| !c.is_control() || matches!(c, '\t' | '\n')).collect()
}

/// A name in Markdown: names come from workflows of anybody, and must neither format, nor link, nor call for people.
pub(super) fn escaped(name: &str) -> String {
    let mut safe = String::new();
    for c in plain(name).chars() {
        match c {
            '\n' | '\t' => safe.push(' '),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            // A space of no width keeps `@somebody` and `#1` from becoming one.
            '@' | '#' => {
                safe.push(c);
                safe.push('\u{200b}');
            }
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '(' | ')' | '!' | '|' | '~' => {
                safe.push('\\');
                safe.push(c);
            }
            c => safe.push(c),
        }
    }
    // What looks like an address becomes a link by itself.
    safe.replace("://", ":\u{200b}//").replace("www.", "www\u{200b}.")
}

/// Lines as a block of code that none of them can end.
pub(super) fn code_block(lines: &[String]) -> String {
    let longest = lines.iter().flat_map(|line| line.split(|c| c != '`')).map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(3.max(longest + 1));
    let body: Vec<String> = lines.iter().map(|line| plain(line)).collect();
    format!("{fence}\n{}\n{fence}", body.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_too_long_says_that_it_was_cut() {
        assert_eq!(cut("abc", 3, "…"), "abc");
        assert_eq!(cut("abcdefgh", 6, "[cut]"), "a[cut]");
        assert_eq!(cut(&"é".repeat(10), 12, "!"), format!("{}!", "é".repeat(5)));
        assert_eq!(cut("abcdef", 2, "long note"), "long note");
    }

    #[test]
    fn times_are_as_people_say_them() {
        assert_eq!(
            [0, 59, 60, 3599, 3660, 90_000].map(duration),
            ["0s", "59s", "1m 0s", "59m 59s", "1h 1m", "25h 0m"]
        );
    }

    #[test]
    fn a_name_stays_a_name() {
        assert_eq!(escaped("a|b\n[c](d) `e` <img>"), "a\\|b \\[c\\]\\(d\\) \\`e\\` &lt;img&gt;");
        assert_eq!(escaped("@all #1 https://x.example"), "@\u{200b}all #\u{200b}1 https:\u{200b}//x.example");
    }

    #[test]
    fn no_line_ends_its_block() {
        let lines = ["a ```` b".to_owned(), "ü".to_owned()];
        assert_eq!(code_block(&lines), "`````\na ```` b\nü\n`````");
    }

    #[test]
    fn nothing_of_a_terminals_sequences_is_left() {
        let lines = ["\u{1b}[36;1mexit 3\u{1b}[0m\tü".to_owned(), "\u{1b}]8;;http://x\u{7}link\r".to_owned()];
        assert_eq!(code_block(&lines), "```\nexit 3\tü\nlink\n```");
        assert_eq!(escaped("\u{1b}[31mred\u{1b}[m"), "red");
    }
}
