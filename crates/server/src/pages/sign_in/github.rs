//! Signing in at GitHub.

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use maud::{Markup, html};
use model::Timestamp;
use serde::Deserialize;

use super::{Wanted, own};
use crate::auth::people::{NotLetIn, forget_cookie};
use crate::pages::Pages;
use crate::pages::error::{PageError, sentence};
use crate::pages::layout::{Page, document};
use crate::pages::runs::encoded;

/// What GitHub sends a browser back with.
#[derive(Debug, Deserialize)]
pub(in crate::pages) struct Answer {
    #[serde(default)]
    state: String,
    code: Option<String>,
    error: Option<String>,
}

/// `GET /sign-in/github`
pub(in crate::pages) async fn leave(
    State(pages): State<Pages>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, PageError> {
    let auth = &pages.parts.auth;
    let people = auth.people().ok_or(PageError::Missing("way to sign in"))?;
    let (address, cookie) = people.begin(own(&wanted.next), auth.has_secure_cookies(), Timestamp::now());
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to(&address)).into_response())
}

/// `GET /sign-in/github/back`
pub(in crate::pages) async fn back(
    State(pages): State<Pages>,
    headers: HeaderMap,
    Query(answer): Query<Answer>,
) -> Result<Response, PageError> {
    let auth = &pages.parts.auth;
    let people = auth.people().ok_or(PageError::Missing("way to sign in"))?;
    let said = match (&answer.error, &answer.code) {
        (None, Some(code)) => Ok(code.as_str()),
        (error, _) => Err(error.as_deref().unwrap_or("it said nothing")),
    };
    let forget = forget_cookie(auth.has_secure_cookies());
    let secure = pages.parts.auth.has_secure_cookies();
    match people.finish(&headers, &answer.state, said, secure, Timestamp::now()).await {
        Ok(entry) => {
            let cookie = auth.let_in(entry.login, entry.role, Timestamp::now());
            let cookies = AppendHeaders([(header::SET_COOKIE, cookie), (header::SET_COOKIE, forget)]);
            Ok((cookies, arrived(&entry.next)).into_response())
        }
        Err(reason) => {
            Ok((status(&reason), [(header::SET_COOKIE, forget)], refused(&reason)).into_response())
        }
    }
}

/// Who arrives. A redirect would still count as GitHub's, and a browser would send no strict cookie with it; this page
/// is the server's own, and so is what it leads to
/// (<https://datatracker.ietf.org/doc/html/draft-ietf-httpbis-rfc6265bis#section-5.2.1>).
fn arrived(next: &str) -> Markup {
    html! {
        (maud::DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="refresh" content={ "0; url=" (next) };
                title { "Signed in · Hearth" }
            }
            body { p { "You are signed in. " a href=(next) { "Go on" } } }
        }
    }
}

fn status(reason: &NotLetIn) -> StatusCode {
    match reason {
        NotLetIn::Denied(_) | NotLetIn::Nobody(_) => StatusCode::FORBIDDEN,
        NotLetIn::Stale => StatusCode::BAD_REQUEST,
        NotLetIn::Unknown(_) => StatusCode::BAD_GATEWAY,
    }
}

fn refused(reason: &NotLetIn) -> Markup {
    let body = html! {
        div.sign-in {
            h1 { "Not signed in" }
            p.reason role="alert" { (sentence(&reason.to_string())) }
            p { a href={ "/sign-in/github?next=" (encoded("/")) } { "Try again" } " · " a href="/sign-in" { "Sign in with a token" } }
        }
    };
    let page = Page { title: "Not signed in", part: "", state: None, live: None, has_log: false, body };
    document(&page, None, Timestamp::now())
}
