//! What callers are told when something can't be done.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use guest::client::{GuestError, RefusalKind};
use machine::MachineError;
use serde_json::json;

use super::limits::Reached;
use super::token::TokenError;
use crate::body::BodyError;

/// An answer that is no success: `{"error": "..."}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    status: StatusCode,
    error: String,
    limit: Option<Reached>,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, error: impl Into<String>) -> Self {
        ApiError { status, error: error.into(), limit: None }
    }

    /// The request can't be meant.
    pub(crate) fn bad(error: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error)
    }

    /// There is no such machine, or it is somebody else's: nobody can tell which.
    pub(crate) fn no_vm(id: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("you have no machine {id:?}"))
    }

    /// Not as the machine stands.
    pub(crate) fn conflict(error: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, error)
    }

    /// The server ends.
    pub(crate) fn ending() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "this server is shutting down")
    }

    /// A machine was not to be had, or is lost.
    pub(crate) fn machine(error: &MachineError) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }

    /// A file of the machine.
    pub(crate) fn file(error: &GuestError) -> Self {
        let status = match error {
            GuestError::Lost { .. } => StatusCode::BAD_GATEWAY,
            GuestError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            GuestError::Refused { kind, .. } => match kind {
                RefusalKind::NotFound => StatusCode::NOT_FOUND,
                RefusalKind::Denied => StatusCode::FORBIDDEN,
                RefusalKind::DiskFull => StatusCode::INSUFFICIENT_STORAGE,
                RefusalKind::Invalid => StatusCode::BAD_REQUEST,
                RefusalKind::Other => StatusCode::UNPROCESSABLE_ENTITY,
            },
        };
        Self::new(status, error.to_string())
    }

    /// A command that was not started.
    pub(crate) fn command(error: &GuestError) -> Self {
        let status = match error {
            GuestError::Lost { .. } => StatusCode::BAD_GATEWAY,
            GuestError::Refused { kind: RefusalKind::DiskFull, .. } => StatusCode::INSUFFICIENT_STORAGE,
            GuestError::TooLarge { .. } | GuestError::Refused { .. } => StatusCode::BAD_REQUEST,
        };
        Self::new(status, error.to_string())
    }
}

impl From<BodyError> for ApiError {
    fn from(error: BodyError) -> Self {
        Self::new(error.status(), error.to_string())
    }
}

impl From<Reached> for ApiError {
    fn from(reached: Reached) -> Self {
        ApiError { status: StatusCode::TOO_MANY_REQUESTS, error: reached.to_string(), limit: Some(reached) }
    }
}

impl From<TokenError> for ApiError {
    fn from(error: TokenError) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, error.to_string())
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.error)
    }
}

impl std::error::Error for ApiError {}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = match self.limit {
            None => json!({"error": self.error}),
            Some(reached) => {
                json!({"error": self.error, "reason": reached.what.reason(), "limit": reached.limit})
            }
        };
        let mut response = (self.status, axum::Json(body)).into_response();
        let headers = response.headers_mut();
        if let Some(reached) = self.limit {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(reached.what.retry_seconds()));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
