//! Reading what a client sends: bounded in bytes and in time. Unknown keys and parameters are refused by their types.

use std::time::Duration;

use axum::extract::{FromRequest, FromRequestParts, Path as RawPath, RawPathParams, Request};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use store::StoreError;

use super::error::ApiError;
use crate::body;

/// Bytes of a body: a secret has at most 48 KiB on GitHub, and inputs and payloads of a start by hand 64 KiB.
/// <https://docs.github.com/en/actions/reference/limits>
const BODY_BYTES: usize = 256 * 1024;

/// How long a body may take: the largest needs some seconds on a slow link.
const BODY_DEADLINE: Duration = Duration::from_secs(30);

/// A JSON object; an empty body is one without members.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        Ok(Body(body::object(request.into_body(), BODY_BYTES, BODY_DEADLINE).await?))
    }
}

/// Parameters of a query.
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Ok(Query(body::parameters(&parts.uri)?))
    }
}

/// The words in a path (`/repositories/{owner}/{name}`), as [`axum`] reads them.
pub(super) struct Path<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let read = RawPath::from_request_parts(parts, state).await;
        read.map(|RawPath(value)| Path(value)).map_err(|error| ApiError::bad(error.body_text()))
    }
}

/// The number in a path (`/runs/{run}`), the first of its parameters. What is no number is nothing that is there.
pub(super) struct Number(pub(super) u64);

impl<S: Send + Sync> FromRequestParts<S> for Number {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Numbers([number]) = Numbers::from_request_parts(parts, state).await?;
        Ok(Number(number))
    }
}

/// The numbers in a path (`/runs/{run}/artifacts/{artifact}`), as many as it has.
pub(super) struct Numbers<const N: usize>(pub(super) [u64; N]);

impl<S: Send + Sync, const N: usize> FromRequestParts<S> for Numbers<N> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let params = RawPathParams::from_request_parts(parts, state).await;
        let params =
            params.map_err(|error| ApiError::missing(format!("such number: {}", error.body_text())))?;
        let mut numbers = [0; N];
        for (place, (kind, text)) in numbers.iter_mut().zip(&params) {
            *place = number(text).ok_or_else(|| ApiError::missing(format!("{kind} {text:?}")))?;
        }
        Ok(Numbers(numbers))
    }
}

/// Records of one answer, unless it is asked for others: a screen or two.
const PAGE: usize = 50;

/// Most records of one answer: some 100 KiB.
const MOST: usize = 200;

/// A page of records, and from which on the next one goes: `find` gives at most so many, `id` names one.
pub(super) async fn page<T, I, F>(
    limit: Option<usize>,
    find: impl FnOnce(usize) -> F,
    id: impl Fn(&T) -> I,
) -> Result<(Vec<T>, Option<I>), ApiError>
where
    F: Future<Output = Result<Vec<T>, StoreError>>,
{
    let limit = limit.unwrap_or(PAGE).clamp(1, MOST);
    // One more than is shown tells whether a page follows.
    let mut found = find(limit + 1).await?;
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().map(id).filter(|_| more);
    Ok((found, next))
}

/// A number as ids are written: digits only. There is none beyond `i64::MAX`, to which the store counts.
pub(super) fn number(text: &str) -> Option<u64> {
    let is_id = |number: &u64| i64::try_from(*number).is_ok();
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok().filter(is_id) } else { None }
}

/// A word of a closed list.
pub(super) fn word<T>(
    name: &str,
    text: Option<&str>,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, ApiError> {
    match text {
        None => Ok(None),
        Some(text) => match read(text) {
            Some(value) => Ok(Some(value)),
            None => Err(ApiError::bad(format!("{text:?} is no {name}"))),
        },
    }
}
