//! People who sign in at the forge, and what they may do here.
//!
//! ```text
//! begin ──► waits for the browser to come back ──► role, and a session
//!               │ ten minutes, another browser,        │
//!               ▼ no at the forge                      ▼ nobody here
//!            refused                                refused
//! ```
//!
//! A browser is told by a cookie apart from all others, so that nobody can be signed in as somebody else by a link
//! (<https://datatracker.ietf.org/doc/html/rfc6749#section-10.12>).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, header};
use forge::github::oauth::{Group, OAuthApp, OAuthError};
use model::Timestamp;

use super::random;
use super::role::Role;
use super::token::{digest, same};

/// How long somebody stays signed in: a working day. Who is no longer a member at the forge may do nothing here
/// after it.
pub(super) const SESSION_LIFE: Duration = Duration::from_secs(12 * 60 * 60);

/// How long signing in at the forge may take; its own code is good for as long.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// Browsers that are on their way at once, of some 300 bytes each; the one that left first is given up for the next.
const UNDERWAY: usize = 1000;

/// The cookie that a browser takes along.
const COOKIE: &str = "hearth-sign-in";

/// The same over TLS: browsers take it from this host alone, so that no neighbour plants a sign-in of their own.
const SECURE_COOKIE: &str = "__Host-hearth-sign-in";

/// Where the forge sends browsers back to, below the server's address.
pub const BACK: &str = "/sign-in/github/back";

/// Who somebody is at the forge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// One person, by their login.
    Login(String),
    /// Everybody of a group.
    Group(Group),
}

/// Who may sign in, and those who are about to.
pub struct People {
    app: OAuthApp,
    roles: Vec<(Who, Role)>,
    redirect: String,
    underway: Mutex<HashMap<[u8; 32], Underway>>,
}

/// A browser that was sent to the forge.
struct Underway {
    verifier: String,
    next: String,
    begun_at: Timestamp,
}

/// Somebody who may come in.
pub(crate) struct Entry {
    pub(crate) login: String,
    pub(crate) role: Role,
    /// The page that they wanted.
    pub(crate) next: String,
}

/// Why somebody who comes from the forge is not let in.
#[derive(Debug, thiserror::Error)]
pub enum NotLetIn {
    /// They said no there.
    #[error("GitHub was not allowed to say who you are ({0})")]
    Denied(String),
    /// It took too long, was begun in another browser, or comes a second time.
    #[error("this sign-in was not begun in this browser, or more than ten minutes ago")]
    Stale,
    /// They are nobody here.
    #[error(
        "{0} has no role on this server; whoever runs it gives one in its configuration, below serve.github.oauth"
    )]
    Nobody(String),
    /// GitHub does not say who they are.
    #[error(transparent)]
    Unknown(#[from] OAuthError),
}

impl People {
    /// Who may sign in with an app; `url` is where people reach this server.
    #[must_use]
    pub fn new(app: OAuthApp, roles: Vec<(Who, Role)>, url: &str) -> People {
        let redirect = format!("{}{BACK}", url.trim_end_matches('/'));
        People { app, roles, redirect, underway: Mutex::default() }
    }

    /// Where a browser is sent, and the cookie that it takes along.
    pub(crate) fn begin(&self, next: &str, secure: bool, now: Timestamp) -> (String, String) {
        let (state, verifier) = (random::secret(), random::secret());
        let address = self.app.address(&self.redirect, &state, &verifier, self.groups().next().is_some());
        let underway = Underway { verifier, next: next.to_owned(), begun_at: now };
        let mut all = self.underway.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, one| one.begun_at.after(PATIENCE) > now);
        if all.len() >= UNDERWAY
            && let Some(first) = all.iter().min_by_key(|(_, one)| one.begun_at).map(|(key, _)| *key)
        {
            all.remove(&first);
        }
        all.insert(digest(&state), underway);
        (address, of_cookie(&state, PATIENCE.as_secs(), secure))
    }

    /// Who comes back with these answers of the forge.
    pub(crate) async fn finish(
        &self,
        headers: &HeaderMap,
        state: &str,
        answer: Result<&str, &str>,
        secure: bool,
        now: Timestamp,
    ) -> Result<Entry, NotLetIn> {
        let ours = if secure { SECURE_COOKIE } else { COOKIE };
        let is_ours = cookie(headers, ours).is_some_and(|own| same(own, state));
        let found = self.underway.lock().unwrap_or_else(PoisonError::into_inner).remove(&digest(state));
        let found =
            found.filter(|one| is_ours && one.begun_at.after(PATIENCE) > now).ok_or(NotLetIn::Stale)?;
        let code = answer.map_err(|reason| NotLetIn::Denied(reason.to_owned()))?;
        let person = self.app.identify(code, &found.verifier, &self.redirect, self.groups()).await?;
        let role = self.role(&person.login, &person.groups).ok_or(NotLetIn::Nobody(person.login.clone()))?;
        Ok(Entry { login: person.login, role, next: found.next })
    }

    fn groups(&self) -> impl Iterator<Item = &Group> {
        self.roles.iter().filter_map(|(who, _)| match who {
            Who::Group(group) => Some(group),
            Who::Login(_) => None,
        })
    }

    /// The highest role of all that are somebody's.
    fn role(&self, login: &str, groups: &[Group]) -> Option<Role> {
        let is_theirs = |who: &Who| match who {
            Who::Login(name) => name.eq_ignore_ascii_case(login),
            Who::Group(group) => groups.contains(group),
        };
        self.roles.iter().filter(|(who, _)| is_theirs(who)).map(|(_, role)| *role).max()
    }
}

/// What makes a browser forget its cookie.
pub(crate) fn forget_cookie(secure: bool) -> String {
    of_cookie("", 0, secure)
}

/// Lax: a browser that the forge sends back must bring it.
fn of_cookie(value: &str, seconds: u64, secure: bool) -> String {
    let (name, flag) = if secure { (SECURE_COOKIE, "; Secure") } else { (COOKIE, "") };
    format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{flag}")
}

fn cookie<'a>(headers: &'a HeaderMap, ours: &str) -> Option<&'a str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == ours).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Secret;

    fn people(roles: Vec<(Who, Role)>) -> People {
        let app = OAuthApp {
            server: "https://github.com".to_owned(),
            api: "https://api.github.com".to_owned(),
            client_id: "id".to_owned(),
            client_secret: Secret("secret".to_owned()),
        };
        People::new(app, roles, "https://ci.example.com/")
    }

    #[test]
    fn somebody_has_the_highest_role_of_all_that_they_are_and_nobody_else_has_any() {
        let octo = Group::Organisation("octo".to_owned());
        let all = people(vec![
            (Who::Login("Mona".to_owned()), Role::Admin),
            (Who::Group(octo.clone()), Role::Read),
        ]);
        assert_eq!(all.role("mona", std::slice::from_ref(&octo)), Some(Role::Admin));
        assert_eq!(all.role("eve", &[octo]), Some(Role::Read));
        assert_eq!(all.role("eve", &[]), None);
    }

    #[tokio::test]
    async fn who_comes_late_or_in_another_browser_or_twice_is_not_let_in() {
        let people = people(Vec::new());
        let back = |cookie: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, cookie.split(';').next().unwrap().parse().unwrap());
            headers
        };
        let state = |cookie: &str| cookie.split([';', '=']).nth(1).unwrap().to_owned();
        let at = Timestamp(0);
        let said = async |headers: &HeaderMap, state: &str, now: Timestamp| {
            people
                .finish(headers, state, Err("access_denied"), true, now)
                .await
                .map(|entry| entry.login)
                .unwrap_err()
        };
        let (_, cookie) = people.begin("/", true, at);
        let (headers, state_of_it) = (back(&cookie), state(&cookie));
        assert!(matches!(said(&headers, &state_of_it, at).await, NotLetIn::Denied(_)));
        assert!(matches!(said(&headers, &state_of_it, at).await, NotLetIn::Stale), "it comes a second time");
        let (_, cookie) = people.begin("/", true, at);
        let late = at.after(PATIENCE);
        assert!(matches!(said(&back(&cookie), &state(&cookie), late).await, NotLetIn::Stale));
        let (_, cookie) = people.begin("/", true, at);
        assert!(matches!(said(&HeaderMap::new(), &state(&cookie), at).await, NotLetIn::Stale));
        let (_, other) = people.begin("/", true, at);
        assert!(matches!(said(&back(&other), &state(&cookie), at).await, NotLetIn::Stale));
    }
}
