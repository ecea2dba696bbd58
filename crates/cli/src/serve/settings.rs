//! What the operator of `hearth serve` decides: `hearth.yaml`, and the environment, which goes before it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use forge::ServerUrl;
use forge::github::context::Addresses;
use forge::github::signature::Secrets;
use model::Secret;
use runner::action_store::MirrorTemplate;
use serde::Deserialize;
use server::auth::people::People;
use workflow::resolve::DefaultPermissions;

use super::people::OAuthConfig;
use super::senders::Senders;
use crate::config::{Config, elder};

/// Where `hearth serve` listens, unless told otherwise: as the server that it takes the place of.
const HOST: &str = "127.0.0.1";
const PORT: &str = "3000";

/// The forge, in `hearth.yaml` below `serve`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct GithubConfig {
    /// Secrets of the webhook: the one in use, and while it is changed the next one.
    #[serde(default)]
    pub(crate) webhook_secrets: Vec<Secret>,
    /// Lets Hearth read private repositories, and report to them.
    pub(crate) token: Option<Secret>,
    /// Address of its REST API, where that is not its usual one.
    pub(crate) api_url: Option<String>,
    /// Where git finds repositories, where that is not the server: `file:///srv/git/{owner}/{repo}.git`.
    pub(crate) clone_from: Option<String>,
    /// The GitHub App as which Hearth speaks.
    pub(crate) app: Option<AppConfig>,
    /// What tokens of jobs may do where no workflow says anything.
    #[serde(default)]
    pub(crate) default_permissions: TokenDefault,
    /// The OAuth app with which people sign in.
    pub(crate) oauth: Option<OAuthConfig>,
}

/// GitHub's two settings of what tokens may do by default.
/// <https://docs.github.com/en/repositories/managing-your-repositorys-settings-and-features/enabling-features-for-your-repository/managing-github-actions-settings-for-a-repository#setting-the-permissions-of-the-github_token-for-your-repository>
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TokenDefault {
    /// Read contents and packages.
    #[default]
    Restricted,
    /// Read and write all that the App may.
    Permissive,
}

impl From<TokenDefault> for DefaultPermissions {
    fn from(default: TokenDefault) -> DefaultPermissions {
        match default {
            TokenDefault::Restricted => DefaultPermissions::LimitedRead,
            TokenDefault::Permissive => DefaultPermissions::Write,
        }
    }
}

/// A GitHub App.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct AppConfig {
    /// Its client id or number.
    pub(crate) id: String,
    /// File with its private key, as GitHub gives it.
    pub(crate) private_key: PathBuf,
}

/// What the server works with.
pub(crate) struct Settings {
    pub(crate) listen: SocketAddr,
    pub(crate) webhook_secrets: Secrets,
    pub(crate) senders: Senders,
    pub(crate) addresses: Addresses,
    pub(crate) clone_from: Option<MirrorTemplate>,
    pub(crate) token: Option<Secret>,
    pub(crate) app: Option<AppConfig>,
    /// Who may sign in at the forge.
    pub(crate) people: Option<People>,
    /// Where people reach the server; where it listens if not said.
    pub(crate) url: Option<String>,
    pub(crate) running_workflows: Option<usize>,
    pub(crate) jobs_per_repository: Option<usize>,
    /// How long a call of the forge's API may take, where somebody says so.
    pub(crate) call_timeout: Option<Duration>,
}

impl Settings {
    /// From the file, the command line, and the environment as `variable` gives it.
    pub(crate) fn new(
        config: &Config,
        listen: Option<SocketAddr>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Settings> {
        // The key's own variable has been put over the file already.
        let variable = |name: &str| elder(name, &variable);
        let github = &config.serve.github;
        if let Some(url) = config.serve.url.as_deref().filter(|url| !is_address(url)) {
            bail!("serve.url of the configuration is {url:?}; write one like https://ci.example.com");
        }
        let mut secrets: Vec<Secret> = variable("GITHUB_WEBHOOK_SECRET").map(Secret).into_iter().collect();
        secrets.extend(github.webhook_secrets.iter().cloned());
        if secrets.is_empty() {
            bail!(
                "there is no webhook secret, and without one anybody could start jobs here: set \
                 GITHUB_WEBHOOK_SECRET (make one with: openssl rand -hex 32), or serve.github.webhook-secrets in \
                 the configuration"
            );
        }
        let server = match variable("GITHUB_SERVER_URL") {
            Some(url) => url.parse::<ServerUrl>().context("GITHUB_SERVER_URL is wrong")?,
            None => config.server_url.clone().unwrap_or_default(),
        };
        let addresses =
            Addresses { server, api: variable("GITHUB_API_URL").or_else(|| github.api_url.clone()) };
        let oauth_secret = variable("GITHUB_OAUTH_CLIENT_SECRET").map(Secret);
        let people = github
            .oauth
            .as_ref()
            .map(|oauth| oauth.people(oauth_secret, &addresses, config.serve.url.as_deref()));
        let clone_from = github.clone_from.as_deref().map(str::parse).transpose();
        Ok(Settings {
            listen: listen_address(config, listen, &variable)?,
            webhook_secrets: Secrets::new(secrets.iter().map(|secret| &secret.0))
                .context("a webhook secret is wrong")?,
            senders: config.serve.webhooks.senders()?,
            addresses,
            people: people.transpose()?,
            clone_from: clone_from.context("serve.github.clone-from of the configuration is wrong")?,
            token: variable("GITHUB_TOKEN").map(Secret).or_else(|| github.token.clone()),
            app: github.app.clone(),
            url: config.serve.url.as_ref().map(|url| url.trim_end_matches('/').to_owned()),
            running_workflows: match variable("MAX_CONCURRENT_WORKFLOWS") {
                Some(number) => Some(count(&number)?),
                None => at_least_one("serve.workflows", config.serve.workflows)?,
            },
            jobs_per_repository: at_least_one("serve.jobs-per-repository", config.serve.jobs_per_repository)?,
            call_timeout: variable("HTTP_CLIENT_TIMEOUT_SECS").map(|text| seconds(&text)).transpose()?,
        })
    }
}

fn is_address(url: &str) -> bool {
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    host.is_some_and(|host| !host.is_empty() && !host.contains(['?', '#', '@', ' ']))
}

/// With none at all, nothing would ever run.
pub(super) fn at_least_one(key: &str, number: Option<usize>) -> Result<Option<usize>> {
    match number {
        Some(0) => bail!("{key} of the configuration is 0, and nothing would ever run; the least is 1"),
        number => Ok(number),
    }
}

/// The longest that a call of the API may take: what waits longer has broken off.
const LONGEST_CALL_SECS: u64 = 3600;

fn seconds(number: &str) -> Result<Duration> {
    match number.parse() {
        Ok(seconds) if (1..=LONGEST_CALL_SECS).contains(&seconds) => Ok(Duration::from_secs(seconds)),
        _ => {
            bail!("HTTP_CLIENT_TIMEOUT_SECS is {number:?}; it must be seconds, from 1 to {LONGEST_CALL_SECS}")
        }
    }
}

fn count(number: &str) -> Result<usize> {
    match number.parse() {
        Ok(count) if count > 0 => Ok(count),
        _ => bail!("MAX_CONCURRENT_WORKFLOWS is {number:?}; it must be a number from 1"),
    }
}

/// The command line goes before the environment, and that before the file.
fn listen_address(
    config: &Config,
    listen: Option<SocketAddr>,
    variable: &impl Fn(&str) -> Option<String>,
) -> Result<SocketAddr> {
    let (host, port) = (variable("HOST"), variable("PORT"));
    if let Some(listen) = listen {
        return Ok(listen);
    }
    if let (None, None, Some(listen)) = (&host, &port, config.serve.listen) {
        return Ok(listen);
    }
    let (host, port) = (host.unwrap_or_else(|| HOST.to_owned()), port.unwrap_or_else(|| PORT.to_owned()));
    let bracketed =
        if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.clone() };
    let named = if host == "localhost" { HOST.to_owned() } else { bracketed };
    let address = format!("{named}:{port}");
    address
        .parse()
        .with_context(|| format!("can't listen on {address}: HOST must be an address, PORT a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(file: &str, variables: &[(&str, &str)]) -> Result<Settings> {
        let config: Config = serde_saphyr::from_str(file)?;
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        Settings::new(&config, None, variable)
    }

    const SECRET: (&str, &str) = ("GITHUB_WEBHOOK_SECRET", "0123456789abcdef0123456789abcdef");

    fn error(file: &str, variables: &[(&str, &str)]) -> String {
        settings(file, variables).err().map(|error| format!("{error:#}")).unwrap_or_default()
    }

    #[test]
    fn without_a_webhook_secret_there_is_no_server() {
        assert!(error("jobs: 1", &[]).contains("there is no webhook secret"));
        assert!(error("jobs: 1", &[("GITHUB_WEBHOOK_SECRET", "")]).contains("there is no webhook secret"));
        assert!(settings("jobs: 1", &[SECRET]).is_ok());
        assert!(
            settings("serve: {github: {webhook-secrets: [0123456789abcdef0123456789abcdef]}}", &[]).is_ok()
        );
    }

    #[test]
    fn the_environment_of_the_elder_server_means_the_same() {
        let all = settings(
            "serve: {listen: '127.0.0.1:9', workflows: 2}",
            &[
                SECRET,
                ("PORT", "8080"),
                ("HOST", "0.0.0.0"),
                ("MAX_CONCURRENT_WORKFLOWS", "7"),
                ("GITHUB_TOKEN", "t"),
                ("HTTP_CLIENT_TIMEOUT_SECS", "7"),
            ],
        )
        .unwrap();
        assert_eq!(all.call_timeout, Some(Duration::from_secs(7)));
        assert_eq!(all.listen.to_string(), "0.0.0.0:8080");
        assert_eq!((all.running_workflows, all.token), (Some(7), Some(Secret("t".to_owned()))));
        let usual = settings("jobs: 1", &[SECRET]).unwrap();
        assert_eq!(usual.listen.to_string(), "127.0.0.1:3000");
        let file = settings("serve: {listen: '127.0.0.1:9', workflows: 2}", &[SECRET]).unwrap();
        assert_eq!((file.listen.port(), file.running_workflows), (9, Some(2)));
    }

    #[test]
    fn wrong_values_are_refused_with_their_names() {
        for (file, variable, words) in [
            ("jobs: 1", ("PORT", "http"), "PORT a number"),
            ("jobs: 1", ("MAX_CONCURRENT_WORKFLOWS", "0"), "a number from 1"),
            ("jobs: 1", ("HTTP_CLIENT_TIMEOUT_SECS", "0"), "seconds, from 1"),
            ("jobs: 1", ("GITHUB_SERVER_URL", "github.com"), "GITHUB_SERVER_URL is wrong"),
            (
                "serve: {github: {clone-from: 'ext::sh'}}",
                ("X", ""),
                "clone-from of the configuration is wrong",
            ),
            ("serve: {github: {tokn: x}}", ("X", ""), "tokn"),
            (
                "serve: {url: 'https://ci.example', github: {oauth: {client-id: a, people: {mona: read}}}}",
                ("X", ""),
                "GITHUB_OAUTH_CLIENT_SECRET",
            ),
            (
                "serve: {github: {oauth: {client-id: a, client-secret: b, people: {mona: read}}}}",
                ("X", ""),
                "needs serve.url",
            ),
            (
                "serve: {url: 'https://ci.example', github: {oauth: {client-id: a}}}",
                ("GITHUB_OAUTH_CLIENT_SECRET", "b"),
                "lets nobody in",
            ),
            (
                "serve: {url: 'https://ci.example', github: {oauth: {client-id: a, client-secret: b, teams: {core: admin}}}}",
                ("X", ""),
                "write organisation/team",
            ),
        ] {
            let error = error(file, &[SECRET, variable]);
            assert!(error.contains(words), "{error}");
        }
    }
}
