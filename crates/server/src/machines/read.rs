//! Reading what a client sends: bounded in bytes and in time.

use std::time::Duration;

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::error::ApiError;
use crate::body;

/// Bytes of a JSON body: code of a megabyte, each byte escaped once.
pub(super) const JSON_BYTES: usize = 2 * 1024 * 1024;

/// How long a JSON body may take: the largest needs some seconds on a slow link.
const JSON_DEADLINE: Duration = Duration::from_secs(30);

/// A JSON body. Unknown keys are refused by its type.
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        Ok(Json(body::object(request.into_body(), JSON_BYTES, JSON_DEADLINE).await?))
    }
}

/// Parameters of a query. Unknown ones are refused by their type.
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Ok(Query(body::parameters(&parts.uri)?))
    }
}
