//! Who looks at a page.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use model::Timestamp;

use super::error::{self, PageError};
use super::runs::encoded;
pub use crate::auth::Role;
use crate::auth::{Auth, AuthError, Principal};

/// Who looks at a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Viewer {
    /// What people call them.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// What forms send back, so that no other site can make a browser send them. None without a session: such a
    /// viewer may look only.
    pub csrf: Option<String>,
}

impl Viewer {
    /// Whether they may do something of this role, from a page.
    #[must_use]
    pub fn may(&self, role: Role) -> bool {
        self.csrf.is_some() && self.role >= role
    }
}

impl From<Principal> for Viewer {
    fn from(principal: Principal) -> Viewer {
        let csrf = principal.session.map(|session| session.csrf);
        Viewer { name: principal.name, role: principal.role, csrf }
    }
}

/// Finds out who looks, for the handlers. Whoever must sign in first is led there, and back after.
pub(super) async fn recognise(State(auth): State<Arc<Auth>>, mut request: Request, next: Next) -> Response {
    match auth.identify(request.headers(), Timestamp::now()).await {
        Ok(principal) => {
            let viewer = Viewer::from(principal.clone());
            request.extensions_mut().insert(viewer.clone());
            request.extensions_mut().insert(principal);
            error::seen_by(next.run(request).await, &viewer)
        }
        Err(AuthError::Missing | AuthError::Over) if request.method() == Method::GET => {
            let wanted = request.uri().path_and_query().map_or("/", |wanted| wanted.as_str());
            Redirect::to(&format!("/sign-in?next={}", encoded(wanted))).into_response()
        }
        Err(error) => PageError::from(error).into_response(),
    }
}
