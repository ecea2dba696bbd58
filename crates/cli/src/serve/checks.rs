//! What `hearth serve` makes sure of before it binds or opens anything. `hearth config check` makes sure of the same, by
//! the same function, so that what it calls fine can begin.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use forge::github::app::App;
use forge::github::client::retry::Pace;
use forge::github::client::{Auth, Client};
use model::Secret;
use server::tls::Tls;
use server::traces::Collector;

use super::settings::{Settings, at_least_one};
use super::{machines, profiles, sources};
use crate::config::Config;
use crate::data;

/// What was read on the way.
pub(crate) struct Checked {
    /// The server's own certificate, where it has one.
    pub(super) tls: Option<Tls>,
    /// How the forge is spoken to, where somebody is known to speak as.
    pub(super) client: Option<Client>,
    /// What hinders nobody from serving, and some jobs from running.
    pub(crate) notes: Vec<String>,
}

/// Looks at everything that the configuration and the environment name. `data` is the data folder, if it is there.
pub(crate) fn check(config: &Config, settings: &Settings, data: Option<&Path>) -> Result<Checked> {
    data.map(data::open_to_others).transpose()?;
    config.serve.disk.check()?;
    config.serve.retention.check()?;
    profiles::check(config)?;
    machines::check(config)?;
    sources::mirrors(config).context("actions-mirrors of the configuration is wrong")?;
    at_least_one("jobs", config.jobs.map(usize::from))?;
    // What it is told is sent from elsewhere; here it is only whether that could be.
    Collector::named(|name| std::env::var(name).ok())?;
    Ok(Checked {
        tls: config.serve.tls.as_ref().map(super::TlsConfig::open).transpose()?,
        client: client(settings)?,
        notes: [profiles::missing_images(config, data), profiles::hardly_meant(config), unheeded(config)]
            .concat(),
    })
}

/// What stands in the configuration and changes nothing here.
fn unheeded(config: &Config) -> Vec<String> {
    let mut notes = Vec::new();
    if !config.allow_hosts_of.is_empty() {
        let instead = "give machine profiles their own allow-hosts";
        notes.push(format!(
            "allow-hosts-of is for `hearth run` only, and the server heeds none of it; {instead}"
        ));
    }
    for folder in config.expose.iter().filter(|folder| !folder.exists()) {
        notes.push(format!("expose names {}, which is not there; jobs do not see it", folder.display()));
    }
    notes
}

fn client(settings: &Settings) -> Result<Option<Client>> {
    let (api, timeout) = (settings.addresses.api(), settings.call_timeout);
    let client = |auth| {
        let client = match timeout {
            Some(timeout) => Client::with_pace(&api, auth, timeout, Pace::default()),
            None => Client::new(&api, auth),
        };
        client.context("can't speak to GitHub")
    };
    if let Some(app) = &settings.app {
        let path = &app.private_key;
        let pem = std::fs::read_to_string(path);
        let pem = pem.with_context(|| format!("can't read the App's private key {}", path.display()))?;
        return client(Auth::App(Arc::new(App::new(&app.id, &Secret(pem))?))).map(Some);
    }
    settings.token.clone().map(|token| client(Auth::Token(token))).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn checked(file: &str) -> Result<Checked> {
        let config: Config = serde_saphyr::from_str(file)?;
        let secret = |name: &str| (name == "GITHUB_WEBHOOK_SECRET").then(|| SECRET.to_owned());
        check(&config, &Settings::new(&config, None, secret)?, None)
    }

    #[test]
    fn what_a_server_could_not_begin_with_is_refused_before_it_begins() {
        for (file, words) in [
            ("serve: {tls: {certificate: /nowhere/c.pem, key: /nowhere/k.pem}}", "/nowhere/c.pem"),
            ("serve: {github: {app: {id: a, private-key: /nowhere/app.pem}}}", "/nowhere/app.pem"),
            ("serve: {disk: {stop-below: 20, resume-above: 10}}", "is less than stop-below"),
            ("serve: {retention: {runs-days: 0}}", "the least is 1 day"),
            ("serve: {workflows: 0}", "the least is 1"),
            ("jobs: 0", "the least is 1"),
            ("serve: {profiles: [{name: a}, {name: a}]}", "machine profile \"a\" is named twice"),
            ("serve: {profiles: [{name: a, machine: host}]}", "the host driver has no walls"),
            ("serve: {profiles: [{name: a, machines: 0}]}", "machines of machine profile a is 0"),
            ("serve: {profiles: [{name: a, warm: {min: 3, max: 1}}]}", "keeps at least 3 machines"),
            ("serve: {profiles: [{name: a, machine: vm, allow-hosts: ['http://x']}]}", "it is a URL"),
            ("serve: {profiles: [{name: a, allow-hosts: [a.example]}]}", "a network of the machine's own"),
            ("serve: {vm-types: [{name: a}, {name: a}]}", "machine type \"a\" is named twice"),
            ("serve: {vm-types: [{name: a, allow-hosts: ['256.1.1.1']}]}", "it is no address"),
            ("actions-mirrors: ['ext::sh']", "actions-mirrors of the configuration is wrong"),
            ("serve: {jobs-per-repository: 0}", "the least is 1"),
        ] {
            let error = checked(file).err().map(|error| format!("{error:#}")).unwrap_or_default();
            assert!(error.contains(words), "{file}: {error:?}");
        }
        assert!(checked("serve: {workflows: 1}").unwrap().notes.is_empty());
    }

    #[test]
    fn what_is_hardly_meant_is_told_and_hinders_nobody() {
        for (file, words) in [
            (
                "serve: {profiles: [{name: a}, {name: b, labels: [linux]}]}",
                "no job ever gets machine profile b",
            ),
            ("serve: {profiles: [{name: a, labels: []}]}", "machine profile a has no labels"),
            ("allow-hosts-of: [{job: a, hosts: [x.example]}]", "allow-hosts-of is for `hearth run` only"),
            ("expose: [/nowhere/at/all]", "/nowhere/at/all"),
        ] {
            let notes = checked(file).unwrap().notes;
            assert!(notes.iter().any(|note| note.contains(words)), "{file}: {notes:?}");
        }
        let several = "serve: {profiles: [{name: a, labels: [x]}, {name: b, labels: [x, y]}, {name: c, labels: [x], group: g}]}";
        assert_eq!(checked(several).unwrap().notes, [""; 0], "each has jobs of its own");
    }

    #[test]
    fn an_image_that_is_not_there_is_told_with_the_profile_that_wants_it() {
        let notes = checked(
            "serve: {profiles: [{name: big, machine: vm, image: nothere}, {name: small, labels: [small]}]}",
        );
        let notes = notes.unwrap().notes;
        assert_eq!(notes.len(), 1, "{notes:?}");
        assert!(notes[0].contains("machine profile big") && notes[0].contains("nothere"), "{notes:?}");
    }
}
