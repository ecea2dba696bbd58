//! Path patterns as `@actions/glob` reads them.
//!
//! `*`, `?`, and `[...]` stay within a segment, `**` alone in a segment stands for any number of
//! them, `!` takes away, hidden files are no exception, and a pattern that matches a folder
//! matches everything below it. Neither braces nor extended globs exist.

/// An ordered set of patterns.
#[derive(Clone, Debug, Default)]
pub struct Patterns {
    patterns: Vec<Pattern>,
}

#[derive(Clone, Debug)]
struct Pattern {
    negated: bool,
    segments: Vec<Segment>,
    /// It ends with a separator: folders only.
    folders_only: bool,
    /// Folders that need to be searched for it.
    search_path: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    AnyDepth,
    Tokens(Vec<Token>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Literal(char),
    AnyText,
    AnyCharacter,
    Class { negated: bool, ranges: Vec<(char, char)> },
}

/// Most segments and characters of a pattern: bounds the work of a match.
const PATTERN_CHARS: usize = 4096;

impl Patterns {
    /// Reads one pattern a line; blank lines and those that begin with `#` say nothing. Relative
    /// patterns start at `root`, `~` is `home`.
    pub fn parse<'a>(
        lines: impl IntoIterator<Item = &'a str>,
        root: &str,
        home: &str,
    ) -> Result<Patterns, String> {
        let mut patterns = Vec::new();
        let lines = lines.into_iter().flat_map(str::lines).map(str::trim);
        for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
            patterns.push(Pattern::parse(line, root, home)?);
        }
        Ok(Patterns { patterns })
    }

    /// Whether the file at this absolute path is meant.
    pub fn matches(&self, path: &str) -> bool {
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        self.patterns.iter().fold(false, |matched, pattern| match pattern.negated {
            false => matched || pattern.matches(&segments),
            true => matched && !pattern.matches(&segments),
        })
    }

    /// Folders (or files) to search, in order; none lies below another.
    pub fn search_paths(&self) -> Vec<&str> {
        let wanted =
            || self.patterns.iter().filter(|pattern| !pattern.negated).map(|p| p.search_path.as_str());
        let mut paths: Vec<&str> = Vec::new();
        for path in wanted() {
            let covered = wanted().any(|other| other != path && is_below(path, other));
            if !covered && !paths.contains(&path) {
                paths.push(path);
            }
        }
        paths
    }
}

/// Whether `path` lies below `folder`.
pub fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder.trim_end_matches('/')).is_some_and(|rest| rest.starts_with('/'))
}

impl Pattern {
    fn parse(line: &str, root: &str, home: &str) -> Result<Pattern, String> {
        let text = line.trim_start_matches('!');
        let negated = (line.len() - text.len()) % 2 == 1;
        let text = text.trim();
        if text.is_empty() {
            return Err(format!("Invalid pattern '{line}'. It says nothing behind its '!'."));
        }
        if text.chars().count() > PATTERN_CHARS {
            return Err(format!("A pattern of hashFiles is longer than {PATTERN_CHARS} characters."));
        }
        let relative = text.split('/').enumerate().any(|(n, part)| part == ".." || (part == "." && n > 0));
        if relative {
            return Err(format!("Invalid pattern '{text}'. Relative pathing '.' and '..' is not allowed."));
        }
        let (base, rest) = match text {
            "." => (root, ""),
            "~" => (home, ""),
            _ if text.starts_with("./") => (root, &text[2..]),
            _ if text.starts_with("~/") => (home, &text[2..]),
            _ if text.starts_with('/') => ("", text),
            _ => (root, text),
        };
        let literal = base.split('/').filter(|part| !part.is_empty());
        let mut segments: Vec<Segment> =
            literal.map(|part| Segment::Tokens(part.chars().map(Token::Literal).collect())).collect();
        segments.extend(rest.split('/').filter(|part| !part.is_empty()).map(Segment::parse));
        let search_path = search_path(&segments);
        Ok(Pattern { negated, segments, folders_only: text.ends_with('/'), search_path })
    }

    /// A file is meant by the pattern itself, or because a folder above it is.
    fn matches(&self, path: &[&str]) -> bool {
        let itself = !self.folders_only && matches_from(&self.segments, path);
        itself || (1..path.len()).any(|end| matches_from(&self.segments, &path[..end]))
    }
}

impl Segment {
    fn parse(text: &str) -> Segment {
        if text == "**" {
            return Segment::AnyDepth;
        }
        let characters: Vec<char> = text.chars().collect();
        let mut tokens = Vec::new();
        let mut at = 0;
        while at < characters.len() {
            let (token, next) = match characters[at] {
                '\\' if at + 1 < characters.len() => (Token::Literal(characters[at + 1]), at + 2),
                '*' => (Token::AnyText, at + 1),
                '?' => (Token::AnyCharacter, at + 1),
                '[' => class(&characters, at).unwrap_or((Token::Literal('['), at + 1)),
                other => (Token::Literal(other), at + 1),
            };
            if token != Token::AnyText || tokens.last() != Some(&Token::AnyText) {
                tokens.push(token);
            }
            at = next;
        }
        Segment::Tokens(tokens)
    }

    fn literal(&self) -> Option<String> {
        let Segment::Tokens(tokens) = self else { return None };
        tokens.iter().map(|token| if let Token::Literal(c) = token { Some(*c) } else { None }).collect()
    }

    fn matches(&self, text: &str) -> bool {
        let Segment::Tokens(tokens) = self else { return true };
        let characters: Vec<char> = text.chars().collect();
        let (mut token, mut at, mut star) = (0, 0, None);
        while at < characters.len() {
            match tokens.get(token) {
                Some(Token::AnyText) => {
                    star = Some((token, at));
                    token += 1;
                }
                Some(one) if one.matches(characters[at]) => (token, at) = (token + 1, at + 1),
                _ => match &mut star {
                    Some((star_token, from)) => {
                        *from += 1;
                        (token, at) = (*star_token + 1, *from);
                    }
                    None => return false,
                },
            }
        }
        tokens[token..].iter().all(|rest| *rest == Token::AnyText)
    }
}

impl Token {
    fn matches(&self, character: char) -> bool {
        match self {
            Token::Literal(literal) => *literal == character,
            Token::AnyText | Token::AnyCharacter => true,
            Token::Class { negated, ranges } => {
                ranges.iter().any(|(first, last)| (*first..=*last).contains(&character)) != *negated
            }
        }
    }
}

/// `[a-z]`, `[!x]`, `[^x]`; `None` where the bracket never closes.
fn class(characters: &[char], open: usize) -> Option<(Token, usize)> {
    let mut at = open + 1;
    let negated = matches!(characters.get(at), Some('!' | '^'));
    at += usize::from(negated);
    let mut ranges = Vec::new();
    let first = at;
    loop {
        let mut start = *characters.get(at)?;
        if start == ']' && at > first {
            return Some((Token::Class { negated, ranges }, at + 1));
        }
        if start == '\\' {
            at += 1;
            start = *characters.get(at)?;
        }
        match (characters.get(at + 1), characters.get(at + 2)) {
            (Some('-'), Some(end)) if *end != ']' => {
                ranges.push((start, *end));
                at += 3;
            }
            _ => {
                ranges.push((start, start));
                at += 1;
            }
        }
    }
}

/// Whether all of `path` is matched. Each `**` remembers where it began, so the work is bounded
/// by the product of both lengths.
fn matches_from(pattern: &[Segment], path: &[&str]) -> bool {
    let (mut segment, mut at, mut deep) = (0, 0, None);
    while at < path.len() {
        match pattern.get(segment) {
            Some(Segment::AnyDepth) => {
                deep = Some((segment, at));
                segment += 1;
            }
            Some(one) if one.matches(path[at]) => (segment, at) = (segment + 1, at + 1),
            _ => match &mut deep {
                Some((deep_segment, from)) => {
                    *from += 1;
                    (segment, at) = (*deep_segment + 1, *from);
                }
                None => return false,
            },
        }
    }
    pattern[segment..].iter().all(|rest| *rest == Segment::AnyDepth)
}

/// The literal segments before the first that is none.
fn search_path(segments: &[Segment]) -> String {
    let literal: Vec<String> = segments.iter().map_while(Segment::literal).collect();
    format!("/{}", literal.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matched(patterns: &[&str], path: &str) -> bool {
        let patterns = Patterns::parse(patterns.iter().copied(), "/w", "/home/me").unwrap();
        patterns.matches(&format!("/w/{path}"))
    }

    #[test]
    fn a_star_stays_within_a_segment_and_sees_hidden_files() {
        assert!(matched(&["*.lock"], "Cargo.lock"));
        assert!(matched(&["*"], ".env"));
        assert!(!matched(&["*.lock"], "a/Cargo.lock"));
        assert!(matched(&["a*b*c"], "aXbbYc"));
        assert!(!matched(&["a*b*c"], "aXbbYd"));
    }

    #[test]
    fn two_stars_cross_segments() {
        for path in ["Cargo.lock", "a/Cargo.lock", "a/.b/Cargo.lock"] {
            assert!(matched(&["**/Cargo.lock"], path), "{path}");
        }
        assert!(!matched(&["**/Cargo.lock"], "a/Cargo.locks"));
        assert!(matched(&["src/**/x/**/*.rs"], "src/a/x/b/c.rs"));
        assert!(matched(&["src/**/x/**/*.rs"], "src/x/c.rs"));
        assert!(!matched(&["src/a**/c.rs"], "src/ab/d/c.rs"));
    }

    #[test]
    fn a_folder_means_all_below_it() {
        assert!(matched(&["src"], "src/a/b.rs"));
        assert!(matched(&["src/"], "src/a/b.rs"));
        assert!(!matched(&["src/"], "src"));
        assert!(matched(&["."], "anything"));
        assert!(matched(&["s*"], "src/a/b.rs"));
    }

    #[test]
    fn order_decides_between_patterns() {
        assert!(!matched(&["**/*.json", "!**/node_modules/**"], "node_modules/a/b.json"));
        assert!(matched(&["**/*.json", "!**/node_modules/**", "node_modules/a"], "node_modules/a/b.json"));
        assert!(!matched(&["!**/*.json"], "b.json"));
        assert!(!matched(&["**", "!target"], "target/a/b"));
        assert!(matched(&["!!b.json"], "b.json"));
    }

    #[test]
    fn classes_and_escapes_work() {
        assert!(matched(&["[a-c]x[!0-9]"], "bxq"));
        assert!(!matched(&["[a-c]x[!0-9]"], "bx7"));
        assert!(matched(&["[x"], "[x"));
        assert!(matched(&["\\*"], "*"));
        assert!(!matched(&["\\*"], "a"));
        assert!(matched(&["[]]"], "]"));
        assert!(matched(&["größe?.txt"], "größeß.txt"));
    }

    #[test]
    fn comments_and_blank_lines_say_nothing() {
        assert!(matched(&["# x\n\n  a.txt \n"], "a.txt"));
    }

    #[test]
    fn climbing_out_is_refused() {
        for pattern in ["../x", "a/../b", "a/./b", "!"] {
            assert!(Patterns::parse([pattern], "/w", "/h").is_err(), "{pattern}");
        }
    }

    #[test]
    fn only_needed_folders_are_searched() {
        let patterns = Patterns::parse(["b/c/*.x", "a/**", "a/b/**", "/abs/f", "!z/**"], "/w", "/h").unwrap();
        assert_eq!(patterns.search_paths(), ["/w/b/c", "/w/a", "/abs/f"]);
    }

    #[test]
    fn many_stars_do_not_take_for_ever() {
        let pattern = "*a".repeat(200);
        assert!(!matched(&[&pattern], &"a".repeat(199)));
        let deep = "**/a/".repeat(100);
        assert!(!matched(&[&format!("{deep}b")], &"a/".repeat(300)));
    }
}
