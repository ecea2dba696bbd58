//! Reading what a client sends: bounded in bytes and in time.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use super::error::ApiError;

/// Bytes of a JSON body: code of a megabyte, each byte escaped once.
pub(super) const JSON_BYTES: usize = 2 * 1024 * 1024;

/// How long a JSON body may take: the largest needs some seconds on a slow link.
const JSON_DEADLINE: Duration = Duration::from_secs(30);

/// A JSON body. Unknown keys are refused by its type.
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let body = whole(request.into_body(), JSON_BYTES, JSON_DEADLINE).await?;
        // An empty body is a wish without wishes.
        let body: &[u8] = if body.is_empty() { b"{}" } else { &body };
        // A list would be taken for the members in their order.
        if body.trim_ascii_start().first() != Some(&b'{') {
            return Err(ApiError::bad("the body is not a JSON object"));
        }
        let value = serde_json::from_slice(body);
        value.map(Json).map_err(|error| ApiError::bad(format!("the body is not the JSON wanted: {error}")))
    }
}

/// Parameters of a query. Unknown ones are refused by their type.
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let query = axum::extract::Query::try_from_uri(&parts.uri);
        query.map(|query| Query(query.0)).map_err(|error| ApiError::bad(error.body_text()))
    }
}

/// A whole body of at most `limit` bytes, if it arrives within `deadline`.
pub(super) async fn whole(body: Body, limit: usize, deadline: Duration) -> Result<Bytes, ApiError> {
    match tokio::time::timeout(deadline, Limited::new(body, limit).collect()).await {
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large(limit as u64)),
        Ok(Err(error)) => Err(ApiError::bad(format!("the body broke off: {error}"))),
        Err(_) => Err(ApiError::new(
            StatusCode::REQUEST_TIMEOUT,
            format!("the body did not arrive within {} s", deadline.as_secs()),
        )),
    }
}

/// The body is larger than may be.
pub(super) fn too_large(limit: u64) -> ApiError {
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body has more than {limit} bytes"))
}
