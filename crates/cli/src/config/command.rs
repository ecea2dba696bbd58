//! `hearth config check`, `hearth config show`.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::json;

use super::keys::{KEYS, Key};
use super::{Loaded, environment};
use crate::args::{ConfigWhat, PlaceArgs, RemoteFormat};
use crate::data::existing;
use crate::exit;
use crate::json;
use crate::run::output::{pad, width};
use crate::serve::{Settings, check as check_all};

/// Does what is asked for.
pub(crate) fn config(what: ConfigWhat) -> Result<u8> {
    match what {
        ConfigWhat::Check { file, places } => {
            check(file.as_deref().or(places.config.as_deref()), places.data.clone())
        }
        ConfigWhat::Show { format, places } => show(format, &places),
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn check(given: Option<&Path>, data: Option<PathBuf>) -> Result<u8> {
    let loaded = Loaded::load(given)?;
    let serves = KEYS.iter().filter(|key| key.path.starts_with("serve."));
    // Who only runs workflows here has none of these.
    if serves.clone().any(|key| loaded.value(key, variable).is_some()) {
        serves_well(&loaded, data)?;
    }
    environment::unused(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()))
        .iter()
        .for_each(|note| eprintln!("hearth: {note}"));
    match &loaded.path {
        Some(path) => say!("{}: fine", path.display()),
        None => say!("there is no configuration file; everything is as usual"),
    }
    Ok(exit::SUCCESS)
}

/// Whether `hearth serve` could begin. Its secret may come from where only the server sees it.
fn serves_well(loaded: &Loaded, data: Option<PathBuf>) -> Result<()> {
    let has_secret =
        variable(WEBHOOK_SECRET).is_some() || !loaded.config.serve.github.webhook_secrets.is_empty();
    if !has_secret {
        eprintln!(
            "hearth: there is no webhook secret here: `hearth serve` starts only where {WEBHOOK_SECRET} has one"
        );
    }
    let stand_in = |name: &str| {
        variable(name).or_else(|| (name == WEBHOOK_SECRET && !has_secret).then(|| "x".repeat(SECRET_BYTES)))
    };
    let settings = Settings::new(&loaded.config, None, stand_in)?;
    let data = data.or_else(|| loaded.config.data.clone());
    let checked = check_all(&loaded.config, &settings, existing(data).as_deref())?;
    checked.notes.iter().for_each(|note| eprintln!("hearth: {note}"));
    Ok(())
}

/// The variable that has it.
const WEBHOOK_SECRET: &str = "GITHUB_WEBHOOK_SECRET";

/// Length of a secret that is good enough.
const SECRET_BYTES: usize = 32;

/// A key as it stands.
struct Stands {
    key: &'static Key,
    value: String,
    origin: String,
}

fn show(format: RemoteFormat, places: &PlaceArgs) -> Result<u8> {
    let loaded = Loaded::load(places.config.as_deref())?;
    let all: Vec<Stands> = KEYS.iter().map(|key| stands(key, &loaded, places)).collect();
    if format == RemoteFormat::Json {
        let told = |one: &Stands| {
            json!({
                "key": one.key.path, "value": one.value, "origin": one.origin, "variable": one.key.variable(),
            })
        };
        say!("{}", json::pretty(&all.iter().map(told).collect::<Vec<_>>())?);
        return Ok(exit::SUCCESS);
    }
    let names = all.iter().map(|one| one.key.path.len()).max().unwrap_or(0);
    let values = all.iter().map(|one| width(&one.value)).max().unwrap_or(0).min(WIDEST);
    for one in &all {
        let value = if width(&one.value) > values { one.value.clone() } else { pad(&one.value, values) };
        say!("{}  {value}  {}", pad(one.key.path, names), one.origin);
    }
    Ok(exit::SUCCESS)
}

/// Stands for what is never shown.
const HIDDEN: &str = "***";

/// A value whose addresses do not show who asks there: a token may be the name, or the password. What comes before the
/// host of an `ssh` address is an account, and no secret.
fn without_passwords(value: &str) -> String {
    let (mut shown, mut rest) = (String::new(), value);
    while let Some((before, after)) = rest.split_once("://") {
        let end = after.find(|letter: char| "/?#\"'`,]}".contains(letter) || letter.is_whitespace());
        let (authority, tail) = after.split_at(end.unwrap_or(after.len()));
        shown.push_str(before);
        shown.push_str("://");
        match authority.rsplit_once('@') {
            Some((user, host)) if user.contains(':') || !before.ends_with("ssh") => {
                shown.push_str(HIDDEN);
                shown.push('@');
                shown.push_str(host);
            }
            _ => shown.push_str(authority),
        }
        rest = tail;
    }
    shown + rest
}

/// Columns for values; a longer one pushes what follows aside, and is shown whole.
const WIDEST: usize = 40;

fn stands(key: &'static Key, loaded: &Loaded, places: &PlaceArgs) -> Stands {
    let own = places.data.as_ref().filter(|_| key.path == "data" && variable(&key.variable()).is_none());
    if let Some(data) = own {
        return Stands { key, value: data.display().to_string(), origin: "command line".to_owned() };
    }
    let (value, origin) =
        loaded.value(key, variable).unwrap_or_else(|| (key.default.to_owned(), "default".to_owned()));
    let is_hidden = key.is_secret() && !value.is_empty();
    Stands { key, value: if is_hidden { HIDDEN.to_owned() } else { without_passwords(&value) }, origin }
}

#[cfg(test)]
mod tests {
    use super::without_passwords;

    #[test]
    fn addresses_are_shown_without_their_passwords() {
        for (written, shown) in [
            (
                r#"["https://mona:s3cret@git.example.com/{owner}/{repo}", "file:///srv"]"#,
                r#"["https://***@git.example.com/{owner}/{repo}", "file:///srv"]"#,
            ),
            ("https://ghp_token@example.com", "https://***@example.com"),
            ("http://a:p@ss@example.com?x=@", "http://***@example.com?x=@"),
            ("ssh://git@example.com/a", "ssh://git@example.com/a"),
            ("ssh://git:s3cret@example.com/a", "ssh://***@example.com/a"),
            ("https://example.com/a@b", "https://example.com/a@b"),
            ("one for each CPU", "one for each CPU"),
        ] {
            assert_eq!(without_passwords(written), shown);
        }
    }
}
