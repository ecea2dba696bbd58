//! Patterns for branches, tags, and paths.

use std::iter::Peekable;
use std::str::Chars;

use regex::Regex;

/// Characters of a pattern: git itself refuses longer names, and the bound keeps compiling short.
const MAX_LENGTH: usize = 4096;

/// A pattern of a filter, ready to match.
///
/// `*` is any text without `/`, `**` any text, `?` makes the character before it optional, `+`
/// repeats it, `[a-z0-9]` is one of a set, `\` takes the next character as it is, and `!` at the
/// start takes back what patterns before it matched. A pattern matches whole names.
#[derive(Clone, Debug)]
pub struct Pattern {
    negates: bool,
    regex: Regex,
}

/// What is wrong with a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Invalid filter pattern '{pattern}': {problem}")]
pub struct PatternError {
    pattern: String,
    problem: String,
}

impl Pattern {
    /// Compiles `pattern`.
    pub fn new(pattern: &str) -> Result<Pattern, PatternError> {
        let error = |problem: &str| PatternError { pattern: pattern.to_owned(), problem: problem.to_owned() };
        if pattern.chars().count() > MAX_LENGTH {
            return Err(error(&format!("it is longer than {MAX_LENGTH} characters")));
        }
        let (negates, body) = match pattern.strip_prefix('!') {
            Some(body) => (true, body),
            None => (false, pattern),
        };
        let source = translate(body).map_err(error)?;
        let regex = Regex::new(&source).map_err(|_| error("it is too large"))?;
        Ok(Pattern { negates, regex })
    }

    /// Whether it begins with `!`.
    pub fn negates(&self) -> bool {
        self.negates
    }

    /// Whether it matches the whole of `name`, its `!` left aside.
    pub fn matches(&self, name: &str) -> bool {
        self.regex.is_match(name)
    }
}

/// Writes a pattern as a regular expression. Each part is closed in itself, so that `?` and `+`
/// can follow it.
fn translate(pattern: &str) -> Result<String, &'static str> {
    if pattern.is_empty() {
        return Err("it is empty");
    }
    let mut regex = String::from(r"(?s)\A");
    let mut characters = pattern.chars().peekable();
    // Nothing stands before a name's first character that could be repeated.
    let mut repeatable = false;
    let mut at_start_of_segment = true;
    while let Some(character) = characters.next() {
        let starts_segment = std::mem::replace(&mut at_start_of_segment, character == '/');
        let repeats = matches!(character, '?' | '+');
        if repeats && !repeatable {
            return Err("'?' and '+' need a character before them");
        }
        repeatable = true;
        match character {
            '?' | '+' => {
                regex.push(character);
                // `a+?` would be a lazy repetition; GitHub has none.
                while characters.next_if(|next| matches!(next, '?' | '+')).is_some() {}
            }
            '*' if characters.next_if_eq(&'*').is_some() => {
                while characters.next_if_eq(&'*').is_some() {}
                if starts_segment && characters.next_if_eq(&'/').is_some() {
                    // `**/` is any number of folders, none too.
                    regex.push_str("(?:.*/)?");
                    at_start_of_segment = true;
                } else {
                    regex.push_str("(?:.*)");
                }
            }
            '*' => regex.push_str("(?:[^/]*)"),
            '[' => regex.push_str(&translate_set(&mut characters)?),
            '\\' => {
                let escaped = characters.next().ok_or("a character must follow '\\'")?;
                push_literal(&mut regex, escaped);
            }
            _ => push_literal(&mut regex, character),
        }
    }
    regex.push_str(r"\z");
    Ok(regex)
}

fn push_literal(regex: &mut String, character: char) {
    regex.push_str(&regex::escape(character.encode_utf8(&mut [0; 4])));
}

/// What follows `[` up to its `]`.
fn translate_set(characters: &mut Peekable<Chars<'_>>) -> Result<String, &'static str> {
    let mut set = String::from("[");
    loop {
        let first = characters.next().ok_or("'[' needs a ']'")?;
        if first == ']' {
            break;
        }
        let first = if first == '\\' { characters.next().ok_or("'[' needs a ']'")? } else { first };
        let is_range = characters.peek() == Some(&'-') && {
            let mut ahead = characters.clone();
            ahead.next();
            ahead.peek().is_some_and(|after| *after != ']')
        };
        push_member(&mut set, first);
        if is_range {
            characters.next();
            let last = characters.next().ok_or("'[' needs a ']'")?;
            let within =
                |range: std::ops::RangeInclusive<char>| range.contains(&first) && range.contains(&last);
            if !(within('a'..='z') || within('A'..='Z') || within('0'..='9')) {
                return Err("a range can only lie in a-z, A-Z, or 0-9");
            }
            if last < first {
                return Err("a range must go upwards");
            }
            set.push('-');
            push_member(&mut set, last);
        }
    }
    if set.len() == 1 {
        return Err("a set must hold a character");
    }
    set.push(']');
    Ok(set)
}

/// A member of a set: every character that could mean something there is escaped.
fn push_member(set: &mut String, character: char) {
    if character.is_ascii_punctuation() {
        set.push('\\');
    }
    set.push(character);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Pattern::new(pattern).unwrap_or_else(|error| panic!("{error}")).matches(name)
    }

    #[test]
    fn patterns_match_what_the_documentation_shows() {
        for (pattern, names) in [
            ("feature/*", &["feature/my-branch", "feature/your-branch"][..]),
            ("feature/**", &["feature/beta-a/my-branch", "feature/your-branch", "feature/mona/the/octocat"]),
            ("main", &["main"]),
            ("releases/mona-the-octocat", &["releases/mona-the-octocat"]),
            ("*", &["main", "releases", "README.md", "server.rb"]),
            ("**", &["all/the/branches", "every/tag", "all/the/files.md"]),
            ("*feature", &["mona-feature", "feature", "ver-10-feature"]),
            ("v2*", &["v2", "v2.0", "v2.9"]),
            ("v[12].[0-9]+.[0-9]+", &["v1.10.1", "v2.0.0"]),
            ("*.jsx?", &["page.js", "page.jsx"]),
            ("*.js", &["app.js", "index.js"]),
            ("**.js", &["index.js", "js/index.js", "src/js/app.js"]),
            ("docs/*", &["docs/README.md", "docs/file.txt"]),
            ("docs/**", &["docs/README.md", "docs/mona/octocat.txt"]),
            ("docs/**/*.md", &["docs/README.md", "docs/mona/hello-world.md", "docs/a/markdown/file.md"]),
            ("**/docs/**", &["docs/hello.md", "dir/docs/my-file.txt", "space/docs/plan/space.doc"]),
            ("**/README.md", &["README.md", "js/README.md"]),
            ("**/*src/**", &["a/src/app.js", "my-src/code/js/app.js"]),
            ("**/*-post.md", &["my-post.md", "path/their-post.md"]),
            ("**/migrate-*.sql", &["migrate-10909.sql", "db/migrate-v1.0.sql", "db/sept/migrate-v1.sql"]),
            ("Octo*", &["Octocat"]),
            ("[CB]at", &["Cat", "Bat"]),
            ("[1-2]00", &["100", "200"]),
        ] {
            for name in names {
                assert!(matches(pattern, name), "{pattern} {name}");
            }
        }
    }

    #[test]
    fn patterns_do_not_match_more_than_they_say() {
        for (pattern, name) in [
            ("feature/*", "feature/a/b"),
            ("feature/**", "feature"),
            ("main", "main2"),
            ("main", "Main"),
            ("ma.n", "main"),
            ("*", "a/b"),
            ("*.js", "src/app.js"),
            ("*.jsx?", "page.jsxx"),
            ("v[12].[0-9]+.[0-9]+", "v3.0.0"),
            ("v[12].[0-9]+.[0-9]+", "v1.0"),
            ("docs/*", "docs/a/b.md"),
            ("**/README.md", "xREADME.md"),
            ("**/docs/**", "mydocs/a"),
            ("a+", ""),
            ("[a-c]", "-"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn special_characters_can_be_meant_as_they_are() {
        for (pattern, name) in [
            (r"a\+b", "a+b"),
            (r"a\*", "a*"),
            (r"\!x", "!x"),
            (r"\\", r"\"),
            ("a!b", "a!b"),
            ("a(b|c)$^{2}", "a(b|c)$^{2}"),
            ("[-+.]", "+"),
            ("[a-]", "-"),
            ("[^a]", "^"),
            ("[&~]", "&"),
            ("é+", "éé"),
            ("a++", "aaa"),
            ("zeile\n*", "zeile\nzwei"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        assert!(!matches("[^a]", "b"));
    }

    #[test]
    fn patterns_that_mean_nothing_are_refused() {
        for pattern in [
            "",
            "!",
            "+a",
            "?",
            "!?a",
            "[",
            "a[b",
            "[]",
            "[z-a]",
            "[a-Z]",
            "[!-/]",
            r"a\",
            r"[\",
            &"a".repeat(5000),
        ] {
            let error = Pattern::new(pattern).map(drop).expect_err(pattern);
            assert!(error.to_string().starts_with("Invalid filter pattern '"), "{error}");
        }
    }
}
