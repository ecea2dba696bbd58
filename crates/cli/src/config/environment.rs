//! Variables that go before keys of the file, those of an elder server, and those that mean nothing any more.

use anyhow::{Context, Result, bail};

use super::Config;
use super::keys::{KEYS, Key};
use super::tree::{self, Tree};
use crate::args::DriverName;

/// Variables of the elder server that nothing is made of, and why.
const GONE: [(&str, &str); 9] = [
    ("FIRECRACKER_API_URL", "Hearth starts machines itself; serve.profiles says which"),
    ("FIRECRACKER_AUTH_TOKEN", "Hearth starts machines itself, and asks nobody for them"),
    ("FIRECRACKER_VM_TYPE", "serve.profiles says what machines jobs get"),
    ("REPOSITORY_PATH", "workflows are read from the event's own commit, in mirrors that Hearth keeps"),
    ("USE_LLM_PARSER", "workflow files are read by GitHub's own rules"),
    ("OLLAMA_BASE_URL", "no language model is asked yet"),
    ("OLLAMA_MODEL", "no language model is asked yet"),
    ("OPENROUTER_API_KEY", "no language model is asked yet"),
    ("OPENROUTER_MODEL", "no language model is asked yet"),
];

/// Names below which every variable is one of a key.
const OURS: [&str; 2] = ["HEARTH_SERVE_", "HEARTH_FIRECRACKER_"];

/// A key whose value comes from the environment.
pub(crate) struct Override {
    pub(crate) key: &'static Key,
    pub(crate) variable: String,
    /// As YAML in one line.
    pub(crate) value: String,
}

/// The values that the environment has for keys.
pub(super) fn overrides(variable: impl Fn(&str) -> Option<String>) -> Result<Vec<Override>> {
    let mut found = Vec::new();
    for key in KEYS {
        let name = key.variable();
        let Some(text) = variable(&name).filter(|text| !text.is_empty() && !is_mark(key, text)) else {
            continue;
        };
        let value = read(key, &text).with_context(|| format!("{name} is wrong"))?;
        found.push(Override { key, variable: name, value });
    }
    Ok(found)
}

/// In machines of Hearth `HEARTH_MACHINE` has the machine's own id: no driver is called so.
fn is_mark(key: &Key, text: &str) -> bool {
    use clap::ValueEnum;
    key.path == "machine" && DriverName::from_str(text, true).is_err()
}

/// The value of a variable, which must be one for its key.
fn read(key: &Key, text: &str) -> Result<String> {
    let value = if key.is_text() { Some(tree::quoted(text)) } else { tree::one_line(text) };
    let Some(value) = value else { bail!("it is no YAML") };
    let mut alone = Tree::Keys(Vec::new());
    alone.put(key, value.clone());
    match serde_saphyr::from_str::<Config>(&alone.text()) {
        Ok(_) => Ok(value),
        Err(error) => match error.without_snippet() {
            // What else the app needs comes from elsewhere.
            serde_saphyr::Error::SerdeMissingField { .. } => Ok(value),
            // What it is may be a secret.
            _ if key.is_secret() => bail!("it can't be the value of {}", key.path),
            error => bail!("{} (it is {text:?})", super::wrong::words(error)),
        },
    }
}

/// What an elder server's variable says, unless the key's own variable does.
pub(crate) fn elder(name: &str, variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    let key = KEYS.iter().find(|key| key.elder.contains(&name));
    if key.is_some_and(|key| set(&key.variable()).is_some()) {
        return None;
    }
    set(name)
}

/// What of the environment is not used, and why: a line for each variable.
pub(crate) fn unused(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut notes: Vec<String> = names.filter_map(|name| told(&name)).collect();
    notes.sort_unstable();
    notes
}

fn told(name: &str) -> Option<String> {
    if let Some((_, why)) = GONE.iter().find(|(gone, _)| *gone == name) {
        return Some(format!("{name} is not used: {why}"));
    }
    let is_ours = OURS.iter().any(|ours| name.starts_with(ours));
    if !is_ours || KEYS.iter().any(|key| key.variable() == name) {
        return None;
    }
    let all = KEYS.iter().map(Key::variable).collect::<Vec<_>>();
    let hint = workflow::nearest(name, all.iter().map(String::as_str));
    Some(format!(
        "{name} is not used: no key is called so{}",
        hint.map_or(String::new(), |hint| format!("; is {hint} meant?"))
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> {
        move |name| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    }

    fn loaded(text: &str, pairs: &[(&str, &str)]) -> Result<Config> {
        Config::read(text, with(pairs)).map(|loaded| loaded.config)
    }

    #[test]
    fn a_variable_goes_before_the_file_and_lists_are_yaml() {
        let config = loaded(
            "jobs: 2\nserve: {github: {app: {id: 7, private-key: /k}}}\n",
            &[
                ("HEARTH_JOBS", "9"),
                ("HEARTH_SERVE_GITHUB_TOKEN", "a: b"),
                ("HEARTH_SERVE_GITHUB_WEBHOOK_SECRETS", "[one, two]"),
                ("HEARTH_SERVE_GITHUB_APP_ID", "12"),
                ("HEARTH_EXPOSE", "[/opt, /srv]"),
                ("HEARTH_MACHINE", "hearth-1-2"),
            ],
        )
        .unwrap();
        assert_eq!((config.jobs, config.expose.len(), config.machine), (Some(9), 2, None));
        let github = config.serve.github;
        assert_eq!(github.token.unwrap().0, "a: b");
        assert_eq!(github.webhook_secrets.len(), 2);
        let app = github.app.unwrap();
        assert_eq!((app.id.as_str(), app.private_key.to_str()), ("12", Some("/k")));
    }

    #[test]
    fn a_file_reads_the_same_with_and_without_a_variable() {
        let text =
            "serve: {github: {token: 0123, webhook-secrets: [0456], app: {id: 007, private-key: /k}}}\n";
        let (plain, more) = (loaded(text, &[]).unwrap(), loaded(text, &[("HEARTH_JOBS", "1")]).unwrap());
        assert_eq!(format!("{:?}", plain.serve), format!("{:?}", more.serve));
    }

    #[test]
    fn a_wrong_variable_is_named() {
        for (name, value, words) in [
            ("HEARTH_JOBS", "many", "HEARTH_JOBS is wrong"),
            ("HEARTH_SERVE_LISTEN", "here", "HEARTH_SERVE_LISTEN is wrong"),
            ("HEARTH_SERVE_PROFILES", "[{nme: x}]", "nme"),
        ] {
            let error = format!("{:#}", loaded("", &[(name, value)]).map(|_| ()).unwrap_err());
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn what_is_not_used_is_told_and_nothing_else() {
        let names = ["USE_LLM_PARSER", "HEARTH_SERVE_LISTN", "HEARTH_SERVE_URL", "PATH", "HEARTH_TOKEN"];
        let notes = unused(names.iter().map(|&name| name.to_owned()));
        assert_eq!(notes.len(), 2, "{notes:?}");
        assert!(notes[0].contains("is HEARTH_SERVE_LISTEN meant?"), "{notes:?}");
    }

    #[test]
    fn the_keys_own_variable_goes_before_an_elder_one() {
        let both = [("GITHUB_TOKEN", "old"), ("HEARTH_SERVE_GITHUB_TOKEN", "new")];
        assert_eq!(elder("GITHUB_TOKEN", with(&both)), None);
        assert_eq!(elder("GITHUB_TOKEN", with(&both[..1])), Some("old".to_owned()));
    }
}
