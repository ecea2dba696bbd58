//! Webhooks that GitHub sent, and that may have got lost while nobody was listening: GitHub never sends one again by
//! itself.
//!
//! <https://docs.github.com/en/webhooks/testing-and-troubleshooting-webhooks/redelivering-webhooks>

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde_json::Value as Json;

use super::client::{Call, Client, ClientError, Method, segment};
use crate::repository::RepositoryName;

/// How often a webhook is sent at most: one that fails this often is refused for what it is.
const MAX_ATTEMPTS: usize = 3;

/// Whose webhooks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hook {
    /// The App's; asked as the App.
    App,
    /// One that somebody has set up.
    Of {
        /// Where.
        holder: Holder,
        /// Its number, of the ping and of [`hooks`].
        hook: u64,
    },
}

/// What has webhooks of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A repository.
    Repository(RepositoryName),
    /// An organisation, which tells of all its repositories.
    Organisation(String),
}

impl Holder {
    fn path(&self) -> String {
        match self {
            Holder::Repository(name) => format!("/repos/{name}/hooks"),
            Holder::Organisation(name) => format!("/orgs/{}/hooks", segment(name)),
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Holder::Repository(name) => name.fmt(f),
            Holder::Organisation(name) => write!(f, "the organisation {name}"),
        }
    }
}

/// One attempt to deliver a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Of this attempt; what it is sent again by.
    pub id: u64,
    /// `X-GitHub-Delivery`: the same for all attempts.
    pub guid: String,
    /// When, in seconds since 1970.
    pub at: u64,
    /// What was answered; 0 where nothing was.
    pub status: u16,
    /// Which event.
    pub event: String,
    /// What was done.
    pub action: Option<String>,
    /// The repository's number.
    pub repository: Option<u64>,
}

impl Delivery {
    /// Whether it was taken.
    pub fn was_taken(&self) -> bool {
        (200..300).contains(&self.status)
    }

    fn of(json: &Json) -> Option<Delivery> {
        let at: Timestamp = json["delivered_at"].as_str()?.parse().ok()?;
        Some(Delivery {
            id: json["id"].as_u64()?,
            guid: json["guid"].as_str()?.to_owned(),
            at: u64::try_from(at.as_second()).ok()?,
            status: json["status_code"].as_u64().and_then(|status| u16::try_from(status).ok()).unwrap_or(0),
            event: json["event"].as_str().unwrap_or_default().to_owned(),
            action: json["action"].as_str().map(str::to_owned),
            repository: json["repository_id"].as_u64(),
        })
    }
}

/// A webhook, as the settings of a repository or an organisation show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnHook {
    /// Its number.
    pub id: u64,
    /// Where it is sent.
    pub url: String,
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Hook::App => f.write_str("the App"),
            Hook::Of { holder, hook } => write!(f, "webhook {hook} of {holder}"),
        }
    }
}

impl Hook {
    fn path(&self) -> String {
        match self {
            Hook::App => "/app/hook/deliveries".to_owned(),
            Hook::Of { holder, hook } => format!("{}/{hook}/deliveries", holder.path()),
        }
    }
}

/// The active webhooks of a repository, or of an organisation. It takes the permission to read them, which GitHub calls
/// `Webhooks`.
/// <https://docs.github.com/en/rest/repos/webhooks#list-repository-webhooks>,
/// <https://docs.github.com/en/rest/orgs/webhooks#list-organization-webhooks>
pub async fn hooks(client: &Client, holder: &Holder) -> Result<Vec<OwnHook>, ClientError> {
    let call = Call::get(format!("{}?per_page=100", holder.path()), format!("list webhooks of {holder}"));
    let listed = client.list(&call, Json::as_array, |_| false).await?;
    let active = listed.iter().filter(|hook| hook["active"] != false);
    let hook = |hook: &Json| {
        let url = hook.pointer("/config/url").and_then(Json::as_str)?.to_owned();
        Some(OwnHook { id: hook["id"].as_u64()?, url })
    };
    Ok(active.filter_map(hook).collect())
}

/// The attempts since a time in seconds since 1970, newest first. GitHub remembers those of some days.
pub async fn since(client: &Client, hook: &Hook, time: u64) -> Result<Vec<Delivery>, ClientError> {
    let call = Call::get(format!("{}?per_page=100", hook.path()), format!("list deliveries of {}", hook));
    let is_older = |json: &Json| Delivery::of(json).is_some_and(|delivery| delivery.at < time);
    let listed = client.list(&call, Json::as_array, is_older).await?;
    Ok(listed.iter().filter_map(Delivery::of).filter(|delivery| delivery.at >= time).collect())
}

/// The attempts to repeat, oldest first: of each webhook that was never taken, that nobody here knows, and that has not
/// failed too often.
pub fn missed(deliveries: &[Delivery], is_known: impl Fn(&str) -> bool) -> Vec<u64> {
    let mut webhooks: BTreeMap<&str, Vec<&Delivery>> = BTreeMap::new();
    for delivery in deliveries {
        webhooks.entry(&delivery.guid).or_default().push(delivery);
    }
    let is_missed = |(guid, attempts): &(&str, Vec<&Delivery>)| {
        attempts.len() < MAX_ATTEMPTS
            && !attempts.iter().any(|attempt| attempt.was_taken())
            && !is_known(guid)
    };
    let attempts = webhooks.into_iter().filter(is_missed);
    let mut last: Vec<&Delivery> = attempts
        .filter_map(|(_, attempts)| attempts.into_iter().max_by_key(|attempt| (attempt.at, attempt.id)))
        .collect();
    last.sort_by_key(|attempt| (attempt.at, attempt.id));
    last.into_iter().map(|attempt| attempt.id).collect()
}

/// Has a webhook sent again.
pub async fn redeliver(client: &Client, hook: &Hook, id: u64) -> Result<(), ClientError> {
    let what = format!("have delivery {id} of {} sent again", hook);
    // A webhook that comes twice is known by its guid.
    let path = format!("{}/{id}/attempts", hook.path());
    let call = Call { method: Method::Post, path, body: None, what, repeatable: true };
    client.call(&call).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(id: u64, guid: &str, status: u16) -> Delivery {
        Delivery {
            id,
            guid: guid.into(),
            at: id,
            status,
            event: "push".into(),
            action: None,
            repository: None,
        }
    }

    #[test]
    fn only_what_nobody_took_is_sent_again() {
        let deliveries = [
            attempt(9, "late", 0),
            attempt(8, "again", 502),
            attempt(7, "taken at last", 200),
            attempt(6, "taken at last", 0),
            attempt(5, "again", 0),
            attempt(4, "known", 0),
            attempt(3, "hopeless", 500),
            attempt(2, "hopeless", 500),
            attempt(1, "hopeless", 500),
        ];
        assert_eq!(missed(&deliveries, |guid| guid == "known"), [8, 9]);
        assert_eq!(missed(&[], |_| false), [] as [u64; 0]);
    }
}
