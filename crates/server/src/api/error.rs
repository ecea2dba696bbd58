//! What callers are told when something can't be done: `{"error": {"code", "message"}}`.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use store::StoreError;

use crate::auth::AuthError;
use crate::body::BodyError;
use crate::control::ControlError;

/// When it is worth asking again for what the server can't do now, in seconds.
const RETRY_SECONDS: u64 = 10;

/// An answer that is no success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    retry_seconds: Option<u64>,
}

impl ApiError {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        ApiError { status, code, message: message.into(), retry_seconds: None }
    }

    /// The request can't be meant.
    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    /// Not by this caller.
    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    /// There is no such thing.
    pub(crate) fn missing(what: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("there is no {what}"))
    }

    /// No such route.
    pub(crate) fn no_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "no such route; see /api/v1/openapi.json")
    }

    /// A route, but not with this method.
    pub(crate) fn no_method() -> Self {
        let message = "not with this method; see /api/v1/openapi.json";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
    }

    /// The request did not arrive in time.
    pub(crate) fn timeout(message: impl Into<String>) -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "timeout", message)
    }

    /// Not as things stand.
    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", message)
    }

    /// The body is larger than may be.
    pub(crate) fn too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    }

    /// Too often, or too much at once.
    pub(crate) fn too_many(message: impl Into<String>, wait: Duration) -> Self {
        // Rounded up: a client that waits exactly so long finds room.
        let seconds = wait.as_millis().div_ceil(1000);
        let retry_seconds = Some(u64::try_from(seconds).unwrap_or(u64::MAX));
        ApiError { retry_seconds, ..Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", message) }
    }

    /// Not now.
    pub(crate) fn unavailable(message: impl Into<String>, retry_seconds: u64) -> Self {
        ApiError {
            retry_seconds: Some(retry_seconds),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
        }
    }

    /// The word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.code
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ApiError {}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Missing(_) => Self::new(StatusCode::NOT_FOUND, "not_found", error.to_string()),
            StoreError::Illegal { .. } => Self::conflict(error.to_string()),
            _ => Self::unavailable(error.to_string(), RETRY_SECONDS),
        }
    }
}

impl From<BodyError> for ApiError {
    fn from(error: BodyError) -> Self {
        let message = error.to_string();
        match error {
            BodyError::TooLarge(_) => Self::too_large(message),
            BodyError::Late(_) => Self::timeout(message),
            _ => Self::bad(message),
        }
    }
}

impl From<AuthError> for ApiError {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Missing | AuthError::Unknown | AuthError::Over => {
                Self::new(StatusCode::UNAUTHORIZED, "unauthorized", error.to_string())
            }
            AuthError::Forbidden { .. } | AuthError::Foreign(_) => Self::forbidden(error.to_string()),
            AuthError::Store(error) => error.into(),
        }
    }
}

impl From<ControlError> for ApiError {
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::Missing(message) => Self::new(StatusCode::NOT_FOUND, "not_found", message),
            ControlError::Unfit(message) => Self::conflict(message),
            ControlError::Forbidden(message) => Self::forbidden(message),
            ControlError::Invalid(message) => Self::bad(message),
            ControlError::Unavailable(message) => Self::unavailable(message, RETRY_SECONDS),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = json!({"error": {"code": self.code, "message": self.message}});
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_seconds {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
