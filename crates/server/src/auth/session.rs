//! Sessions of browsers: kept in memory, so that a restart signs everybody out.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::http::{HeaderMap, header};
use model::Timestamp;

use super::random;
use super::role::Role;
use super::token::digest;

/// The cookie's name over TLS: with this prefix browsers take it from this host alone, and only over TLS.
/// <https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/Set-Cookie#cookie_prefixes>
const SECURE_NAME: &str = "__Host-hearth";

/// The cookie's name without TLS.
const PLAIN_NAME: &str = "hearth";

/// Sessions at once, of some 200 bytes each: far more than a team has browsers. The one that ends first goes.
const SESSIONS: usize = 10_000;

/// A browser's session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// What the cookie holds.
    pub(super) id: String,
    /// What the server's own pages send back with every change.
    pub csrf: String,
    /// Whose it is.
    pub(super) holder: Holder,
    /// When it ends.
    pub ends_at: Timestamp,
}

/// Whose a session is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// The hash of the token that it was begun with, which may be revoked.
    Token([u8; 32]),
    /// Somebody whom the forge knows, and what they could do when they signed in.
    Person {
        /// Their name there.
        login: String,
        /// What they may do.
        role: Role,
    },
}

/// All sessions, by the hash of their ids: looking one up tells nothing of another.
#[derive(Default)]
pub(super) struct Sessions(Mutex<HashMap<[u8; 32], Session>>);

impl Sessions {
    pub(super) fn begin(&self, holder: Holder, ends_at: Timestamp, now: Timestamp) -> Session {
        let session = Session { id: random::secret(), csrf: random::secret(), holder, ends_at };
        let mut sessions = self.lock();
        if sessions.len() >= SESSIONS {
            sessions.retain(|_, session| session.ends_at > now);
        }
        if sessions.len() >= SESSIONS
            && let Some(first) =
                sessions.iter().min_by_key(|(_, session)| session.ends_at).map(|(key, _)| *key)
        {
            sessions.remove(&first);
        }
        sessions.insert(digest(&session.id), session.clone());
        session
    }

    pub(super) fn find(&self, id: &str, now: Timestamp) -> Option<Session> {
        let key = digest(id);
        let mut sessions = self.lock();
        if sessions.get(&key)?.ends_at <= now {
            sessions.remove(&key);
        }
        sessions.get(&key).cloned()
    }

    pub(super) fn end(&self, id: &str) {
        self.lock().remove(&digest(id));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The id of the session that a browser sends.
pub(super) fn cookie(headers: &HeaderMap, secure: bool) -> Option<&str> {
    let ours = if secure { SECURE_NAME } else { PLAIN_NAME };
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == ours).map(|(_, value)| value)
}

/// Makes a browser keep the session.
pub(super) fn set_cookie(session: &Session, now: Timestamp, secure: bool) -> String {
    of_cookie(&session.id, session.ends_at.since(now).as_secs(), secure)
}

/// Makes a browser forget the session.
pub(super) fn forget_cookie(secure: bool) -> String {
    of_cookie("", 0, secure)
}

fn of_cookie(value: &str, seconds: u64, secure: bool) -> String {
    let (name, flag) = if secure { (SECURE_NAME, "; Secure") } else { (PLAIN_NAME, "") };
    format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{flag}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_found_until_it_ends() {
        let sessions = Sessions::default();
        let session = sessions.begin(Holder::Token([1; 32]), Timestamp(10), Timestamp(0));
        assert_eq!(sessions.find(&session.id, Timestamp(9)), Some(session.clone()));
        assert_eq!(sessions.find(&session.csrf, Timestamp(9)), None);
        assert_eq!(sessions.find(&session.id, Timestamp(10)), None);
        assert!(sessions.lock().is_empty(), "it is forgotten");
    }

    #[test]
    fn when_there_are_too_many_the_one_that_ends_first_goes() {
        let sessions = Sessions::default();
        let first = sessions.begin(Holder::Token([1; 32]), Timestamp(10), Timestamp(0));
        let second = sessions.begin(Holder::Token([1; 32]), Timestamp(11), Timestamp(0));
        for _ in 2..=SESSIONS {
            sessions.begin(Holder::Token([1; 32]), Timestamp(20), Timestamp(0));
        }
        assert_eq!(sessions.lock().len(), SESSIONS);
        assert_eq!(sessions.find(&first.id, Timestamp(0)), None);
        assert!(sessions.find(&second.id, Timestamp(0)).is_some());
    }

    #[test]
    fn the_cookie_is_for_this_server_only() {
        let session = Sessions::default().begin(Holder::Token([1; 32]), Timestamp(90_000), Timestamp(0));
        let id = &session.id;
        let plain = set_cookie(&session, Timestamp(0), false);
        assert_eq!(plain, format!("hearth={id}; Path=/; Max-Age=90; HttpOnly; SameSite=Strict"));
        assert!(set_cookie(&session, Timestamp(0), true).starts_with("__Host-hearth="));
        assert!(set_cookie(&session, Timestamp(0), true).ends_with("; Secure"));
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, format!("a=b; hearth={id}").parse().unwrap());
        assert_eq!(cookie(&headers, false), Some(id.as_str()));
        assert_eq!(cookie(&headers, true), None, "it came over no TLS");
    }
}
