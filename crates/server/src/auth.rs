//! Who asks, and what they may: tokens for programs, sessions for browsers.
//!
//! [`Auth::identify`] finds out who a request comes from, and [`Principal::may_change`] whether a browser meant to
//! send it. What each [`Role`] may do is said where the routes are.

pub mod people;
mod random;
mod role;
pub mod session;
pub mod token;

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, Method, header};
use model::Timestamp;
use store::record::Token;
use store::{Store, StoreError};

use people::{Entry, NotLetIn, People};
pub use role::Role;
use session::{Holder, Session, Sessions};

/// The header in which a page's script sends back the session's secret.
pub const CSRF_HEADER: &str = "x-csrf-token";

/// How long a browser stays signed in: a working week, so that nobody signs in twice a day.
pub const SESSION_LIFE: Duration = Duration::from_secs(5 * 24 * 60 * 60);

/// What the operator decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuthConfig {
    /// Whether anybody may read, without a token.
    pub anonymous_read: bool,
    /// Whether people reach the server over TLS, so that cookies go no other way.
    pub secure_cookies: bool,
}

/// Lets in who may come in.
pub struct Auth {
    store: Arc<dyn Store>,
    config: AuthConfig,
    sessions: Sessions,
    people: Option<People>,
}

/// Who a request comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The name of the token.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// The browser's session, where the request came with one.
    pub session: Option<Session>,
}

/// Why somebody is not let in.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// Neither a token nor a session.
    #[error("no token: send the header `Authorization: Bearer hearth_...`; `hearth token` makes one")]
    Missing,
    /// Not one of this server's, or no longer.
    #[error("the token is not one of this server's, was revoked, or has expired")]
    Unknown,
    /// The session is over.
    #[error("the session is over; sign in again")]
    Over,
    /// Less than what is needed.
    #[error("this needs the role {needed}, and {name} has the role {has}")]
    Forbidden {
        /// Who.
        name: String,
        /// What they have.
        has: Role,
        /// What is needed.
        needed: Role,
    },
    /// Another site may have made the browser send it.
    #[error("the request does not come from this server's own pages: {0}")]
    Foreign(&'static str),
    /// The store can't be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Auth {
    /// With no session yet.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, config: AuthConfig) -> Auth {
        Auth { store, config, sessions: Sessions::default(), people: None }
    }

    /// The same, and people whom the forge knows may sign in there.
    #[must_use]
    pub fn with_people(self, people: People) -> Auth {
        Auth { people: Some(people), ..self }
    }

    /// Who may sign in at the forge, if anybody may.
    #[must_use]
    pub fn people(&self) -> Option<&People> {
        self.people.as_ref()
    }

    /// Who a request comes from: its token's holder, or else its session's, or else anybody, where anybody may read.
    ///
    /// # Errors
    /// What it shows is not valid any more, or it shows nothing and nobody may read so.
    pub async fn identify(&self, headers: &HeaderMap, now: Timestamp) -> Result<Principal, AuthError> {
        if let Some(secret) = token::bearer(headers) {
            let token = self.token(&token::digest(secret), now).await?.ok_or(AuthError::Unknown)?;
            return Ok(Principal { name: token.name, role: Role::of(&token.role), session: None });
        }
        let session =
            session::cookie(headers, self.config.secure_cookies).map(|id| self.sessions.find(id, now));
        match session {
            Some(Some(session)) => self.holder(session, now).await,
            // Whoever may read without signing in may also read when a session is over.
            None | Some(None) if self.config.anonymous_read => Ok(Principal::anybody()),
            Some(None) => Err(AuthError::Over),
            None => Err(AuthError::Missing),
        }
    }

    /// Who a session belongs to. One that was begun with a token ends with it.
    async fn holder(&self, session: Session, now: Timestamp) -> Result<Principal, AuthError> {
        let digest = match &session.holder {
            Holder::Person { login, role } => {
                return Ok(Principal { name: format!("@{login}"), role: *role, session: Some(session) });
            }
            Holder::Token(digest) => digest,
        };
        let Some(token) = self.token(digest, now).await? else {
            self.sessions.end(&session.id);
            return Err(AuthError::Over);
        };
        Ok(Principal { name: token.name, role: Role::of(&token.role), session: Some(session) })
    }

    async fn token(&self, digest: &[u8; 32], now: Timestamp) -> Result<Option<Token>, StoreError> {
        let token = self.store.token(digest).await?;
        Ok(token.filter(|token| token.expires_at.is_none_or(|end| end > now)))
    }

    /// Begins a session for the holder of a token. Gives the value of `Set-Cookie`.
    ///
    /// # Errors
    /// The token is not valid.
    pub async fn sign_in(&self, secret: &str, now: Timestamp) -> Result<String, AuthError> {
        let digest = token::digest(secret.trim());
        let token = self.token(&digest, now).await?.ok_or(AuthError::Unknown)?;
        let longest = now.after(SESSION_LIFE);
        let end = token.expires_at.map_or(longest, |end| end.min(longest));
        let session = self.sessions.begin(Holder::Token(digest), end, now);
        Ok(session::set_cookie(&session, now, self.config.secure_cookies))
    }

    /// Begins a session for somebody whom the forge knows. Gives the value of `Set-Cookie`.
    ///
    /// # Errors
    /// Somebody else had the login before.
    pub(crate) async fn let_in(&self, entry: &Entry, now: Timestamp) -> Result<String, NotLetIn> {
        people::pin(&*self.store, entry).await?;
        let holder = Holder::Person { login: entry.login.clone(), role: entry.role };
        let session = self.sessions.begin(holder, now.after(people::SESSION_LIFE), now);
        Ok(session::set_cookie(&session, now, self.config.secure_cookies))
    }

    /// Whether cookies go over TLS only.
    pub(crate) fn has_secure_cookies(&self) -> bool {
        self.config.secure_cookies
    }

    /// Ends the session of a request. Gives the value of `Set-Cookie` that makes the browser forget it.
    pub fn sign_out(&self, headers: &HeaderMap) -> String {
        if let Some(id) = session::cookie(headers, self.config.secure_cookies) {
            self.sessions.end(id);
        }
        session::forget_cookie(self.config.secure_cookies)
    }
}

impl Principal {
    /// Nobody in particular.
    fn anybody() -> Principal {
        Principal { name: "anybody".to_owned(), role: Role::Read, session: None }
    }

    /// Whether the role suffices.
    ///
    /// # Errors
    /// It does not.
    pub fn needs(&self, needed: Role) -> Result<(), AuthError> {
        match self.role >= needed {
            true => Ok(()),
            false => Err(AuthError::Forbidden { name: self.name.clone(), has: self.role, needed }),
        }
    }

    /// Whether a request that changes something was meant. A browser sends its cookie with whatever page makes it
    /// send a request; `csrf` is what only pages of this server know: from [`CSRF_HEADER`], or the form's field.
    /// A request with a token needs none, as no browser sends one on its own.
    ///
    /// # Errors
    /// Another site may have made the browser send it.
    pub fn may_change(&self, headers: &HeaderMap, csrf: Option<&str>) -> Result<(), AuthError> {
        let Some(session) = &self.session else { return Ok(()) };
        own_origin(headers)?;
        match csrf {
            Some(csrf) if token::same(csrf, &session.csrf) => Ok(()),
            Some(_) => Err(AuthError::Foreign("its token against forgery is that of another session")),
            None => Err(AuthError::Foreign("it has no token against forgery")),
        }
    }
}

/// Whether a method may change something.
#[must_use]
pub fn changes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Whether `Origin`, where a browser sends it, names the host that the request was sent to.
///
/// # Errors
/// It names another.
pub fn own_origin(headers: &HeaderMap) -> Result<(), AuthError> {
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().unwrap_or_default();
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let named = origin.split_once("://").map(|(_, host)| host);
    match (named, host) {
        (Some(named), Some(host)) if named.eq_ignore_ascii_case(host) => Ok(()),
        _ => Err(AuthError::Foreign("its Origin is another host")),
    }
}
