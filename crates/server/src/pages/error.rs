//! What people see when a page can't be shown.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::html;
use model::Timestamp;
use store::StoreError;
use store::seal::SealError;

use super::layout::{Page, document};
use crate::auth::AuthError;
use crate::control::ControlError;

/// Why a page can't be shown, or a form did nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum PageError {
    /// There is no such thing.
    #[error("There is no such {0}, or no longer.")]
    Missing(&'static str),
    /// Not for this viewer.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// What was typed can't be meant.
    #[error("{0}")]
    Invalid(String),
    /// The engine does not do it.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The store can't be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A secret can't be kept.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// More watch than the server has room for.
    #[error("too many pages are watched live at once; this one is true as of when it was loaded")]
    Busy,
}

impl PageError {
    fn status(&self) -> StatusCode {
        match self {
            PageError::Missing(_) | PageError::Control(ControlError::Missing(_)) => StatusCode::NOT_FOUND,
            PageError::Auth(AuthError::Missing | AuthError::Unknown | AuthError::Over) => {
                StatusCode::UNAUTHORIZED
            }
            PageError::Auth(AuthError::Store(_)) | PageError::Store(_) | PageError::Seal(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            PageError::Auth(_) => StatusCode::FORBIDDEN,
            PageError::Invalid(_) | PageError::Control(ControlError::Invalid(_)) => StatusCode::BAD_REQUEST,
            PageError::Control(ControlError::Unfit(_)) => StatusCode::CONFLICT,
            PageError::Control(_) | PageError::Busy => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let status = self.status();
        let body = html! {
            div.nothing {
                h1 { (status.canonical_reason().unwrap_or("That did not work")) }
                p { (self) }
                p { a href="/" { "All runs" } @if status == StatusCode::UNAUTHORIZED { " · " a href="/sign-in" { "Sign in" } } }
            }
        };
        let title = status.canonical_reason().unwrap_or_default();
        let page = Page { title, part: "", live: None, has_log: false, body };
        (status, document(&page, None, Timestamp::now())).into_response()
    }
}
