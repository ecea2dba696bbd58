//! Who asks: checked before anything else of a request is read.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use super::Service;
use super::error::ApiError;
use super::limits::Tier;
use super::log::unix_ms;
use super::token::{Caller, TokenError};

/// A caller with its limits.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) caller: Caller,
    pub(super) tier: Tier,
}

/// Lets a request through that has a token, and tells the handler whose it is.
pub(super) async fn authenticate(
    State(service): State<Arc<Service>>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let token = bearer(request.headers()).ok_or(TokenError::Missing)?;
    let caller = service.key.open(token, unix_ms() / 1000)?;
    let Some(tier) = service.config.tiers.get(&caller.tier).copied() else {
        let reason = format!("the token's tier {:?} is not one of this server's", caller.tier);
        return Err(ApiError::new(StatusCode::FORBIDDEN, reason));
    };
    request.extensions_mut().insert(Known { caller, tier });
    Ok(next.run(request).await)
}

/// The token of the header, whose scheme may be written in any case.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
