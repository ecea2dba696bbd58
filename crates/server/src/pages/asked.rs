//! What an address asks for, read as [`axum`] reads it; one that means nothing is told on a page like any other.

use axum::extract::{FromRequestParts, Path as RawPath, Query as RawQuery};
use axum::http::request::Parts;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};

use super::error::PageError;

/// The parameters of a path. What can't be one is nothing that is there.
pub(super) struct Path<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, PageError> {
        let read = RawPath::from_request_parts(parts, state).await;
        read.map(|RawPath(value)| Path(value)).map_err(|_| PageError::Missing("page"))
    }
}

/// A number in a path, as ids are given: the store counts to `i64::MAX`.
pub(super) struct Number(pub(super) u64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let number = u64::deserialize(from)?;
        match i64::try_from(number) {
            Ok(_) => Ok(Number(number)),
            Err(_) => Err(D::Error::custom("no id is that large")),
        }
    }
}

/// What stands behind the question mark.
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, PageError> {
        let read = RawQuery::try_from_uri(&parts.uri);
        read.map(|RawQuery(value)| Query(value)).map_err(|_| {
            let asked = parts.uri.query().unwrap_or_default();
            PageError::Invalid(format!("what the address asks for can't be: ?{asked}"))
        })
    }
}
