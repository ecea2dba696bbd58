//! Text to tokens. Whether a token may follow the one before it is decided here, as GitHub does
//! it, so the parser only ever sees sequences that make sense.

use super::ParseError;
use super::number::parse_number;

/// A piece of an expression.
#[derive(Clone, Debug)]
pub(super) struct Token<'a> {
    /// What it is.
    pub(super) kind: TokenKind,
    /// Its text.
    pub(super) raw: &'a str,
    /// Byte offset of its text.
    pub(super) offset: usize,
}

/// Kinds of [`Token`].
#[derive(Clone, Debug, PartialEq)]
pub(super) enum TokenKind {
    /// `(` around an expression.
    StartGroup,
    /// `)` closing a group.
    EndGroup,
    /// `[`
    StartIndex,
    /// `]`
    EndIndex,
    /// `(` after a function's name.
    StartParameters,
    /// `)` closing a call.
    EndParameters,
    /// `,`
    Separator,
    /// `.`
    Dereference,
    /// `*`
    Wildcard,
    /// An operator.
    Operator(Operator),
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A number, `NaN`, `Infinity`.
    Number(f64),
    /// A string without its quotes.
    String(String),
    /// A name after `.`.
    PropertyName,
    /// A name before `(`.
    Function,
    /// A name elsewhere.
    NamedValue,
}

/// Operators, tightest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Not,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Equal,
    NotEqual,
    And,
    Or,
}

/// Gives one token after the other.
pub(super) struct Lexer<'a> {
    source: &'a str,
    offset: usize,
    last: Option<TokenKind>,
    unclosed: Vec<TokenKind>,
}

/// What the token before permits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Position {
    /// An operand must come: at the start, after `(`, `[`, `,`, an operator.
    Operand,
    /// A literal has ended: operators and closings may follow.
    AfterLiteral,
    /// Something that may be indexed has ended.
    AfterIndexable,
    /// After `.`.
    AfterDereference,
    /// After a function's name.
    AfterFunction,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(source: &'a str) -> Lexer<'a> {
        Lexer { source, offset: 0, last: None, unclosed: Vec::new() }
    }

    /// The next token, `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Token<'a>>, ParseError> {
        let rest = &self.source[self.offset..];
        let start = self.source.len() - rest.trim_start().len();
        let Some(first) = self.source[start..].chars().next() else { return Ok(None) };
        let (kind, length) = self.read(first, start);
        let token_text = &self.source[start..start + length];
        let unexpected = || ParseError::at("Unexpected symbol", token_text, start, self.source);
        let kind = kind.filter(|kind| self.may_follow(kind)).ok_or_else(unexpected)?;
        if !self.track(&kind) {
            return Err(unexpected());
        }
        self.offset = start + length;
        self.last = Some(kind.clone());
        Ok(Some(Token { kind, raw: token_text, offset: start }))
    }

    /// Whether every group, index, and call has been closed.
    pub(super) fn is_balanced(&self) -> bool {
        self.unclosed.is_empty()
    }

    /// What begins at `start`, and its length in bytes; `None` for what is no token.
    fn read(&self, first: char, start: usize) -> (Option<TokenKind>, usize) {
        let kind = match first {
            '(' if self.last == Some(TokenKind::Function) => TokenKind::StartParameters,
            '(' => TokenKind::StartGroup,
            ')' if self.unclosed.last() == Some(&TokenKind::StartParameters) => TokenKind::EndParameters,
            ')' => TokenKind::EndGroup,
            '[' => TokenKind::StartIndex,
            ']' => TokenKind::EndIndex,
            ',' => TokenKind::Separator,
            '*' => TokenKind::Wildcard,
            '\'' => return read_string(&self.source[start..]),
            '!' | '>' | '<' | '=' | '&' | '|' => return read_operator(&self.source[start..]),
            '.' if self.position() != Position::Operand => TokenKind::Dereference,
            '.' | '-' | '+' | '0'..='9' => return read_number(&self.source[start..]),
            _ => return self.read_keyword(&self.source[start..]),
        };
        (Some(kind), first.len_utf8())
    }

    fn read_keyword(&self, rest: &str) -> (Option<TokenKind>, usize) {
        let length = word_length(rest, |_| false);
        let word = &rest[..length];
        if !is_keyword(word) {
            return (None, length);
        }
        let kind = match word {
            _ if self.last == Some(TokenKind::Dereference) => TokenKind::PropertyName,
            "null" => TokenKind::Null,
            "true" => TokenKind::Bool(true),
            "false" => TokenKind::Bool(false),
            "NaN" => TokenKind::Number(f64::NAN),
            "Infinity" => TokenKind::Number(f64::INFINITY),
            _ if rest[length..].trim_start().starts_with('(') => TokenKind::Function,
            _ => TokenKind::NamedValue,
        };
        (Some(kind), length)
    }

    fn position(&self) -> Position {
        match &self.last {
            None
            | Some(
                TokenKind::Separator
                | TokenKind::StartGroup
                | TokenKind::StartIndex
                | TokenKind::StartParameters
                | TokenKind::Operator(_),
            ) => Position::Operand,
            Some(TokenKind::Null | TokenKind::Bool(_) | TokenKind::Number(_) | TokenKind::String(_)) => {
                Position::AfterLiteral
            }
            Some(
                TokenKind::EndGroup
                | TokenKind::EndIndex
                | TokenKind::EndParameters
                | TokenKind::Wildcard
                | TokenKind::PropertyName
                | TokenKind::NamedValue,
            ) => Position::AfterIndexable,
            Some(TokenKind::Dereference) => Position::AfterDereference,
            Some(TokenKind::Function) => Position::AfterFunction,
        }
    }

    fn may_follow(&self, kind: &TokenKind) -> bool {
        let position = self.position();
        match kind {
            TokenKind::StartGroup
            | TokenKind::Operator(Operator::Not)
            | TokenKind::Null
            | TokenKind::Bool(_)
            | TokenKind::Number(_)
            | TokenKind::String(_)
            | TokenKind::Function
            | TokenKind::NamedValue => position == Position::Operand,
            TokenKind::StartIndex | TokenKind::Dereference => position == Position::AfterIndexable,
            TokenKind::StartParameters => position == Position::AfterFunction,
            TokenKind::EndParameters if self.last == Some(TokenKind::StartParameters) => true,
            TokenKind::EndGroup
            | TokenKind::EndIndex
            | TokenKind::EndParameters
            | TokenKind::Separator
            | TokenKind::Operator(_) => {
                matches!(position, Position::AfterLiteral | Position::AfterIndexable)
            }
            TokenKind::Wildcard => {
                position == Position::AfterDereference || self.last == Some(TokenKind::StartIndex)
            }
            TokenKind::PropertyName => position == Position::AfterDereference,
        }
    }

    /// Keeps account of what is open; `false` for a closing or a comma that does not belong to it.
    fn track(&mut self, kind: &TokenKind) -> bool {
        let opened_by = match kind {
            TokenKind::StartGroup | TokenKind::StartIndex | TokenKind::StartParameters => {
                self.unclosed.push(kind.clone());
                return true;
            }
            TokenKind::Separator => return self.unclosed.last() == Some(&TokenKind::StartParameters),
            TokenKind::EndGroup => TokenKind::StartGroup,
            TokenKind::EndIndex => TokenKind::StartIndex,
            TokenKind::EndParameters => TokenKind::StartParameters,
            _ => return true,
        };
        self.unclosed.pop() == Some(opened_by)
    }
}

fn read_number(rest: &str) -> (Option<TokenKind>, usize) {
    let length = word_length(rest, |character| character == '.');
    let number = parse_number(&rest[..length]);
    ((!number.is_nan()).then_some(TokenKind::Number(number)), length)
}

/// A string up to its closing quote; two quotes stand for one.
fn read_string(rest: &str) -> (Option<TokenKind>, usize) {
    let mut text = String::new();
    let mut from = 1;
    while let Some(found) = rest[from..].find('\'') {
        let quote = from + found;
        text.push_str(&rest[from..quote]);
        if !rest[quote + 1..].starts_with('\'') {
            return (Some(TokenKind::String(text)), quote + 1);
        }
        text.push('\'');
        from = quote + 2;
    }
    (None, rest.len())
}

fn read_operator(rest: &str) -> (Option<TokenKind>, usize) {
    const OPERATORS: [(&str, Operator); 9] = [
        ("!=", Operator::NotEqual),
        (">=", Operator::GreaterOrEqual),
        ("<=", Operator::LessOrEqual),
        ("==", Operator::Equal),
        ("&&", Operator::And),
        ("||", Operator::Or),
        ("!", Operator::Not),
        (">", Operator::Greater),
        ("<", Operator::Less),
    ];
    match OPERATORS.iter().find(|(text, _)| rest.starts_with(text)) {
        Some((text, operator)) => (Some(TokenKind::Operator(*operator)), text.len()),
        None => (None, word_length(rest, |_| false)),
    }
}

/// Length of the word at the start of `rest`: its first character belongs to it whatever it is,
/// the others up to one that ends words.
fn word_length(rest: &str, also: impl Fn(char) -> bool) -> usize {
    let ends_word = |character: char| {
        !also(character)
            && (character.is_whitespace()
                || matches!(character, '(' | '[' | ')' | ']' | ',' | '.' | '!' | '>' | '<' | '=' | '&' | '|'))
    };
    rest.char_indices()
        .skip(1)
        .find(|(_, character)| ends_word(*character))
        .map_or(rest.len(), |(end, _)| end)
}

fn is_keyword(word: &str) -> bool {
    let mut characters = word.chars();
    characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|other| other.is_ascii_alphanumeric() || matches!(other, '_' | '-'))
}
