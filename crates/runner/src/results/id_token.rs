//! OIDC tokens, as `core.getIDToken()` asks for them.
//!
//! <https://docs.github.com/en/actions/reference/security/oidc#methods-for-requesting-the-oidc-token>

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Service;
use super::twirp::{TwirpError, bearer};

/// Where tokens are; the query is the clients' own.
pub(super) const PATH: &str = "/id-token";

/// Longest audience, in bytes: an address fits in.
const AUDIENCE_BYTES: usize = 1024;

/// What is asked for. Clients add more, such as a version.
#[derive(Deserialize)]
pub(super) struct Wanted {
    audience: Option<String>,
}

pub(super) async fn give(
    State(service): State<Arc<Service>>,
    Query(Wanted { audience }): Query<Wanted>,
    headers: HeaderMap,
) -> Result<Json<Value>, TwirpError> {
    let lease = bearer(&headers).and_then(|token| service.key.open_identity(token));
    let identity = lease.and_then(|lease| service.leases.identity(lease));
    let identity = identity.ok_or_else(TwirpError::unauthenticated)?;
    let audience = audience.filter(|audience| !audience.is_empty());
    if audience.as_ref().is_some_and(|audience| audience.len() > AUDIENCE_BYTES) {
        return Err(TwirpError::invalid(format!("the audience has more than {AUDIENCE_BYTES} bytes")));
    }
    let value = identity.token(audience.as_deref()).map_err(TwirpError::invalid)?;
    Ok(Json(json!({"value": value})))
}
