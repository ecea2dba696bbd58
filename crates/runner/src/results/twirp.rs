//! Errors as Twirp writes them, and what both services read from a request.

use std::io;

use axum::Json;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// An error with the code that Twirp gives it.
/// <https://twitchtv.github.io/twirp/docs/errors.html>
#[derive(Debug)]
pub(super) struct TwirpError {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl TwirpError {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        TwirpError { status, code, message: message.into() }
    }

    pub(super) fn unauthenticated() -> Self {
        let message = "the token is missing, forged, expired, or of another service";
        TwirpError::new(StatusCode::UNAUTHORIZED, "unauthenticated", message)
    }

    pub(super) fn denied(message: impl Into<String>) -> Self {
        TwirpError::new(StatusCode::FORBIDDEN, "permission_denied", message)
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        TwirpError::new(StatusCode::BAD_REQUEST, "invalid_argument", message)
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        TwirpError::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// For methods that do not exist.
    pub(super) fn bad_route() -> Self {
        TwirpError::new(
            StatusCode::NOT_FOUND,
            "bad_route",
            "no such method; Hearth speaks version 2 of the cache service",
        )
    }

    pub(super) fn already_exists(message: impl Into<String>) -> Self {
        TwirpError::new(StatusCode::CONFLICT, "already_exists", message)
    }

    /// A failure of the host's disk. It is not worth a retry, so the status is none that clients retry.
    pub(super) fn disk(operation: &str, error: &io::Error) -> Self {
        let message = format!("can't {operation} on the host: {error}");
        TwirpError::new(StatusCode::INSUFFICIENT_STORAGE, "resource_exhausted", message)
    }
}

impl IntoResponse for TwirpError {
    fn into_response(self) -> Response {
        (self.status, Json(json!({"code": self.code, "msg": self.message}))).into_response()
    }
}

/// The token of the `Authorization` header.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// Runs disk work where it may block.
pub(super) async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|panic| Err(io::Error::other(panic)))
}
