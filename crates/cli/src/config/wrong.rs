//! What is wrong with a configuration, in plain words: its reader's own are about types and tokens.

use serde_saphyr::Error;
use workflow::diagnostic::Severity;
use workflow::nearest;
use workflow::yaml::{self, Limits, Problems};

/// What is wrong with a file of this text, with its line and column in front.
pub(super) fn wrong(error: &Error, text: &str) -> anyhow::Error {
    let error = error.without_snippet();
    let place = error.location().map(|place| format!("{}:{}:", place.line(), place.column()));
    let said = |words: String| anyhow::anyhow!("{} {words}", place.as_deref().unwrap_or_default());
    match plain(error) {
        Some(words) => said(words),
        None => fault(text).unwrap_or_else(|| said(own(error))),
    }
}

/// What is wrong with a value, without a place.
pub(super) fn words(error: &Error) -> String {
    plain(error).unwrap_or_else(|| own(error))
}

/// In plain words, where the text is YAML and has something else than is wanted.
fn plain(error: &Error) -> Option<String> {
    Some(match error {
        Error::SerdeUnknownField { field, expected, .. } => {
            format!("there is no key `{field}`; {}", meant(field, expected, "the keys here"))
        }
        Error::SerdeUnknownVariant { variant, expected, .. } => {
            format!("`{variant}` can't be said here; {}", meant(variant, expected, "what can"))
        }
        Error::SerdeMissingField { field, .. } => format!("the key `{field}` is missing here"),
        Error::DuplicateMappingKey { key: Some(key), .. } => format!("the key `{key}` is there twice"),
        Error::InvalidScalar { ty, .. } => match *ty {
            "boolean" => "true or false is wanted here".to_owned(),
            "floating point" => "a number is wanted here".to_owned(),
            whole if whole.starts_with(['u', 'i']) => "a whole number is wanted here".to_owned(),
            other => format!("a value of the kind {other} is wanted here"),
        },
        Error::SerdeInvalidType { unexpected, expected, .. }
        | Error::SerdeInvalidValue { unexpected, expected, .. } => {
            format!("{expected} is wanted here, and there is {unexpected}")
        }
        Error::Unexpected { expected: "sequence start", .. } => {
            "a list is wanted here: [one, two]".to_owned()
        }
        Error::Unexpected { expected: "mapping start", .. } => {
            "a mapping is wanted here: {key: value}".to_owned()
        }
        Error::Unexpected { expected, .. } if expected.contains("scalar") => {
            "one value is wanted here, and no list or mapping".to_owned()
        }
        _ => return None,
    })
}

/// The first fault of a text that is no YAML, as it is told of workflow files.
fn fault(text: &str) -> Option<anyhow::Error> {
    let mut problems = Problems::new("");
    yaml::parse(text, &Limits::default(), &mut problems);
    let mut found = problems.into_sorted().into_iter().filter(|one| one.severity == Severity::Error);
    let first = found.find(|one| one.span.is_some())?;
    let start = first.span?.start;
    let hint = first.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
    Some(anyhow::anyhow!("{}:{}: {}{hint}", start.line, start.column, first.message))
}

/// The reader's own words, without their place.
fn own(error: &Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or(&text).to_owned()
}

/// What somebody may have meant, or else all there is.
fn meant(word: &str, known: &[&'static str], all: &str) -> String {
    match nearest(word, known.iter().copied()) {
        Some(near) => format!("is `{near}` meant?"),
        None => format!("{all}: {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;

    #[test]
    fn what_is_wrong_is_said_in_plain_words_with_its_place() {
        for (file, said) in [
            ("jobs: many\n", "1:7: a whole number is wanted here"),
            ("jobs: 1\ncold-boot: yes please\n", "2:12: true or false is wanted here"),
            ("machine: sandbx\n", "1:10: `sandbx` can't be said here; is `sandbox` meant?"),
            ("expose: /opt/x\n", "1:9: a list is wanted here: [one, two]"),
            ("serve: 3\n", "1:8: a mapping is wanted here: {key: value}"),
            ("image: [a]\n", "1:8: one value is wanted here, and no list or mapping"),
            ("jobs: 1\njobs: 2\n", "2:1: the key `jobs` is there twice"),
            ("serve:\n  profiles:\n  - {labels: [x]}\n", "3:6: the key `name` is missing here"),
        ] {
            assert_eq!(Config::parse(file).unwrap_err().to_string(), said, "{file}");
        }
    }

    #[test]
    fn a_text_that_is_no_yaml_is_told_as_that_of_a_workflow_file() {
        for (file, place) in [
            ("jobs: 1\nimage: 'it's\n", "2:"),
            ("serve:\n\tlisten: x\n", "2:"),
            ("serve: {url: x\nmachine: host\n", "1:"),
            ("jobs: 1\n  memory: 2\n", ""),
        ] {
            let error = Config::parse(file).unwrap_err().to_string();
            assert!(error.starts_with(place), "{file}: {error}");
            for token in ["block mapping", "token", "did not find", "simple key"] {
                assert!(!error.contains(token), "{file}: {error}");
            }
        }
    }
}
