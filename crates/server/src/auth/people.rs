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
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, header};
use forge::github::oauth::{Group, OAuthApp, OAuthError, Person};
use model::Timestamp;
use store::{Change, Store, StoreError};
use tracing::warn;

use super::random;
use super::role::Role;
use super::token::{digest, same};
use crate::rate::{Limiter, Rate};

/// How long somebody stays signed in: a working day. Who is no longer a member at the forge may do nothing here
/// after it.
pub(super) const SESSION_LIFE: Duration = Duration::from_secs(12 * 60 * 60);

/// How long signing in at the forge may take; its own code is good for as long.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// Browsers that are on their way at once, of some 300 bytes each; the one that left first is given up for the next.
const UNDERWAY: usize = 1000;

/// Browsers that set out from one address in a minute: more than a team behind one does, and so few that those of one
/// address, all of which are on their way, leave room for others.
const DEPARTURES: u32 = 60;

const _: () =
    assert!(DEPARTURES as u64 * (PATIENCE.as_secs() / 60 + 1) < UNDERWAY as u64, "one can't push others out");

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
    Login {
        /// It, in any case.
        login: String,
        /// The one account that is meant; without it, the one that signs in first.
        id: Option<u64>,
    },
    /// Everybody of a group.
    Group(Group),
}

/// Who may sign in, and those who are about to.
pub struct People {
    app: OAuthApp,
    roles: Vec<(Who, Role)>,
    redirect: String,
    underway: Mutex<HashMap<[u8; 32], Underway>>,
    departures: Limiter,
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
    /// The forge's number for them.
    pub(crate) id: u64,
    /// Whether the configuration says that this account is meant.
    pub(crate) is_named: bool,
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
        "@{0} has no role on this server; whoever runs it gives one in its configuration, below serve.github.oauth"
    )]
    Nobody(String),
    /// The login was somebody else's.
    #[error(
        "another GitHub account was {login} here before; if this one is right, whoever runs the server says so in its \
         configuration: the server's log has the words"
    )]
    Another {
        /// The login.
        login: String,
        /// The account that has it now.
        id: u64,
        /// The account that had it.
        before: u64,
    },
    /// Where pins are kept can't be asked.
    #[error("who you are can't be looked up here now; try again")]
    Store(#[from] StoreError),
    /// GitHub does not say who they are.
    #[error(transparent)]
    Unknown(#[from] OAuthError),
}

impl People {
    /// Who may sign in with an app; `url` is where people reach this server.
    #[must_use]
    pub fn new(app: OAuthApp, roles: Vec<(Who, Role)>, url: &str) -> People {
        let redirect = format!("{}{BACK}", url.trim_end_matches('/'));
        let departures = Limiter::new(Rate { per_minute: DEPARTURES });
        People { app, roles, redirect, underway: Mutex::default(), departures }
    }

    /// Whether somebody at this address may set out; if not, how long until they may.
    pub(crate) fn may_leave(&self, client: IpAddr) -> Result<(), Duration> {
        self.departures.take(client)
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
        let role = self.role(&person).ok_or(NotLetIn::Nobody(person.login.clone()))?;
        let is_named = self.roles.iter().any(|(who, _)| who.names(&person));
        Ok(Entry { login: person.login, id: person.id, is_named, role, next: found.next })
    }

    fn groups(&self) -> impl Iterator<Item = &Group> {
        self.roles.iter().filter_map(|(who, _)| match who {
            Who::Group(group) => Some(group),
            Who::Login { .. } => None,
        })
    }

    /// The highest role of all that are somebody's.
    fn role(&self, person: &Person) -> Option<Role> {
        let is_theirs = |who: &Who| match who {
            Who::Login { login, id } => {
                login.eq_ignore_ascii_case(&person.login) && id.is_none_or(|id| id == person.id)
            }
            Who::Group(group) => person.groups.contains(group),
        };
        self.roles.iter().filter(|(who, _)| is_theirs(who)).map(|(_, role)| *role).max()
    }
}

impl Who {
    /// Whether it says that this very account is meant.
    fn names(&self, person: &Person) -> bool {
        matches!(self, Who::Login { login, id } if login.eq_ignore_ascii_case(&person.login) && *id == Some(person.id))
    }
}

/// Sees to it that a login means the account that first signed in with it, or that the configuration names: whoever
/// takes a login over gets nothing of what it has here, a role or a word as a reviewer.
pub(super) async fn pin(store: &dyn Store, entry: &Entry) -> Result<(), NotLetIn> {
    let key = format!("person/{}", entry.login.to_ascii_lowercase());
    let before = store.setting(&key).await?.and_then(|id| id.as_u64());
    if before == Some(entry.id) {
        return Ok(());
    }
    if let Some(before) = before.filter(|_| !entry.is_named) {
        let (login, id) = (entry.login.clone(), entry.id);
        warn!(
            login,
            id,
            before,
            "another account of the same login wants to sign in; if it is right, give it its role with its number in \
             serve.github.oauth: `people: {{{login}: {{role: read, id: {id}}}}}`"
        );
        return Err(NotLetIn::Another { login, id, before });
    }
    Ok(store.apply(vec![Change::Setting { key, value: entry.id.into() }]).await?)
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
            (Who::Login { login: "Mona".to_owned(), id: None }, Role::Admin),
            (Who::Login { login: "ada".to_owned(), id: Some(7) }, Role::Operate),
            (Who::Group(octo.clone()), Role::Read),
        ]);
        let role = |login: &str, id, groups: &[Group]| {
            all.role(&Person { login: login.to_owned(), id, groups: groups.to_vec() })
        };
        assert_eq!(role("mona", 1, std::slice::from_ref(&octo)), Some(Role::Admin));
        assert_eq!(role("eve", 2, &[octo]), Some(Role::Read));
        assert_eq!(role("eve", 2, &[]), None);
        assert_eq!((role("Ada", 7, &[]), role("ada", 8, &[])), (Some(Role::Operate), None));
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
