//! Who may sign in at GitHub, in `hearth.yaml` below `serve.github.oauth`.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use forge::github::context::Addresses;
use forge::github::oauth::{Group, OAuthApp};
use model::Secret;
use serde::Deserialize;
use server::auth::Role;
use server::auth::people::{People, Who};

/// An OAuth app at GitHub, and what its people may do here. Nobody may do anything unless it is said.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct OAuthConfig {
    /// The app's id.
    pub(crate) client_id: String,
    /// The app's secret; `GITHUB_OAUTH_CLIENT_SECRET` goes before it.
    pub(crate) client_secret: Option<Secret>,
    /// Roles by login.
    #[serde(default)]
    pub(crate) people: BTreeMap<String, Somebody>,
    /// Roles of the members of organisations.
    #[serde(default)]
    pub(crate) organisations: BTreeMap<String, Role>,
    /// Roles of the members of teams, `organisation/team`.
    #[serde(default)]
    pub(crate) teams: BTreeMap<String, Role>,
}

/// What somebody may do.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged, expecting = "it must be read, operate, admin, or {role: ..., id: ...}")]
pub(crate) enum Somebody {
    /// The account that signs in first with the login.
    First(Role),
    /// This account only.
    One(Account),
}

/// An account of GitHub's.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Account {
    role: Role,
    /// Its number: `https://api.github.com/users/LOGIN` tells it.
    id: u64,
}

impl Somebody {
    fn called(self, login: &str) -> (Who, Role) {
        let login = login.to_owned();
        match self {
            Somebody::First(role) => (Who::Login { login, id: None }, role),
            Somebody::One(Account { role, id }) => (Who::Login { login, id: Some(id) }, role),
        }
    }
}

impl OAuthConfig {
    /// Those who may sign in; `url` is where people reach the server.
    pub(crate) fn people(
        &self,
        secret: Option<Secret>,
        addresses: &Addresses,
        url: Option<&str>,
    ) -> Result<People> {
        let Some(secret) = secret.or_else(|| self.client_secret.clone()) else {
            bail!(
                "serve.github.oauth has no client-secret: write it there, or set GITHUB_OAUTH_CLIENT_SECRET"
            )
        };
        let Some(url) = url else {
            bail!("serve.github.oauth needs serve.url: GitHub sends people back to it")
        };
        let app = OAuthApp {
            server: addresses.server.to_string(),
            api: addresses.api(),
            client_id: self.client_id.clone(),
            client_secret: secret,
        };
        Ok(People::new(app, self.roles()?, url))
    }

    fn roles(&self) -> Result<Vec<(Who, Role)>> {
        let mut roles: Vec<(Who, Role)> =
            self.people.iter().map(|(login, somebody)| somebody.called(login)).collect();
        for (name, role) in &self.organisations {
            roles.push((Who::Group(Group::Organisation(name.clone())), *role));
        }
        for (name, role) in &self.teams {
            let Some((organisation, team)) = name.split_once('/').filter(|(_, team)| !team.contains('/'))
            else {
                bail!("serve.github.oauth.teams has {name:?}; write organisation/team")
            };
            roles.push((Who::Group(Group::Team(organisation.to_owned(), team.to_owned())), *role));
        }
        if roles.is_empty() {
            bail!("serve.github.oauth lets nobody in: give roles to people, organisations, or teams");
        }
        Ok(roles)
    }
}
