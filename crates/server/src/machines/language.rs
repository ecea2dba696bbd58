//! Languages in which code can be executed, and what runs each.

/// A language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    Bash,
    Sh,
    Python,
    JavaScript,
}

/// Every name, as errors list them.
pub(crate) const NAMES: &str = "bash, sh, python, javascript (or node)";

impl Language {
    /// The language of this name.
    pub(crate) fn named(name: &str) -> Option<Language> {
        match name.to_ascii_lowercase().as_str() {
            "bash" => Some(Language::Bash),
            "sh" => Some(Language::Sh),
            "python" | "python3" => Some(Language::Python),
            "javascript" | "node" => Some(Language::JavaScript),
            _ => None,
        }
    }

    /// The program that runs it.
    pub(crate) fn program(self) -> &'static str {
        match self {
            Language::Bash => "bash",
            Language::Sh => "sh",
            Language::Python => "python3",
            Language::JavaScript => "node",
        }
    }

    /// Name of a file of it: Node goes by the ending, and `.cjs` is what it takes `node -e` for.
    pub(crate) fn file_name(self) -> &'static str {
        match self {
            Language::Bash | Language::Sh => "code.sh",
            Language::Python => "code.py",
            Language::JavaScript => "code.cjs",
        }
    }
}
