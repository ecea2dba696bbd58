//! Who may do what.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Method;
use model::Timestamp;
use server::api::routes;
use server::auth::{Auth, AuthConfig, Role, token};
use store::{Change, Store};

use crate::fixture::{World, document};

/// An instance of a path of the document.
pub(crate) fn instance(path: &str) -> String {
    let mut instance = path.to_owned();
    while let Some((before, rest)) = instance.clone().split_once('{') {
        let (_, after) = rest.split_once('}').unwrap();
        instance = format!("{before}1{after}");
    }
    instance
}

#[tokio::test]
async fn every_route_is_closed_to_those_who_have_less_than_its_role() {
    let world = World::start().await;
    let nobody = world.nobody();
    let stranger = nobody.clone().and("authorization", "Bearer hearth_nonsense");
    let mut known = Vec::new();
    for role in Role::ALL {
        known.push((role, world.with(role).await));
    }
    for route in routes() {
        let path = instance(route.path);
        nobody.send(route.method.clone(), &path, Body::empty()).await.refused(401);
        stranger.send(route.method.clone(), &path, Body::empty()).await.refused(401);
        for (role, client) in &known {
            let answer = client.open(route.method.clone(), &path, Body::empty()).await;
            let is_let_in = !matches!(answer.status().as_u16(), 401 | 403);
            assert_eq!(is_let_in, *role >= route.role, "{role} at {} {}", route.method, route.path);
        }
    }
    assert!(world.control.asked().is_empty());
}

#[test]
fn the_document_tells_the_role_of_every_route() {
    let document = document();
    for route in routes() {
        let operation = &document["paths"][route.path][route.method.as_str().to_lowercase()];
        assert_eq!(
            operation["security"][0]["token"][0],
            route.role.as_str(),
            "{} {}",
            route.method,
            route.path
        );
    }
}

#[tokio::test]
async fn a_token_is_good_until_it_expires_or_is_revoked() {
    let world = World::start().await;
    let make = async |name: &str, expires_at: Option<Timestamp>| {
        let (secret, record) = token::make(name, Role::Read, expires_at, Timestamp::now()).unwrap();
        world.store.apply(vec![Change::TokenMade(record)]).await.unwrap();
        world.nobody().and("authorization", &format!("bearer {secret}"))
    };
    let over = make("over", Some(Timestamp(1))).await;
    over.get("/api/v1/me").await.refused(401);
    let good = make("good", Some(Timestamp(u64::MAX / 2))).await;
    let me = good.get("/api/v1/me").await.is(200).json();
    assert_eq!((&me["name"], &me["role"]), (&"good".into(), &"read".into()));
    world.store.apply(vec![Change::TokenRevoked { name: "good".to_owned() }]).await.unwrap();
    let answer = good.get("/api/v1/me").await;
    assert_eq!(answer.headers["www-authenticate"], "Bearer");
    assert!(answer.refused(401).contains("revoked"));
}

#[tokio::test]
async fn anybody_may_read_where_the_operator_says_so_and_do_nothing_else() {
    let world = World::start_with(|parts| {
        let config = AuthConfig { anonymous_read: true, ..AuthConfig::default() };
        parts.auth = Arc::new(Auth::new(Arc::clone(&parts.store), config));
    });
    let world = world.await;
    let nobody = world.nobody();
    assert_eq!(nobody.get("/api/v1/me").await.is(200).json()["role"], "read");
    nobody.get("/api/v1/runs").await.is(200);
    nobody.send(Method::POST, "/api/v1/runs/1/cancel", Body::empty()).await.refused(403);
    nobody.get("/api/v1/deliveries/1").await.refused(403);
    nobody.and("authorization", "Bearer hearth_wrong").get("/api/v1/runs").await.refused(401);
}
