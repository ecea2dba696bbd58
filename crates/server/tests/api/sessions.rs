//! Browsers: what a session may do. The pages begin and end them; here the API is asked with their cookies.

use std::sync::Arc;

use axum::http::Method;
use axum::http::header::COOKIE;
use model::Timestamp;
use server::auth::{Auth, AuthConfig, Role, token};
use store::{Change, Store};

use crate::fixture::{Client, World};

/// A server, its doorkeeper, and somebody who has signed in there with a token of this role.
async fn signed_in(role: Role) -> (World, Arc<Auth>, Client) {
    let mut auth = None;
    let world = World::start_with(|parts| auth = Some(Arc::clone(&parts.auth))).await;
    let auth = auth.unwrap();
    let now = Timestamp::now();
    let (secret, record) = token::make("ann", role, None, now).unwrap();
    world.store.apply(vec![Change::TokenMade(record)]).await.unwrap();
    let cookie = auth.sign_in(&format!(" {secret}\n"), now).await.unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    let browser = world.nobody().and("cookie", cookie.split(';').next().unwrap());
    (world, auth, browser)
}

#[tokio::test]
async fn a_session_reads_without_more_and_changes_only_what_its_own_pages_sent() {
    let (world, _, browser) = signed_in(Role::Operate).await;
    let me = browser.get("/api/v1/me").await.is(200).json();
    assert_eq!((&me["name"], &me["role"]), (&"ann".into(), &"operate".into()));
    let csrf = me["csrf"].as_str().unwrap();
    let run = crate::sample::queued_run(&*world.store).await.id;
    let path = format!("/api/v1/runs/{run}/cancel");
    let cancel = async |client: &Client| client.send(Method::POST, &path, "").await;
    assert!(cancel(&browser).await.refused(403).contains("forgery"));
    assert!(
        cancel(&browser.clone().and("x-csrf-token", "guess")).await.refused(403).contains("another session")
    );
    let meant = browser.and("x-csrf-token", csrf);
    let reason = cancel(&meant.clone().and("origin", "https://evil.example")).await.refused(403);
    assert!(reason.contains("Origin"), "{reason}");
    cancel(&meant.clone().and("origin", "null")).await.refused(403);
    assert!(world.control.asked().is_empty());
    cancel(&meant.clone().and("origin", &format!("http://{}", world.address))).await.is(204);
    cancel(&meant).await.is(204);
    assert_eq!(world.control.asked().len(), 2);
}

#[tokio::test]
async fn a_session_ends_when_it_is_left_and_when_its_token_is_revoked() {
    let (_world, auth, browser) = signed_in(Role::Read).await;
    let forget = auth.sign_out(browser.headers());
    assert!(forget.contains("Max-Age=0"), "{forget}");
    assert!(browser.get("/api/v1/me").await.refused(401).contains("sign in again"));
    let (world, _auth, browser) = signed_in(Role::Read).await;
    browser.get("/api/v1/me").await.is(200);
    world.store.apply(vec![Change::TokenRevoked { name: "ann".to_owned() }]).await.unwrap();
    browser.get("/api/v1/me").await.refused(401);
}

#[tokio::test]
async fn nobody_signs_in_without_a_token() {
    let world = World::start().await;
    let auth = Auth::new(world.store.clone(), AuthConfig::default());
    for wrong in ["", "hearth_", "hearth_wrong"] {
        assert!(auth.sign_in(wrong, Timestamp::now()).await.is_err(), "{wrong}");
    }
    world.nobody().and(COOKIE.as_str(), "hearth=guess").get("/api/v1/me").await.refused(401);
}
