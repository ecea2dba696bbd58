//! What people see when a page can't be shown.

use axum::Extension;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use model::Timestamp;
use store::StoreError;
use store::seal::SealError;

use super::layout::{Page, document};
use super::runs::Unfit;
use super::viewer::Viewer;
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
    /// Runs are asked for by something that none can be.
    #[error(transparent)]
    Unfit(#[from] Unfit),
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
            PageError::Auth(_) | PageError::Control(ControlError::Forbidden(_)) => StatusCode::FORBIDDEN,
            PageError::Invalid(_) | PageError::Unfit(_) | PageError::Control(ControlError::Invalid(_)) => {
                StatusCode::BAD_REQUEST
            }
            PageError::Control(ControlError::Unfit(_)) => StatusCode::CONFLICT,
            PageError::Control(_) | PageError::Busy => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let told = Told { status: self.status(), words: sentence(&self.to_string()) };
        (told.status, Extension(told.clone()), told.page(None)).into_response()
    }
}

/// What went wrong, beside the answer, for whoever knows who looks.
#[derive(Clone)]
struct Told {
    status: StatusCode,
    words: String,
}

impl Told {
    fn page(&self, viewer: Option<&Viewer>) -> Markup {
        let status = self.status;
        let title = status.canonical_reason().unwrap_or("That did not work");
        let body = html! {
            div.nothing {
                h1 { (title) }
                p { (self.words) }
                p { a href="/" { "All runs" } @if status == StatusCode::UNAUTHORIZED { " · " a href="/sign-in" { "Sign in" } } }
            }
        };
        let page = Page { title, part: "", state: None, live: None, has_log: false, body };
        document(&page, viewer, Timestamp::now())
    }
}

/// An error's words, as people write: an error itself begins small, because others quote it.
pub(super) fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    let first: String = letters.next().map(|first| first.to_uppercase().collect()).unwrap_or_default();
    let end = if words.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{first}{}{end}", letters.as_str())
}

/// An answer as this viewer sees it: where something went wrong, with what is around every page of theirs.
pub(super) fn seen_by(response: Response, viewer: &Viewer) -> Response {
    match response.extensions().get::<Told>() {
        Some(told) => (told.status, told.page(Some(viewer))).into_response(),
        None => response,
    }
}

#[cfg(test)]
mod tests {
    use super::sentence;

    #[test]
    fn an_error_is_told_as_a_sentence() {
        assert_eq!(sentence("the session is over; sign in again"), "The session is over; sign in again.");
        assert_eq!(sentence("There is no such run, or no longer."), "There is no such run, or no longer.");
        assert_eq!(sentence(""), ".");
    }
}
