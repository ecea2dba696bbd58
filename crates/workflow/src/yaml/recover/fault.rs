//! What can be wrong with YAML, in words for people.

use crate::diagnostic::codes;

/// Something that is no YAML.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) kind: Kind,
    /// Bytes to show.
    pub(super) shown: std::ops::Range<usize>,
    /// Byte of the value or line that can't be read because of it.
    pub(super) cause: usize,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A tab where blanks belong.
    Tab,
    /// A line that fits no line above it.
    Indentation,
    /// A key inside of a text that began on this line (from 1).
    ContinuesText { line: u32 },
    /// A word on a line of its own; whether it may belong to the block of text above it.
    MissingColon { word: String, follows_block: bool },
    /// `a: b: c`.
    SecondColon,
    /// `a: - b`.
    ListBesideKey,
    /// Text behind a value that has ended.
    TextAfterValue,
    /// A quote that is never closed, or only by one that was to open another text.
    UnclosedQuote { quote: char },
    /// Text behind the quote that closes.
    TextAfterQuote { quote: char },
    /// `"\d"`.
    Escape { escape: String },
    /// A bracket that is never closed.
    UnclosedBracket { bracket: char },
    /// Something inside of brackets that does not go there; whether an expression stands there.
    InBrackets { bracket: char, has_expression: bool },
    /// A bracket that closes nothing.
    StrayBracket { bracket: char },
    /// A character that no value may begin with.
    Reserved { character: char },
    /// `*` or `&` without a name.
    Nameless { character: char },
    /// `*name` without a `&name`.
    Alias { name: String },
    /// What stands behind `|` or `>`.
    BlockHeader,
    /// A line of a block of text.
    BlockText,
    /// `!...`.
    Tag,
    /// `%...` at the beginning.
    Directive,
    /// A character that no file may hold.
    Unprintable,
    /// Too many brackets inside of each other.
    Depth,
    /// Anything else.
    Other,
}

/// What is said of a fault.
pub(super) struct Words {
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) hint: String,
}

impl Kind {
    /// Whether it is about the lines around it rather than about a value.
    pub(super) fn is_structural(&self) -> bool {
        matches!(
            self,
            Kind::Indentation | Kind::ContinuesText { .. } | Kind::MissingColon { .. } | Kind::Other
        )
    }

    /// Code, message, and hint.
    pub(super) fn words(&self) -> Words {
        let (code, message, hint) = match self {
            Kind::Tab
            | Kind::Indentation
            | Kind::ContinuesText { .. }
            | Kind::MissingColon { .. }
            | Kind::ListBesideKey => self.words_of_lines(),
            Kind::UnclosedBracket { .. } | Kind::InBrackets { .. } | Kind::StrayBracket { .. } => {
                self.words_of_brackets()
            }
            Kind::UnclosedQuote { .. } | Kind::TextAfterQuote { .. } | Kind::Escape { .. } => {
                self.words_of_quotes()
            }
            _ => self.words_of_values(),
        };
        Words { code, message, hint }
    }

    fn words_of_lines(&self) -> (&'static str, String, String) {
        match self {
            Kind::Tab => (
                codes::YAML_TAB,
                "A tab stands where only spaces may stand".to_owned(),
                "indent with spaces; YAML takes no tabs there".to_owned(),
            ),
            Kind::ContinuesText { line } => (
                codes::YAML_INDENTATION,
                format!("A key stands inside of the value that begins on line {line}"),
                "line it up with the keys beside it, or leave the line above it without a value".to_owned(),
            ),
            Kind::MissingColon { word, follows_block } => (
                codes::YAML_SYNTAX,
                format!("'{word}' stands alone: it is neither a key nor a part of a list"),
                if *follows_block {
                    "indent it further if it belongs to the text above; a key ends with `:`"
                } else {
                    "a key ends with `:`, and a part of a list begins with `- `"
                }
                .to_owned(),
            ),
            Kind::ListBesideKey => (
                codes::YAML_INDENTATION,
                "A list can't begin on the line of its key".to_owned(),
                "begin it on the next line, or quote the value if it is text".to_owned(),
            ),
            _ => (
                codes::YAML_INDENTATION,
                "The line does not fit the lines above it".to_owned(),
                "the keys of a mapping stand in one column, and so do the dashes of a list".to_owned(),
            ),
        }
    }

    fn words_of_quotes(&self) -> (&'static str, String, String) {
        match self {
            Kind::UnclosedQuote { quote } => (
                codes::YAML_QUOTE,
                format!("The quote {quote} is not closed"),
                format!("close it with {quote} on the same line"),
            ),
            Kind::Escape { escape } => (
                codes::YAML_ESCAPE,
                format!("There is no escape '{escape}'"),
                "write `\\\\` for a backslash, or use single quotes, which know no escapes".to_owned(),
            ),
            Kind::TextAfterQuote { quote: '\'' } => (
                codes::YAML_QUOTE,
                "Text stands behind the quote that closes the value".to_owned(),
                "inside of single quotes write `''` for one; quotes stand around the whole value".to_owned(),
            ),
            _ => (
                codes::YAML_QUOTE,
                "Text stands behind the quote that closes the value".to_owned(),
                "inside of double quotes write `\\\"` for one; quotes stand around the whole value"
                    .to_owned(),
            ),
        }
    }

    fn words_of_brackets(&self) -> (&'static str, String, String) {
        match self {
            Kind::UnclosedBracket { bracket } => (
                codes::YAML_BRACKET,
                format!("The bracket {bracket} is not closed"),
                format!("close it with {}, or quote the value if it is text", closing(*bracket)),
            ),
            Kind::InBrackets { has_expression: true, .. } => (
                codes::YAML_BRACKET,
                "An expression inside of brackets is not quoted".to_owned(),
                "write `'${{ ... }}'`: its braces are YAML's own otherwise".to_owned(),
            ),
            Kind::InBrackets { bracket, .. } => (
                codes::YAML_BRACKET,
                format!("A comma or {} was expected", closing(*bracket)),
                "separate the parts by commas, and quote those that hold `: ` or brackets".to_owned(),
            ),
            Kind::StrayBracket { bracket } => (
                codes::YAML_BRACKET,
                format!("The bracket {bracket} closes nothing"),
                "remove it, or quote the value if it is text".to_owned(),
            ),
            _ => self.words_of_values(),
        }
    }

    fn words_of_values(&self) -> (&'static str, String, String) {
        match self {
            Kind::SecondColon => (
                codes::YAML_SYNTAX,
                "A colon and a space stand inside of a value".to_owned(),
                "quote the whole value, or begin a mapping on the next line".to_owned(),
            ),
            Kind::TextAfterValue => (
                codes::YAML_SYNTAX,
                "Text stands behind the end of the value".to_owned(),
                "remove it, or quote the whole value".to_owned(),
            ),
            Kind::Reserved { character } => (
                codes::YAML_SYNTAX,
                format!("A value can't begin with {character}"),
                "quote the value".to_owned(),
            ),
            Kind::Nameless { character } => (
                codes::YAML_SYNTAX,
                format!("A name is missing behind {character}"),
                "`&name` is an anchor and `*name` its alias; quote the value if it is text".to_owned(),
            ),
            Kind::Alias { name } => (
                codes::YAML_ALIAS,
                format!("Unknown anchor '{name}'"),
                "an anchor (`&name`) must stand before the alias that uses it; quote the value if it is text"
                    .to_owned(),
            ),
            Kind::BlockHeader => (
                codes::YAML_SYNTAX,
                "Text stands on the line that begins a block of text".to_owned(),
                "begin the text on the next line, or quote the value".to_owned(),
            ),
            Kind::BlockText => (
                codes::YAML_INDENTATION,
                "The first lines of a block of text are indented further than the next".to_owned(),
                "indent all lines of the block by the same number of spaces".to_owned(),
            ),
            Kind::Tag => (
                codes::YAML_TAG,
                "The tag is not well-formed".to_owned(),
                "quote a value that begins with `!`".to_owned(),
            ),
            Kind::Directive => (
                codes::YAML_SYNTAX,
                "A directive of YAML can't stand here".to_owned(),
                "remove the line; workflows need no directives".to_owned(),
            ),
            Kind::Unprintable => (
                codes::YAML_SYNTAX,
                "The file holds a character that YAML does not allow".to_owned(),
                "remove it, or write it as an escape inside of double quotes".to_owned(),
            ),
            Kind::Depth => (
                codes::YAML_DEPTH,
                "Maximum object depth exceeded".to_owned(),
                "too many brackets stand inside of each other".to_owned(),
            ),
            _ => (
                codes::YAML_SYNTAX,
                "The file is not YAML here".to_owned(),
                "check indentation, quotes, and brackets here and right above".to_owned(),
            ),
        }
    }
}

/// The bracket that closes one.
pub(super) fn closing(bracket: char) -> char {
    if bracket == '[' { ']' } else { '}' }
}
