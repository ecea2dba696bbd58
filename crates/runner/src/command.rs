//! Workflow commands: lines of output that mean something.
//!
//! `::name key=value,key=value::data` and the older `##[name key=value;key=value]data`. A
//! [`CommandProcessor`] says what a line asks for; [`crate::output`] carries it out. The rules are those of
//! <https://docs.github.com/actions/reference/workflow-commands-for-github-actions>.

mod annotation;
mod processor;

pub(crate) use annotation::relative_to;
pub use processor::{CommandEffect, CommandPolicy, CommandProcessor, plain_annotation};

/// The commands that are recognised; every other `::text::` is plain output.
const NAMES: [&str; 15] = [
    "add-mask",
    "add-matcher",
    "add-path",
    "debug",
    "echo",
    "endgroup",
    "error",
    "group",
    "notice",
    "remove-matcher",
    "save-state",
    "set-env",
    "set-output",
    "stop-commands",
    "warning",
];

/// A parsed command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Its name, in lower case.
    pub name: String,
    properties: Vec<(String, String)>,
    /// What stands behind it, unescaped.
    pub data: String,
}

impl Command {
    /// Reads `line` if it is a command that `known` accepts (names are compared without case).
    pub fn parse(line: &str, known: impl Fn(&str) -> bool) -> Option<Command> {
        Command::parse_colons(line, &known).or_else(|| Command::parse_brackets(line, &known))
    }

    /// A property that is not empty.
    pub fn property(&self, name: &str) -> Option<&str> {
        self.properties
            .iter()
            .rev()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    fn parse_colons(line: &str, known: impl Fn(&str) -> bool) -> Option<Command> {
        let (head, data) = line.trim_start().strip_prefix("::")?.split_once("::")?;
        let (name, properties) = head.split_once(' ').unwrap_or((head, ""));
        known(name).then(|| Command {
            name: name.to_ascii_lowercase(),
            properties: pairs(properties.trim(), ',', unescape_property),
            data: unescape_data(data),
        })
    }

    fn parse_brackets(line: &str, known: impl Fn(&str) -> bool) -> Option<Command> {
        let (_, command) = line.split_once("##[")?;
        let (head, data) = command.split_once(']')?;
        let (name, properties) = head.split_once(' ').unwrap_or((head, ""));
        known(name).then(|| Command {
            name: name.to_ascii_lowercase(),
            properties: pairs(properties, ';', unescape_brackets),
            data: unescape_brackets(data),
        })
    }
}

/// Whether `name` is one of GitHub's commands, without regard to case.
pub fn is_command(name: &str) -> bool {
    NAMES.iter().any(|known| known.eq_ignore_ascii_case(name))
}

fn pairs(text: &str, separator: char, unescape: fn(&str) -> String) -> Vec<(String, String)> {
    text.split(separator)
        .filter_map(|pair| pair.split_once('='))
        .filter(|(key, value)| !key.is_empty() && !value.is_empty())
        .map(|(key, value)| (key.to_owned(), unescape(value)))
        .collect()
}

fn unescape_data(text: &str) -> String {
    text.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%")
}

fn unescape_property(text: &str) -> String {
    text.replace("%0D", "\r").replace("%0A", "\n").replace("%3A", ":").replace("%2C", ",").replace("%25", "%")
}

fn unescape_brackets(text: &str) -> String {
    text.replace("%3B", ";").replace("%0D", "\r").replace("%0A", "\n").replace("%5D", "]").replace("%25", "%")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Option<Command> {
        Command::parse(line, is_command)
    }

    #[test]
    fn properties_and_data_are_unescaped() {
        let command = parse("  ::Error file=a%2Cb.rs,line=3,title=x%3Ay%25::one%0Atwo %3A").unwrap();
        assert_eq!(command.name, "error");
        assert_eq!(command.property("FILE"), Some("a,b.rs"));
        assert_eq!(command.property("line"), Some("3"));
        assert_eq!(command.property("title"), Some("x:y%"));
        assert_eq!(command.property("col"), None);
        assert_eq!(command.data, "one\ntwo %3A");
    }

    #[test]
    fn an_escaped_percent_sign_is_unescaped_last() {
        assert_eq!(parse("::debug::%250A").unwrap().data, "%0A");
    }

    #[test]
    fn the_older_form_is_found_inside_of_a_line() {
        let command = parse("12:00 ##[error file=a%3Bb;line=2]text%5D").unwrap();
        assert_eq!((command.name.as_str(), command.data.as_str()), ("error", "text]"));
        assert_eq!(command.property("file"), Some("a;b"));
    }

    #[test]
    fn other_text_with_colons_is_no_command() {
        for line in
            ["::", "::error", "std::vec::Vec", "::unknown::x", "a ::error::x", ":::error::x", "##[x", "::::x"]
        {
            assert_eq!(parse(line), None, "{line}");
        }
    }

    #[test]
    fn values_may_hold_equal_signs() {
        assert_eq!(parse("::set-output name=a=b::v").unwrap().property("name"), Some("a=b"));
    }
}
