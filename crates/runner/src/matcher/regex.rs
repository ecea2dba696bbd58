//! The regular expressions of problem matchers.
//!
//! They are written for .NET's engine in its ECMAScript mode, which on some patterns and lines goes back and forth for
//! years; GitHub's runner stops it after a second. The engine here takes time in proportion to the line, but for
//! patterns that look around or refer back, and for those it has a bound. Its syntax differs, hence [`translate`].

use fancy_regex::{Regex, RegexBuilder};

/// Steps back that a pattern which looks around or refers back may take for one line: some tenths of a second.
const STEPS_BACK: usize = 100_000;

/// Size of a compiled pattern: real ones have some kilobytes, `(a{999}){999}` would have gigabytes.
const COMPILED_BYTES: usize = 4 * 1024 * 1024;

/// Compiles the pattern of a matcher file.
pub(super) fn compile(pattern: &str) -> Result<Regex, String> {
    let mut builder = RegexBuilder::new(&translate(pattern));
    builder.backtrack_limit(STEPS_BACK).delegate_size_limit(COMPILED_BYTES);
    builder.build().map_err(|error| error.to_string())
}

/// The same pattern in the engine's syntax: classes are ASCII, a bracket in a class and a brace that counts nothing
/// are ordinary characters, and so is any other character behind a backslash that means nothing there.
fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut rest = pattern;
    while let Some(character) = rest.chars().next() {
        let behind = &rest[character.len_utf8()..];
        rest = match character {
            '\\' => {
                let (escape, behind) = Escape::read(behind);
                escape.write(&mut out);
                behind
            }
            '[' => class(behind, &mut out),
            '{' => match behind.find('}').filter(|end| counts(&behind[..*end])) {
                Some(end) => {
                    out.push_str(&rest[..end + 2]);
                    &behind[end + 1..]
                }
                None => {
                    out.push_str("\\{");
                    behind
                }
            },
            '}' => {
                out.push_str("\\}");
                behind
            }
            other => {
                out.push(other);
                behind
            }
        };
    }
    out
}

/// Whether braces around `text` say how often: `2`, `2,`, `2,3`.
fn counts(text: &str) -> bool {
    let (least, most) = text.split_once(',').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    !least.is_empty() && digits(least) && digits(most)
}

/// Translates a class whose bracket has been read; gives what stands behind it.
fn class<'a>(text: &'a str, out: &mut String) -> &'a str {
    out.push('[');
    let mut rest = text.strip_prefix('^').unwrap_or(text);
    if rest.len() < text.len() {
        out.push('^');
    }
    let mut first = true;
    // Whether a `-` here can make a range of the character before it.
    let mut opens = false;
    while let Some(character) = rest.chars().next() {
        let behind = &rest[character.len_utf8()..];
        match character {
            ']' if !first => {
                out.push(']');
                return behind;
            }
            '-' if opens && closes_range(behind) => {
                out.push('-');
                opens = false;
                rest = behind;
                continue;
            }
            '\\' => {
                let (escape, behind) = Escape::read(behind);
                escape.write_in_class(out);
                opens = !matches!(escape, Escape::Class(..));
                (rest, first) = (behind, false);
                continue;
            }
            other => literal_in_class(other, out),
        }
        (rest, first, opens) = (behind, false, true);
    }
    rest
}

/// Whether a single character stands here, as the end of a range must.
fn closes_range(text: &str) -> bool {
    match text.strip_prefix('\\') {
        Some(escaped) => !matches!(Escape::read(escaped).0, Escape::Class(..)),
        None => !text.is_empty() && !text.starts_with(']'),
    }
}

fn literal_in_class(character: char, out: &mut String) {
    if "[]^-&~\\".contains(character) {
        out.push('\\');
    }
    out.push(character);
}

/// What a backslash and the characters behind it mean.
enum Escape<'a> {
    /// A class, and whether it is negated.
    Class(&'static str, bool),
    /// One character.
    Character(char),
    /// A boundary outside of classes, as the engine writes it, and the character that it is in one.
    Boundary(&'static str, char),
    /// A reference to a group, as it is written; in a class its digits.
    Reference(&'a str),
}

impl<'a> Escape<'a> {
    /// Reads what stands behind a backslash; gives the rest too.
    fn read(text: &'a str) -> (Escape<'a>, &'a str) {
        let Some(character) = text.chars().next() else { return (Escape::Character('\\'), text) };
        let behind = &text[character.len_utf8()..];
        let hexadecimal = |digits: usize| {
            let code = behind.get(..digits).and_then(|code| u32::from_str_radix(code, 16).ok())?;
            Some((Escape::Character(char::from_u32(code)?), &behind[digits..]))
        };
        let plain = match character {
            'd' | 'D' => Escape::Class("0-9", character == 'D'),
            'w' | 'W' => Escape::Class("0-9A-Za-z_", character == 'W'),
            's' | 'S' => Escape::Class(" \\t\\n\\x0B\\f\\r", character == 'S'),
            'b' => Escape::Boundary("\\b", '\u{8}'),
            'B' => Escape::Boundary("\\B", 'B'),
            'A' => Escape::Boundary("\\A", 'A'),
            'z' | 'Z' => Escape::Boundary("\\z", character),
            't' => Escape::Character('\t'),
            'n' => Escape::Character('\n'),
            'r' => Escape::Character('\r'),
            'f' => Escape::Character('\u{c}'),
            'v' => Escape::Character('\u{b}'),
            'e' => Escape::Character('\u{1b}'),
            'a' => Escape::Character('\u{7}'),
            '0' => Escape::Character('\0'),
            'x' => return hexadecimal(2).unwrap_or((Escape::Character('x'), behind)),
            'u' => return hexadecimal(4).unwrap_or((Escape::Character('u'), behind)),
            '1'..='9' => {
                let digits = behind.bytes().take_while(u8::is_ascii_digit).count();
                return (Escape::Reference(&text[..=digits]), &behind[digits..]);
            }
            'k' if behind.starts_with('<') => match behind.find('>') {
                Some(end) => return (Escape::Reference(&text[..end + 2]), &behind[end + 1..]),
                None => Escape::Character('k'),
            },
            other => Escape::Character(other),
        };
        (plain, behind)
    }

    fn write(&self, out: &mut String) {
        match self {
            Escape::Class(members, negated) => {
                out.push_str(if *negated { "[^" } else { "[" });
                out.push_str(members);
                out.push(']');
            }
            Escape::Character(character) => {
                if r"\.+*?()|[]{}^$".contains(*character) {
                    out.push('\\');
                }
                out.push(*character);
            }
            Escape::Boundary(boundary, _) => out.push_str(boundary),
            Escape::Reference(reference) => {
                out.push('\\');
                out.push_str(reference);
            }
        }
    }

    fn write_in_class(&self, out: &mut String) {
        match self {
            Escape::Class(members, false) => out.push_str(members),
            Escape::Class(..) => self.write(out),
            Escape::Character(character) | Escape::Boundary(_, character) => {
                literal_in_class(*character, out)
            }
            Escape::Reference(reference) => out.push_str(reference),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(pattern: &str, line: &str) -> Option<Vec<String>> {
        let found = compile(pattern).unwrap().captures(line).unwrap()?;
        let text = |group: usize| found.get(group).map_or(String::new(), |found| found.as_str().to_owned());
        Some((1..found.len()).map(text).collect())
    }

    fn matches(pattern: &str, line: &str) -> bool {
        groups(pattern, line).is_some()
    }

    #[test]
    fn patterns_of_well_known_matchers_find_their_parts() {
        for (pattern, line, parts) in [
            (
                r"^([^\s].*)[\(:](\d+)[,:](\d+)(?:\):\s+|\s+-\s+)(error|warning|info)\s+TS(\d+)\s*:\s*(.*)$",
                "src/a.ts(3,14): error TS2322: Type",
                &["src/a.ts", "3", "14", "error", "2322", "Type"][..],
            ),
            (
                r"^(.*?):(\d+):(\d*):?\s+(?:fatal\s+)?(warning|error):\s+(.*)$",
                "a b.c:3:5: fatal error: x.h",
                &["a b.c", "3", "5", "error", "x.h"],
            ),
            (
                r#"^\s*File\s\"(.*)\",\sline\s(\d+),\sin\s(.*)$"#,
                "  File \"x.py\", line 3, in f",
                &["x.py", "3", "f"],
            ),
            (
                r"^\s*(.+\.go):(?:(\d+):(\d+):)? (.*)",
                "x.go:1:2: undefined: y",
                &["x.go", "1", "2", "undefined: y"],
            ),
            (r"^(?:\x1b\[\d+m)?(.+?)(?:\u001b\[0m)?$", "plain", &["plain"]),
            (r"^##\[(\w+)\]\s{0,}([^\[\]{}]+)$", "##[x] y", &["x", "y"]),
        ] {
            assert_eq!(groups(pattern, line).unwrap_or_default(), parts, "{pattern}");
        }
    }

    #[test]
    fn classes_are_ascii_as_in_ecmascript() {
        assert!(matches(r"^\w+ \d+\s[\w\d\s]+$", "abc_1 12\t x"));
        assert!(!matches(r"^\w$", "é") && matches(r"^\W$", "é") && matches(r"^[\W]$", "é"));
        assert!(!matches(r"^\d$", "٣") && !matches(r"^\s$", "\u{a0}") && matches(r"^\S$", "\u{a0}"));
    }

    #[test]
    fn brackets_braces_and_dashes_that_mean_nothing_are_themselves() {
        assert!(matches(r"^[[]x[]]$", "[x]"));
        assert!(matches(r"^[a&&b]+$", "&ab") && matches(r"^[a~~b]+$", "~ab") && matches(r"^[+--]$", ","));
        assert!(
            matches(r"^[\w-.]+$", "a-.") && matches(r"^[-a]+[a-]+$", "-a-") && matches(r"^[a-\d]+$", "a-7")
        );
        assert!(matches(r"^{x} a{2} b{,3} }$", "{x} aa b{,3} }"));
        assert!(matches(r"^\/\-\:\<\é\#$", "/-:<é#"));
        assert!(matches(r"^[\]\\\-\/^]+$", r"]\-/^"));
    }

    #[test]
    fn lookaround_references_and_named_groups_work() {
        assert!(!matches(r"^(?!ok)(?<m>[(]?\w+) (?:a|b)$", "ok a"));
        assert_eq!(groups(r"^(?!ok)(?<m>[(]?\w+) (?:a|b)$", "(bad b").unwrap(), ["(bad"]);
        assert!(matches(r"^(.)(?<q>['x])\1\k<q>$", "a'a'") && !matches(r"^(.)\1$", "ab"));
        assert!(matches(r"(?<=x: )\bfoo\b(?! bar)", "x: foo baz"));
    }

    #[test]
    fn a_pattern_that_explodes_elsewhere_takes_no_time_or_ends() {
        let line = format!("{}b", "a".repeat(5_000));
        assert!(!matches(r"^(a+)+$", &line));
        assert!(compile(r"^(?=a)((a|aa)+)+\1$").unwrap().captures(&line).is_err());
        assert!(compile("(a{999}){999}").is_err());
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for pattern in ["(", "[", "a)", "*", r"(?<n", "[z-a]"] {
            assert!(compile(pattern).is_err(), "{pattern}");
        }
    }
}
