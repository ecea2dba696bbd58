//! Tokens of an App's installations.
//!
//! <https://docs.github.com/en/rest/apps/apps#create-an-installation-access-token-for-an-app>

use std::collections::BTreeMap;
use std::sync::Mutex;

use jiff::Timestamp;
use model::Secret;
use serde_json::{Value as Json, json};

use crate::github::client::Call;

/// Seconds that a token must still be good for to be given again. Tokens last for an hour.
const MIN_LEFT: u64 = 10 * 60;

/// Tokens that are remembered; more than a busy server uses in an hour, and each is small.
const MAX_KEPT: usize = 1000;

/// A token that is wanted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenRequest {
    /// Of which installation.
    pub installation: u64,
    /// For these repositories only, by their names without owner; empty: for all of the installation.
    pub repositories: Vec<String>,
    /// The same by their numbers, which nobody takes over with a name.
    pub repository_ids: Vec<u64>,
    /// With these permissions only (`contents` → `read`); `None`: with all of the installation.
    pub permissions: Option<BTreeMap<String, String>>,
}

/// A token that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Minted {
    /// The token.
    pub token: Secret,
    /// When it ends, in seconds since 1970.
    pub expires: u64,
    /// What it may do (`contents` → `read`), as GitHub says.
    pub permissions: BTreeMap<String, String>,
}

impl TokenRequest {
    /// All that an installation may do.
    pub fn whole(installation: u64) -> TokenRequest {
        TokenRequest { installation, repositories: Vec::new(), repository_ids: Vec::new(), permissions: None }
    }

    pub(crate) fn call(&self) -> Call {
        let mut body = json!({});
        if !self.repositories.is_empty() {
            body["repositories"] = json!(self.repositories);
        }
        if !self.repository_ids.is_empty() {
            body["repository_ids"] = json!(self.repository_ids);
        }
        if let Some(permissions) = &self.permissions {
            body["permissions"] = json!(permissions);
        }
        let path = format!("/app/installations/{}/access_tokens", self.installation);
        // A token that nobody got is forgotten within the hour.
        Call::post(path, format!("make a token of installation {}", self.installation), body).repeatable()
    }
}

impl Minted {
    /// Reads GitHub's answer.
    pub(crate) fn of(answer: &Json) -> Result<Minted, String> {
        let text = |field: &str| answer[field].as_str().ok_or_else(|| format!("it has no {field}"));
        let expires: Timestamp =
            text("expires_at")?.parse().map_err(|error| format!("expires_at is no time: {error}"))?;
        let expires = u64::try_from(expires.as_second()).unwrap_or(0);
        let permissions = answer["permissions"].as_object().into_iter().flatten();
        let permissions =
            permissions.filter_map(|(name, access)| Some((name.clone(), access.as_str()?.into())));
        Ok(Minted { token: Secret(text("token")?.to_owned()), expires, permissions: permissions.collect() })
    }
}

/// Tokens that are still good.
#[derive(Default)]
pub(crate) struct Tokens(Mutex<BTreeMap<TokenRequest, Minted>>);

impl Tokens {
    pub(crate) fn get(&self, request: &TokenRequest, now: u64) -> Option<Minted> {
        self.kept().get(request).filter(|minted| minted.expires > now.saturating_add(MIN_LEFT)).cloned()
    }

    pub(crate) fn put(&self, request: &TokenRequest, minted: &Minted, now: u64) {
        let mut kept = self.kept();
        kept.retain(|_, minted| minted.expires > now);
        if kept.len() < MAX_KEPT {
            kept.insert(request.clone(), minted.clone());
        }
    }

    pub(crate) fn forget(&self, request: &TokenRequest) -> bool {
        self.kept().remove(request).is_some()
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, BTreeMap<TokenRequest, Minted>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minted(expires: u64) -> Minted {
        Minted { token: Secret("ghs_x".into()), expires, permissions: BTreeMap::new() }
    }

    #[test]
    fn a_token_is_given_again_until_it_is_about_to_end() {
        let (tokens, request) = (Tokens::default(), TokenRequest::whole(1));
        tokens.put(&request, &minted(10_000), 6_400);
        assert_eq!(tokens.get(&request, 9_399), Some(minted(10_000)));
        assert_eq!(tokens.get(&request, 9_400), None);
    }

    #[test]
    fn tokens_that_may_do_different_things_are_different() {
        let tokens = Tokens::default();
        let read = Some(BTreeMap::from([("contents".to_owned(), "read".to_owned())]));
        let request = TokenRequest { permissions: read, ..TokenRequest::whole(1) };
        tokens.put(&request, &minted(10_000), 0);
        for other in [
            TokenRequest::whole(1),
            TokenRequest { permissions: Some(BTreeMap::new()), ..request.clone() },
            TokenRequest { repositories: vec!["hello".into()], ..request.clone() },
        ] {
            assert_eq!(tokens.get(&other, 0), None, "{other:?}");
        }
        assert!(tokens.forget(&request) && !tokens.forget(&request));
    }

    #[test]
    fn what_is_asked_for_is_what_githubs_schema_has() {
        assert_eq!(TokenRequest::whole(9).call().body, Some(json!({})));
        let request = TokenRequest {
            installation: 9,
            repositories: vec!["hello".into()],
            repository_ids: vec![1],
            permissions: Some(BTreeMap::from([("contents".into(), "read".into())])),
        };
        let call = request.call();
        assert_eq!(call.path, "/app/installations/9/access_tokens");
        let asked =
            json!({"repositories": ["hello"], "repository_ids": [1], "permissions": {"contents": "read"}});
        assert_eq!(call.body, Some(asked));
    }

    #[test]
    fn an_answer_without_a_token_or_a_time_is_no_token() {
        let answer = json!({"token": "ghs_x", "expires_at": "2026-11-21T18:00:00Z"});
        assert_eq!(Minted::of(&answer).unwrap(), minted(1_795_284_000));
        let answer =
            json!({"token": "x", "expires_at": "2026-11-21T18:00:00Z", "permissions": {"contents": "read"}});
        assert_eq!(Minted::of(&answer).unwrap().permissions["contents"], "read");
        assert!(Minted::of(&json!({"token": "ghs_x"})).unwrap_err().contains("no expires_at"));
        assert!(Minted::of(&json!({"expires_at": "2026-11-21T18:00:00Z"})).unwrap_err().contains("no token"));
    }
}
