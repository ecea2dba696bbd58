//! What the user gives a run by hand: secrets, variables, inputs, environment.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use model::{Secret, Secrets};

/// Parses `NAME=VALUE` of an option; of several with one name the last counts.
pub(crate) fn pairs(option: &str, given: &[String]) -> Result<BTreeMap<String, String>> {
    all_pairs(option, given)
}

/// Parses `NAME=VALUE` of an option, in whose order they are kept.
pub(crate) fn all_pairs<C: FromIterator<(String, String)>>(option: &str, given: &[String]) -> Result<C> {
    given
        .iter()
        .map(|pair| match pair.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
            _ => bail!("{option} {pair:?}: expected NAME=VALUE"),
        })
        .collect()
}

/// The secrets of the command line and of the file; the command line goes first.
/// Names are kept in upper case, as GitHub keeps them.
pub(crate) fn secrets(given: &[String], file: Option<&Path>) -> Result<Secrets> {
    let mut secrets = match file {
        Some(path) => secret_file(path)?,
        None => Secrets::new(),
    };
    for entry in given {
        let (name, value) = match entry.split_once('=') {
            Some((name, value)) => (name, value.to_owned()),
            None => (entry.as_str(), from_environment(entry)?),
        };
        secrets.insert(secret_name(name)?, Secret(value));
    }
    Ok(secrets)
}

fn from_environment(name: &str) -> Result<String> {
    std::env::var(name).with_context(|| {
        format!(
            "--secret {name}: no environment variable is called so; set one, or give --secret {name}=VALUE"
        )
    })
}

fn secret_file(path: &Path) -> Result<Secrets> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("can't read the secret file {}", path.display()))?;
    let mut secrets = Secrets::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        // The line itself is not shown: it may hold the secret.
        let Some((name, value)) = line.split_once('=') else {
            bail!("the secret file {}, line {number}: expected NAME=VALUE", path.display());
        };
        let name = secret_name(name.trim())
            .with_context(|| format!("the secret file {}, line {number}", path.display()))?;
        secrets.insert(name, Secret(unquote(value.trim())));
    }
    Ok(secrets)
}

/// A value in double quotes may hold `\n`, so that a key fits on one line; one in single quotes is as it is.
fn unquote(value: &str) -> String {
    let within = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    match (within('"'), within('\'')) {
        (Some(inner), _) => inner.replace("\\n", "\n").replace("\\\"", "\""),
        (None, Some(inner)) => inner.to_owned(),
        (None, None) => value.to_owned(),
    }
}

fn secret_name(name: &str) -> Result<String> {
    let mut characters = name.chars();
    let starts_well = characters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if !starts_well || !characters.all(|c| c.is_ascii_alphanumeric() || c == '_') {
        bail!("a secret's name has letters, digits, and _ only, and does not start with a digit");
    }
    Ok(name.to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_without_a_value_comes_from_the_environment_or_is_an_error() {
        let secrets = secrets(&["path".to_owned() + "=x=y"], None).unwrap();
        assert_eq!(secrets["PATH"], Secret("x=y".into()));
        let error = super::secrets(&["HEARTH_NO_SUCH_VARIABLE".into()], None).unwrap_err().to_string();
        assert!(error.contains("HEARTH_NO_SUCH_VARIABLE"), "{error}");
    }

    #[test]
    fn an_error_in_a_secret_file_names_the_line_and_not_its_text() {
        let file = std::env::temp_dir().join(format!("hearth-secrets-{}", std::process::id()));
        std::fs::write(&file, "# keys\nA=\"1\\n2\"\nhunter2\n").unwrap();
        let error = format!("{:#}", secrets(&[], Some(&file)).unwrap_err());
        std::fs::write(&file, "A=\"1\\n2\"\nexport B='x\\n\"y'\nC=it's\nD='\n").unwrap();
        let good = secrets(&[], Some(&file)).unwrap();
        std::fs::remove_file(&file).unwrap();
        assert!(error.contains("line 3") && !error.contains("hunter2"), "{error}");
        let values = ["A", "B", "C", "D"].map(|name| good[name].0.as_str());
        assert_eq!(values, ["1\n2", "x\\n\"y", "it's", "'"]);
    }

    #[test]
    fn a_pair_without_a_name_is_refused() {
        assert!(pairs("--var", &["=1".into()]).is_err());
        assert_eq!(pairs("--var", &["a=b=c".into()]).unwrap()["a"], "b=c");
    }
}
