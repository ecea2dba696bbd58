//! Signing in at GitHub.

use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use maud::{Markup, html};
use model::Timestamp;
use serde::Deserialize;

use super::{Wanted, own};
use crate::auth::people::{NotLetIn, forget_cookie};
use crate::http::Peer;
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
    request: Parts,
) -> Result<Response, PageError> {
    let auth = &pages.parts.auth;
    let people = auth.people().ok_or(PageError::Missing("way to sign in"))?;
    let peer = request.extensions.get::<Peer>().copied();
    if let Err(wait) = people.may_leave(pages.parts.proxies.client(peer, &request.headers)) {
        return Ok(too_often(wait));
    }
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
    let now = Timestamp::now();
    let entered = async {
        let entry = people.finish(&headers, &answer.state, said, secure, now).await?;
        Ok((auth.let_in(&entry, now).await?, entry))
    };
    match entered.await {
        Ok((cookie, entry)) => {
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
        NotLetIn::Denied(_) | NotLetIn::Nobody(_) | NotLetIn::Another { .. } => StatusCode::FORBIDDEN,
        NotLetIn::Stale => StatusCode::BAD_REQUEST,
        NotLetIn::Unknown(_) => StatusCode::BAD_GATEWAY,
        NotLetIn::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Whoever sets out so often is no browser.
fn too_often(wait: Duration) -> Response {
    let seconds = wait.as_secs() + 1;
    let words = format!("too many have set out to GitHub from your address; try again in {seconds} s");
    (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, seconds.to_string())], outside(&words))
        .into_response()
}

fn refused(reason: &NotLetIn) -> Markup {
    outside(&reason.to_string())
}

fn outside(reason: &str) -> Markup {
    let body = html! {
        div.sign-in {
            h1 { "Not signed in" }
            p.reason role="alert" { (sentence(reason)) }
            p { a href={ "/sign-in/github?next=" (encoded("/")) } { "Try again" } " · " a href="/sign-in" { "Sign in with a token" } }
        }
    };
    let page = Page { title: "Not signed in", part: "", state: None, live: None, has_log: false, body };
    document(&page, None, Timestamp::now())
}
