//! Reads JSON as widely as GitHub does.
//!
//! GitHub's `fromJSON` takes more than the standard, and workflows lean on it, often by printing a
//! Python dictionary into an output: strings in single quotes, names without quotes, comments,
//! a comma before a closing bracket, `NaN`, `Infinity`, hexadecimal and octal integers, line ends
//! inside of strings. What follows the first value is not looked at.

use crate::expr::{Object, Value};

/// Levels that JSON may nest: GitHub's limit.
const MAX_DEPTH: usize = 100;

/// Reads the first value in `text`; the error says what is wrong and where.
pub(super) fn read(text: &str) -> Result<Value, String> {
    let mut reader = Reader { text, rest: text };
    reader.value(0).map_err(|problem| reader.locate(problem))
}

struct Reader<'a> {
    text: &'a str,
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Result<Value, String> {
        if depth > MAX_DEPTH {
            return Err(format!("it nests deeper than {MAX_DEPTH} levels"));
        }
        self.skip_blanks()?;
        match self.peek() {
            Some('{') => self.object(depth),
            Some('[') => self.list(depth),
            Some(quote @ ('"' | '\'')) => self.string(quote).map(Value::from),
            Some('-' | '.' | '0'..='9') if !self.rest.starts_with("-I") => self.number(),
            Some(_) => self.word(),
            None => Err("a value is missing".to_owned()),
        }
    }

    fn list(&mut self, depth: usize) -> Result<Value, String> {
        self.advance('[');
        let mut items = Vec::new();
        loop {
            self.skip_blanks()?;
            match self.peek() {
                Some(']') => break,
                // Nothing between two commas is an item without a value.
                Some(',') => items.push(Value::from("")),
                _ => items.push(self.value(depth + 1)?),
            }
            if !self.more(']')? {
                break;
            }
        }
        self.advance(']');
        Ok(Value::array(items))
    }

    fn object(&mut self, depth: usize) -> Result<Value, String> {
        self.advance('{');
        let mut object = Object::new();
        loop {
            self.skip_blanks()?;
            if self.peek() == Some('}') {
                break;
            }
            let name = self.name()?;
            self.skip_blanks()?;
            if !self.advance(':') {
                return Err(self.unexpected("':' must follow a name"));
            }
            object.insert(name, self.value(depth + 1)?);
            if !self.more('}')? {
                break;
            }
        }
        self.advance('}');
        Ok(Value::object(object))
    }

    /// Takes the comma after an item; `false` where `closing` stands instead.
    fn more(&mut self, closing: char) -> Result<bool, String> {
        self.skip_blanks()?;
        if self.advance(',') {
            return Ok(true);
        }
        if self.peek() == Some(closing) {
            return Ok(false);
        }
        Err(self.unexpected(&format!("',' or '{closing}' must follow a value")))
    }

    fn name(&mut self) -> Result<String, String> {
        if let Some(quote @ ('"' | '\'')) = self.peek() {
            return self.string(quote);
        }
        let name = self.take_while(|character| character.is_alphanumeric() || matches!(character, '_' | '$'));
        if name.is_empty() { Err(self.unexpected("a name must come")) } else { Ok(name.to_owned()) }
    }

    fn string(&mut self, quote: char) -> Result<String, String> {
        self.advance(quote);
        let mut text = String::new();
        loop {
            text.push_str(self.take_while(|character| character != quote && character != '\\'));
            if self.advance(quote) {
                return Ok(text);
            }
            if !self.advance('\\') {
                return Err("a string is not closed".to_owned());
            }
            text.push(self.escape()?);
        }
    }

    /// The character that an escape stands for; half of a surrogate pair is replaced.
    fn escape(&mut self) -> Result<char, String> {
        let escaped = match self.peek() {
            Some('b') => '\u{8}',
            Some('t') => '\t',
            Some('n') => '\n',
            Some('f') => '\u{c}',
            Some('r') => '\r',
            Some(itself @ ('\\' | '"' | '\'' | '/')) => itself,
            Some('u') => {
                self.advance('u');
                return self.unicode_escape();
            }
            _ => return Err(self.unexpected("'\\' must be followed by an escape")),
        };
        self.rest = &self.rest[1..];
        Ok(escaped)
    }

    fn unicode_escape(&mut self) -> Result<char, String> {
        let first = self.code_unit()?;
        let before_second = self.rest;
        if (0xd800..0xdc00).contains(&first) && self.advance('\\') && self.advance('u') {
            let second = self.code_unit()?;
            if let Some(Ok(character)) = char::decode_utf16([first, second]).next() {
                return Ok(character);
            }
        }
        // Not a pair: what was looked at is read again.
        if (0xd800..0xdc00).contains(&first) {
            self.rest = before_second;
        }
        Ok(char::from_u32(u32::from(first)).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn code_unit(&mut self) -> Result<u16, String> {
        let digits = self.rest.get(..4).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let digits = digits.ok_or_else(|| self.unexpected("'\\u' needs four hexadecimal digits"))?;
        self.rest = &self.rest[4..];
        u16::from_str_radix(digits, 16).map_err(|error| error.to_string())
    }

    fn number(&mut self) -> Result<Value, String> {
        let digits = self.take_while(|character| {
            character.is_ascii_hexdigit() || matches!(character, '.' | '+' | '-' | 'x' | 'X')
        });
        let number = match digits.strip_prefix('0') {
            Some(rest) if rest.starts_with(['x', 'X']) => integer(&rest[1..], 16),
            Some(rest) if rest.starts_with(|digit: char| digit.is_ascii_digit()) && !rest.contains('.') => {
                integer(rest, 8)
            }
            _ if digits.contains(|character: char| {
                character.is_ascii_alphabetic() && !matches!(character, 'e' | 'E')
            }) =>
            {
                None
            }
            _ => digits.parse().ok(),
        };
        match number {
            Some(number) if self.at_separator() => Ok(Value::Number(number)),
            _ => Err(format!("'{digits}' is not a number")),
        }
    }

    fn word(&mut self) -> Result<Value, String> {
        const WORDS: [(&str, Value); 6] = [
            ("true", Value::Bool(true)),
            ("false", Value::Bool(false)),
            ("null", Value::Null),
            ("NaN", Value::Number(f64::NAN)),
            ("Infinity", Value::Number(f64::INFINITY)),
            ("-Infinity", Value::Number(f64::NEG_INFINITY)),
        ];
        for (word, value) in WORDS {
            if let Some(rest) = self.rest.strip_prefix(word) {
                self.rest = rest;
                return if self.at_separator() {
                    Ok(value)
                } else {
                    Err(self.unexpected("a value has ended"))
                };
            }
        }
        Err(self.unexpected("a value must come"))
    }

    /// Whether a number or word can end here.
    fn at_separator(&self) -> bool {
        self.peek().is_none_or(|next| next.is_whitespace() || matches!(next, ',' | ']' | '}' | ')' | '/'))
    }

    /// Skips blanks and comments.
    fn skip_blanks(&mut self) -> Result<(), String> {
        loop {
            self.rest = self.rest.trim_start();
            if let Some(comment) = self.rest.strip_prefix("/*") {
                let end = comment.find("*/").ok_or("a comment is not closed")?;
                self.rest = &comment[end + 2..];
            } else if self.rest.starts_with("//") {
                self.take_while(|character| !matches!(character, '\n' | '\r'));
            } else {
                return Ok(());
            }
        }
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn advance(&mut self, expected: char) -> bool {
        let rest = self.rest.strip_prefix(expected);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn take_while(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|character| !belongs(character)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn unexpected(&self, wanted: &str) -> String {
        match self.peek() {
            Some(found) => format!("{wanted}, not '{}'", found.escape_debug()),
            None => format!("{wanted}, but the text ends"),
        }
    }

    fn locate(&self, problem: String) -> String {
        let before = &self.text[..self.text.len() - self.rest.len()];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        format!("{problem} (line {line}, column {column})")
    }
}

#[expect(clippy::cast_precision_loss, reason = "the language has double precision only")]
fn integer(digits: &str, radix: u32) -> Option<f64> {
    // Signs are no digits here.
    if digits.starts_with(['+', '-']) {
        return None;
    }
    u64::from_str_radix(digits, radix).ok().map(|bits| bits.cast_signed() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> serde_json::Value {
        read(text).unwrap_or_else(|error| panic!("{text}: {error}")).to_json()
    }

    #[test]
    fn standard_json_is_read_like_any_reader_does() {
        for text in [
            "null",
            "[true, false, -1.5e+3, 0, 0.25, 1E2]",
            r#"{"a": {"b": [[], {}]}, "ä": "\u00e9\ud83d\ude0a\b\t\n\f\r\"\\\/"}"#,
            "\n [ 1 ,\t2 ] \r\n",
            "123456789012345678901234567890",
        ] {
            let standard: serde_json::Value = serde_json::from_str(text).expect(text);
            assert_eq!(Value::from_json(&standard).to_json(), json(text), "{text}");
        }
    }

    #[test]
    fn what_github_takes_beyond_the_standard_is_taken() {
        use serde_json::json as wanted;
        for (text, value) in [
            ("['a', 'it\\'s', \"b\"]", wanted!(["a", "it's", "b"])),
            ("{'os': ['linux'], include: [], $x_1: 1}", wanted!({"os": ["linux"], "include": [], "$x_1": 1})),
            ("[1, 2,]", wanted!([1, 2])),
            ("{\"a\": 1,}", wanted!({"a": 1})),
            ("[1,,2]", wanted!([1, "", 2])),
            ("/* a */ [ // b\n 1 /* c */ ]", wanted!([1])),
            ("[NaN, Infinity, -Infinity]", wanted!(["NaN", "Infinity", "-Infinity"])),
            ("[0x1F, 017, .5, -.5, 5.]", wanted!([31, 15, 0.5, -0.5, 5])),
            ("'two\nlines'", wanted!("two\nlines")),
            ("{\"a\": 1} and more", wanted!({"a": 1})),
            ("1 2", wanted!(1)),
            ("\"\\ud83d x\"", wanted!("\u{fffd} x")),
            ("{\"a\":1,\"B\":2,\"A\":3}", wanted!({"a": 3, "B": 2})),
        ] {
            assert_eq!(json(text), value, "{text}");
        }
    }

    #[test]
    fn what_is_not_json_is_refused_with_its_place() {
        for (text, error) in [
            ("", "a value is missing (line 1, column 1)"),
            ("{", "a name must come, but the text ends (line 1, column 2)"),
            ("[1\n 2]", "',' or ']' must follow a value, not '2' (line 2, column 2)"),
            ("{\"a\" 1}", "':' must follow a name, not '1' (line 1, column 6)"),
            ("True", "a value must come, not 'T' (line 1, column 1)"),
            ("nullx", "a value has ended, not 'x' (line 1, column 5)"),
            ("[é]", "a value must come, not 'é' (line 1, column 2)"),
            ("'abc", "a string is not closed (line 1, column 5)"),
            ("\"\\x\"", "'\\' must be followed by an escape, not 'x' (line 1, column 3)"),
            ("\"\\u12é\"", "'\\u' needs four hexadecimal digits, not '1' (line 1, column 4)"),
            ("1abc", "'1abc' is not a number (line 1, column 5)"),
            ("-", "'-' is not a number (line 1, column 2)"),
            ("08", "'08' is not a number (line 1, column 3)"),
            ("+1", "a value must come, not '+' (line 1, column 1)"),
            ("/* a", "a comment is not closed (line 1, column 1)"),
            ("{,}", "a name must come, not ',' (line 1, column 2)"),
        ] {
            assert_eq!(read(text).map(|value| value.to_json()), Err(error.to_owned()), "{text}");
        }
    }

    #[test]
    fn deep_nesting_is_refused() {
        assert!(read(&format!("{}{}", "[".repeat(100), "]".repeat(100))).is_ok());
        let error = read(&"[".repeat(1_000_000)).map(drop).expect_err("it is too deep");
        assert!(error.starts_with("it nests deeper than 100 levels"), "{error}");
    }
}
