//! `/sign-in`: a token for a session, or who somebody is at the forge.

pub(super) mod github;

use axum::Extension;
use axum::extract::{Form, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use model::Timestamp;
use serde::Deserialize;

use super::Pages;
use super::error::PageError;
use super::layout::{Page, document};
use super::runs::encoded;
use crate::auth::{self, AuthError, Principal};

/// Where to go after.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    next: String,
}

/// What the form sends.
#[derive(Deserialize)]
pub(super) struct Answer {
    token: String,
    #[serde(default)]
    next: String,
}

/// What the form to sign out sends.
#[derive(Deserialize)]
pub(super) struct Leave {
    #[serde(default)]
    csrf: String,
}

/// A page of this server, and no other: an address without a host.
fn own(next: &str) -> &str {
    // Browsers leave tabs and the like out of addresses: `/<tab>/host` would be another host's.
    let is_path = next.starts_with('/')
        && !next.starts_with("//")
        && !next.contains(|character: char| character == '\\' || character.is_control());
    if is_path { next } else { "/" }
}

/// `GET /sign-in`
pub(super) async fn show(State(pages): State<Pages>, Query(wanted): Query<Wanted>) -> Markup {
    page(&pages, own(&wanted.next), None)
}

/// `POST /sign-in`
pub(super) async fn sign_in(
    State(pages): State<Pages>,
    headers: HeaderMap,
    Form(answer): Form<Answer>,
) -> Result<Response, PageError> {
    // No session yet, so no secret to send back: that the form is this server's own, the browser says.
    auth::own_origin(&headers)?;
    let next = own(&answer.next);
    match pages.parts.auth.sign_in(&answer.token, Timestamp::now()).await {
        Ok(cookie) => Ok(([(header::SET_COOKIE, cookie)], Redirect::to(next)).into_response()),
        Err(AuthError::Unknown) => {
            let reason = "This token is not one of this server's, was revoked, or has expired.";
            Ok((StatusCode::UNAUTHORIZED, page(&pages, next, Some(reason))).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

/// `POST /sign-out`
pub(super) async fn sign_out(
    State(pages): State<Pages>,
    Extension(principal): Extension<Principal>,
    headers: HeaderMap,
    Form(leave): Form<Leave>,
) -> Result<Response, PageError> {
    principal.may_change(&headers, Some(&leave.csrf))?;
    let cookie = pages.parts.auth.sign_out(&headers);
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to("/sign-in")).into_response())
}

fn page(pages: &Pages, next: &str, problem: Option<&str>) -> Markup {
    let body = html! {
        div.sign-in {
            h1 { "Sign in" }
            @if let Some(problem) = problem { p.reason role="alert" { (problem) } }
            form method="post" action="/sign-in" {
                input type="hidden" name="next" value=(next);
                label {
                    span { "Token" }
                    input type="password" name="token" required autofocus autocomplete="current-password" spellcheck="false";
                }
                button.primary { "Sign in" }
            }
            @if pages.parts.auth.people().is_some() {
                p.or { "or" }
                a.button href={ "/sign-in/github?next=" (encoded(next)) } { "Sign in with GitHub" }
            }
            p.dim { "On the server, " code { "hearth token" } " makes one." }
        }
    };
    document(
        &Page { title: "Sign in", part: "", state: None, live: None, has_log: false, body },
        None,
        Timestamp::now(),
    )
}

#[cfg(test)]
mod tests {
    use super::own;

    #[test]
    fn whoever_signs_in_stays_on_this_server() {
        assert_eq!(own("/runs/7?attempt=2"), "/runs/7?attempt=2");
        for elsewhere in [
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "javascript:x",
            "",
            "/a\r\nb",
            "/\t/evil.example",
        ] {
            assert_eq!(own(elsewhere), "/", "{elsewhere:?}");
        }
    }
}
