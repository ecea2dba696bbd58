//! What a client sends with a request, read as a whole: bounded in bytes and in time.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Query;
use axum::http::{StatusCode, Uri};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

/// Why something can't be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// There is more of it than may be.
    #[error("the body has more than {0} bytes")]
    TooLarge(u64),
    /// It did not arrive.
    #[error("the body did not arrive within {} s", .0.as_secs())]
    Late(Duration),
    /// The connection ended before it did.
    #[error("the body broke off: {0}")]
    BrokeOff(axum::Error),
    /// It is something else, such as a list.
    #[error("the body is not a JSON object")]
    NoObject,
    /// It has other members.
    #[error("the body is not the JSON wanted: {0}")]
    Unfit(serde_json::Error),
    /// Parameters that nobody asked for, or that can't be meant.
    #[error("{0}")]
    Query(String),
}

impl BodyError {
    /// What it is answered with.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            BodyError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            BodyError::Late(_) => StatusCode::REQUEST_TIMEOUT,
            BodyError::BrokeOff(_) | BodyError::NoObject | BodyError::Unfit(_) | BodyError::Query(_) => {
                StatusCode::BAD_REQUEST
            }
        }
    }
}

/// A body of at most `limit` bytes, if it arrives within `deadline`.
pub(crate) async fn whole(body: Body, limit: usize, deadline: Duration) -> Result<Bytes, BodyError> {
    match tokio::time::timeout(deadline, Limited::new(body, limit).collect()).await {
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(BodyError::TooLarge(limit as u64)),
        Ok(Err(error)) => Err(BodyError::BrokeOff(axum::Error::new(error))),
        Err(_) => Err(BodyError::Late(deadline)),
    }
}

/// The same as JSON; an empty body is an object without members.
pub(crate) async fn object<T: DeserializeOwned>(
    body: Body,
    limit: usize,
    deadline: Duration,
) -> Result<T, BodyError> {
    let whole = whole(body, limit, deadline).await?;
    let whole: &[u8] = if whole.is_empty() { b"{}" } else { &whole };
    // A list would be taken for the members in their order.
    if whole.trim_ascii_start().first() != Some(&b'{') {
        return Err(BodyError::NoObject);
    }
    serde_json::from_slice(whole).map_err(BodyError::Unfit)
}

/// Parameters of an address.
pub(crate) fn parameters<T: DeserializeOwned>(uri: &Uri) -> Result<T, BodyError> {
    let query = Query::try_from_uri(uri);
    query.map(|query| query.0).map_err(|error| BodyError::Query(error.body_text()))
}
