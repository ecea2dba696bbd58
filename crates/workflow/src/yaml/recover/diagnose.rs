//! From where the parser gave up to what is wrong, and where that began.

use saphyr_parser::ScalarStyle;

use super::brackets::{self, Close};
use super::fault::{Fault, Kind};
use super::lines::Lines;
use super::stumble::Stumble;

/// What is wrong where the parser stumbled.
pub(super) fn fault(stumble: &Stumble, lines: &Lines<'_>) -> Fault {
    let at = stumble.at;
    let token = first_token(lines.text, stumble.previous.end, at);
    Look { stumble, lines, at, token }.fault()
}

/// The outermost bracket around the place where the parser stumbled.
pub(super) fn bracket(stumble: &Stumble, lines: &Lines<'_>) -> Option<usize> {
    let at = stumble.at;
    let token = first_token(lines.text, stumble.previous.end, at);
    Look { stumble, lines, at, token }.bracket()
}

/// What lies before the eyes.
struct Look<'a> {
    stumble: &'a Stumble,
    lines: &'a Lines<'a>,
    /// Where the parser stopped.
    at: usize,
    /// Where what it was reading began.
    token: usize,
}

impl Look<'_> {
    fn fault(&self) -> Fault {
        let says = |text: &str| self.stumble.info.contains(text);
        if says("unknown anchor") {
            let name = self.text(self.at + 1).split(is_end_of_name).next().unwrap_or_default();
            let end = self.at + 1 + name.len();
            return self.value(Kind::Alias { name: name.to_owned() }, self.at, end);
        }
        if says("recursion limit") {
            return self.value(Kind::Depth, self.at, self.at + 1);
        }
        // "unprintable" holds a tab.
        if says("tab") && !says("tag") && !says("unprintable") {
            return self.tab();
        }
        if let Some(fault) = self.expression().or_else(|| self.quote()) {
            return fault;
        }
        if says("unexpected character") || self.character(self.token) == '%' {
            return self.reserved();
        }
        if says("anchor or alias") {
            let kind = Kind::Nameless { character: self.character(self.at) };
            return self.value(kind, self.at, self.at + 1);
        }
        if says("block scalar") {
            let is_header = says("did not find") || says("indicator");
            let kind = if is_header { Kind::BlockHeader } else { Kind::BlockText };
            let fault = self.value(kind, self.at, self.at + 1);
            return Fault { cause: self.token, ..fault };
        }
        if says("unprintable") || says("byte order mark") {
            return self.value(Kind::Unprintable, self.at, self.at + 1);
        }
        if says("tag") || says("TAG") || says("handle") {
            return self.value(Kind::Tag, self.at, self.at + 1);
        }
        self.brackets().unwrap_or_else(|| self.structure())
    }

    fn text(&self, from: usize) -> &str {
        self.lines.text.get(from..).unwrap_or_default()
    }

    fn character(&self, at: usize) -> char {
        self.text(at).chars().next().unwrap_or_default()
    }

    /// A fault in a value; inside of brackets, all that they hold can't be read.
    fn value(&self, kind: Kind, start: usize, end: usize) -> Fault {
        Fault { kind, shown: start..end, cause: self.bracket().unwrap_or(start).min(start) }
    }

    /// The outermost bracket around what was being read.
    fn bracket(&self) -> Option<usize> {
        let is_bracket = |at: &usize| matches!(self.character(*at), '[' | '{');
        self.stumble.bracket.filter(is_bracket).or(Some(self.token).filter(is_bracket))
    }

    fn tab(&self) -> Fault {
        let line = self.lines.at(self.at);
        self.tab_from(if self.lines.has_leading_tab(line) { self.lines.start(line) } else { self.at })
    }

    fn tab_from(&self, begin: usize) -> Fault {
        let tab = self.text(begin).find('\t').map_or(self.at, |further| begin + further);
        Fault { kind: Kind::Tab, shown: tab..tab + 1, cause: tab }
    }

    /// An expression inside of brackets that no quotes stand around.
    fn expression(&self) -> Option<Fault> {
        let open = self.bracket()?;
        let before = self.lines.text.get(open..self.at)?;
        let begin = before.rfind("${{")?;
        let is_quoted = before[..begin].ends_with(['"', '\'']);
        if is_quoted || before[begin..].contains("}}") {
            return None;
        }
        let kind = Kind::InBrackets { bracket: self.character(open), has_expression: true };
        Some(self.value(kind, open + begin, open + begin + 3))
    }

    /// A fault of a text in quotes.
    fn quote(&self) -> Option<Fault> {
        let says = |text: &str| self.stumble.info.contains(text);
        let is_quote = |at: usize| matches!(self.character(at), '"' | '\'');
        if says("trailing content after") {
            // An anchor may stand before the quote.
            let open = self.token + self.lines.text.get(self.token..self.at)?.find(['"', '\''])?;
            let quote = self.character(open);
            let is_one_line = self.lines.at(open) == self.lines.at(self.at);
            return Some(if is_one_line {
                let fault = self.value(Kind::TextAfterQuote { quote }, self.at, self.at + 1);
                Fault { cause: fault.cause.min(open), ..fault }
            } else {
                self.value(Kind::UnclosedQuote { quote }, open, open + 1)
            });
        }
        if !says("quoted scalar") || !is_quote(self.at) {
            return None;
        }
        if says("escape") || says("hexadecimal") {
            let fault = self.value(Kind::Other, self.at, self.at + 1);
            let (place, escape) = wrong_escape(self.text(self.at))?;
            let shown = self.at + place..self.at + place + escape.len();
            return Some(Fault { kind: Kind::Escape { escape }, shown, ..fault });
        }
        let quote = self.character(self.at);
        Some(self.value(Kind::UnclosedQuote { quote }, self.at, self.at + 1))
    }

    fn reserved(&self) -> Fault {
        let place = if self.character(self.token) == '%' { self.token } else { self.at };
        let character = self.character(place);
        let is_directive = character == '%' && place == self.lines.start(self.lines.at(place));
        let kind = if is_directive { Kind::Directive } else { Kind::Reserved { character } };
        self.value(kind, place, place + 1)
    }

    /// A fault between brackets.
    fn brackets(&self) -> Option<Fault> {
        let stray = self.character(self.at);
        let Some(open) = self.bracket() else {
            let is_stray = matches!(stray, ']' | '}') && self.stumble.info.contains("bracket");
            return is_stray.then(|| self.value(Kind::StrayBracket { bracket: stray }, self.at, self.at + 1));
        };
        let end = self.end_of_entry(open);
        match brackets::close(&self.lines.text[..end], open) {
            Close::Never(bracket) => {
                let kind = Kind::UnclosedBracket { bracket: self.character(bracket) };
                Some(self.value(kind, bracket, bracket + 1))
            }
            Close::At(_) | Close::Hidden => {
                let has_expression = self.lines.text[open..end].contains("${{");
                let kind = Kind::InBrackets { bracket: self.character(open), has_expression };
                let shown = self.at.min(end.saturating_sub(1)).max(open);
                Some(self.value(kind, shown, shown + 1))
            }
        }
    }

    /// Where the lines end that belong to the value in brackets that begins at `open`.
    fn end_of_entry(&self, open: usize) -> usize {
        let line = self.lines.at(open);
        let column =
            self.lines.entry(line).map_or_else(|| self.lines.indent(line).unwrap_or(0), |entry| entry.column);
        self.lines.end(super::repair::last_line(self.lines, line, column, true))
    }

    /// A fault of lines.
    fn structure(&self) -> Fault {
        let says = |text: &str| self.stumble.info.contains(text);
        if says("mapping values") {
            return self.second_colon();
        }
        if says("simple key") && self.token < self.at {
            return self.missing_colon(self.token);
        }
        if says("block sequence entries") && !self.lines.is_first(self.at) {
            return self.value(Kind::ListBesideKey, self.at, self.at + 1);
        }
        if self.lines.is_first(self.at) {
            // The parser minds no tab before the first key of a file.
            let above = self.lines.above(self.lines.at(self.at));
            if let Some(above) = above.filter(|above| self.lines.has_leading_tab(*above)) {
                return self.tab_from(self.lines.start(above));
            }
            return self.line(Kind::Indentation, self.at);
        }
        let after_value = self.lines.at(self.stumble.previous.end) == self.lines.at(self.at);
        let kind = if after_value { Kind::TextAfterValue } else { Kind::Other };
        self.value(kind, self.at, self.at + 1)
    }

    /// A colon in or behind a value that is not quoted.
    fn second_colon(&self) -> Fault {
        let previous = &self.stumble.previous;
        let line = self.lines.at(self.at);
        let begin = self.lines.at(previous.start);
        let is_text = previous.style == Some(ScalarStyle::Plain) && begin < line;
        if !is_text {
            return self.value(Kind::SecondColon, self.at, self.at + 1);
        }
        let before = &self.lines.text[self.lines.start(begin)..previous.start];
        if before.trim().is_empty() {
            return self.missing_colon(previous.start);
        }
        let from = u32::try_from(begin).unwrap_or(u32::MAX).saturating_add(1);
        self.line(Kind::ContinuesText { line: from }, self.at)
    }

    fn missing_colon(&self, word: usize) -> Fault {
        let line = self.lines.at(word);
        let text = self.lines.text[word..self.lines.end(line).max(word)].trim_end();
        let style = self.stumble.previous.style;
        let follows_block = matches!(style, Some(ScalarStyle::Literal | ScalarStyle::Folded));
        let kind = Kind::MissingColon { word: shortened(text), follows_block };
        Fault { kind, shown: word..word + text.len().max(1), cause: word }
    }

    /// A fault of the whole line of a byte.
    fn line(&self, kind: Kind, byte: usize) -> Fault {
        let line = self.lines.at(byte);
        let start = self.lines.start(line) + self.lines.indent(line).unwrap_or(0);
        Fault { kind, shown: start..start + 1, cause: start }
    }
}

/// Characters of a line that a message repeats.
const MAX_WORD: usize = 40;

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_WORD) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

fn is_end_of_name(character: char) -> bool {
    character.is_whitespace() || ",[]{}".contains(character)
}

/// The first byte from `from` on that is neither blank, comment, nor the sign of a list or key; `end`
/// where there is none before.
fn first_token(text: &str, from: usize, end: usize) -> usize {
    let mut place = from.min(end);
    while place < end {
        let rest = &text[place..end];
        let next = rest.as_bytes().get(1).copied();
        match rest.as_bytes().first() {
            Some(b' ' | b'\t' | b'\n' | b'\r' | b',') => place += 1,
            Some(b'#') => place += rest.find(['\n', '\r']).unwrap_or(rest.len()),
            Some(b':' | b'-' | b'?') if next.is_none_or(|next| next.is_ascii_whitespace()) => place += 1,
            _ => return place,
        }
    }
    end
}

/// The first escape of a text in double quotes that does not exist, and its place.
fn wrong_escape(text: &str) -> Option<(usize, String)> {
    let mut rest = text.char_indices().skip(1);
    while let Some((place, character)) = rest.next() {
        if character == '"' {
            return None;
        }
        if character != '\\' {
            continue;
        }
        let (_, escaped) = rest.next()?;
        let digits = match escaped {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ if "0abt\tnvfre \"/\\N_LP\n\r".contains(escaped) => 0,
            _ => return Some((place, format!("\\{escaped}"))),
        };
        let code: String = text[place + 2..].chars().take(digits).collect();
        let is_code = || u32::from_str_radix(&code, 16).ok().and_then(char::from_u32).is_some();
        if digits > 0 && (code.chars().count() < digits || !is_code()) {
            let shown: String = code.chars().take_while(char::is_ascii_hexdigit).collect();
            return Some((place, format!("\\{escaped}{shown}")));
        }
    }
    None
}
