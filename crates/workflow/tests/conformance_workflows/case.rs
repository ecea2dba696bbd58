//! One file of the suite.

use serde_json::Value as Json;
use workflow::resolve::DefaultPermissions;
use workflow::yaml::{self, Limits, Node, Problems, Value};

/// A case, taken apart.
pub(crate) struct Case {
    /// Name of the workflow's file, as it stands in messages.
    pub(crate) file: String,
    pub(crate) options: Options,
    pub(crate) workflow: String,
    /// Files that it calls: name and content.
    pub(crate) called: Vec<(String, String)>,
    pub(crate) expected: Json,
}

/// How a case is to be read.
pub(crate) struct Options {
    /// Whether values in the expected JSON have places.
    pub(crate) include_source: bool,
    /// Only GitHub's editor service reads this case: its JSON lacks what that service leaves out.
    pub(crate) is_for_editors: bool,
    /// Only GitHub's server reads this case: problems of a called file begin with its caller.
    pub(crate) is_for_servers: bool,
    pub(crate) limits: Limits,
    pub(crate) calls: workflow::resolve::Limits,
}

impl Case {
    pub(crate) fn parse(name: &str, text: &str) -> Result<Case, String> {
        let text = text.replace("\r\n", "\n");
        let documents: Vec<&str> = text.split("\n---\n").collect();
        let [options, workflow, called @ .., expected] = &documents[..] else {
            return Err(format!("{} documents are too few", documents.len()));
        };
        let called = called.chunks(2).filter_map(|pair| match pair {
            [name, content] => Some((name.trim().to_owned(), (*content).to_owned())),
            _ => None,
        });
        Ok(Case {
            file: format!(".github/workflows/{name}"),
            options: Options::parse(options)?,
            workflow: (*workflow).to_owned(),
            called: called.collect(),
            expected: serde_json::from_str(expected).map_err(|error| format!("expected JSON: {error}"))?,
        })
    }
}

impl Options {
    fn parse(text: &str) -> Result<Options, String> {
        let mut options = Options {
            include_source: false,
            is_for_editors: false,
            is_for_servers: false,
            limits: Limits::default(),
            calls: workflow::resolve::Limits {
                depth: 4,
                permissions: DefaultPermissions::Write,
                ..workflow::resolve::Limits::default()
            },
        };
        let mut problems = Problems::new("options");
        let tree = yaml::parse(text, &Limits::default(), &mut problems).ok_or("options are no YAML")?;
        let Value::Mapping(pairs) = tree.value else { return Ok(options) };
        for (key, value) in &pairs {
            options.set(&key.value.scalar_text().unwrap_or_default(), value)?;
        }
        Ok(options)
    }

    fn set(&mut self, name: &str, value: &Node) -> Result<(), String> {
        let text = value.value.scalar_text().unwrap_or_default();
        let number = || text.parse::<usize>().map_err(|error| format!("{name}: {error}"));
        match name {
            "include-source" => self.include_source = text == "true",
            "skip" => {
                let Value::Sequence(parsers) = &value.value else { return Ok(()) };
                let skips = |name: &str| {
                    parsers.iter().any(|parser| parser.value.scalar_text().as_deref() == Some(name))
                };
                self.is_for_editors = skips("C#") && skips("Go");
                self.is_for_servers = skips("TypeScript");
            }
            "max-depth" => self.limits.depth = number()?,
            "max-file-size" => self.limits.characters = number()?,
            "max-job-limit" => self.calls.jobs = number()?,
            "max-nested-reusable-workflows-depth" => self.calls.depth = number()?,
            "permissions-policy" if text == "LimitedRead" => {
                self.calls.permissions = DefaultPermissions::LimitedRead;
            }
            "permissions-policy" => self.calls.permissions = DefaultPermissions::Write,
            // Other options tell other parsers how to go about it.
            _ => {}
        }
        Ok(())
    }
}
