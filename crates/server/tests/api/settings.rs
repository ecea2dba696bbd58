//! Secrets, variables, and tokens.

use model::Secret;
use serde_json::json;
use server::auth::Role;
use store::Store;
use store::record::Scope;

use crate::fixture::World;

#[tokio::test]
async fn a_secret_is_set_listed_by_its_name_and_removed_and_never_shown() {
    let world = World::start().await;
    let admin = world.with(Role::Admin).await;
    let value = json!({"value": "hunter2"});
    admin.put("/api/v1/secrets/npm_token?scope=octo/hello", value.clone()).await.is(204);
    let list = admin.get("/api/v1/secrets?scope=octo/hello").await.is(200);
    assert!(!String::from_utf8_lossy(&list.bytes).contains("hunter2"));
    assert_eq!(list.json()["secrets"][0]["name"], "NPM_TOKEN");
    let scope = Scope::Repository("octo/hello".to_owned());
    let sealed = world.store.secrets(&scope).await.unwrap().remove(0);
    let opened = world.seal.open(&scope, "NPM_TOKEN", &sealed.sealed).unwrap();
    assert_eq!(opened, Secret("hunter2".to_owned()));
    admin.put("/api/v1/secrets/KEY?scope=octo/hello@Prod%20EU", value).await.is(204);
    let environment = Scope::Environment("octo/hello".to_owned(), "Prod EU".to_owned());
    assert_eq!(world.store.secrets(&environment).await.unwrap().len(), 1);
    admin.delete("/api/v1/secrets/npm_token?scope=octo/hello").await.is(204);
    admin.delete("/api/v1/secrets/npm_token?scope=octo/hello").await.refused(404);
    assert!(world.store.secrets(&scope).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_variable_is_set_shown_and_removed() {
    let world = World::start().await;
    let admin = world.with(Role::Admin).await;
    admin.put("/api/v1/variables/level?scope=octo", json!({"value": "high"})).await.is(204);
    let list = admin.get("/api/v1/variables?scope=octo").await.is(200).json();
    assert_eq!(
        (&list["variables"][0]["name"], &list["variables"][0]["value"]),
        (&"LEVEL".into(), &"high".into())
    );
    admin.delete("/api/v1/variables/LEVEL?scope=octo").await.is(204);
    admin.delete("/api/v1/variables/LEVEL?scope=octo").await.refused(404);
}

#[tokio::test]
async fn what_can_be_no_setting_is_refused() {
    let world = World::start().await;
    let admin = world.with(Role::Admin).await;
    let value = json!({"value": "x"});
    for path in ["secrets/1A?scope=octo", "secrets/GITHUB_X?scope=octo", "secrets/A?scope=a/b/c", "secrets/A"]
    {
        admin.put(&format!("/api/v1/{path}"), value.clone()).await.refused(400);
    }
    admin.put("/api/v1/secrets/A?scope=octo", json!({})).await.refused(400);
    let large = json!({"value": "x".repeat(48 * 1024 + 1)});
    admin.put("/api/v1/secrets/A?scope=octo", large).await.refused(413);
    admin.get("/api/v1/secrets").await.refused(400);
    assert!(world.store.secrets(&Scope::Organisation("octo".to_owned())).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_token_is_shown_once_works_and_is_revoked() {
    let world = World::start().await;
    let admin = world.with(Role::Admin).await;
    let wanted = json!({"name": "ci", "role": "operate", "expires_in_days": 30});
    let made = admin.post("/api/v1/tokens", wanted.clone()).await.is(201).json();
    let secret = made["token"].as_str().unwrap();
    let life = made["expires_at"].as_u64().unwrap() - made["created_at"].as_u64().unwrap();
    assert_eq!(life, 30 * 24 * 60 * 60 * 1000);
    let ci = world.nobody().and("authorization", &format!("Bearer {secret}"));
    assert_eq!(ci.get("/api/v1/me").await.is(200).json()["role"], "operate");
    let list = admin.get("/api/v1/tokens").await.is(200);
    assert!(!String::from_utf8_lossy(&list.bytes).contains(secret));
    assert_eq!(list.json()["tokens"].as_array().unwrap().len(), 2);
    admin.post("/api/v1/tokens", wanted).await.refused(409);
    admin.delete("/api/v1/tokens/ci").await.is(204);
    admin.delete("/api/v1/tokens/ci").await.refused(404);
    ci.get("/api/v1/me").await.refused(401);
}

#[tokio::test]
async fn a_token_that_nobody_could_want_is_not_made() {
    let world = World::start().await;
    let admin = world.with(Role::Admin).await;
    for wanted in [
        json!({"name": "", "role": "read"}),
        json!({"name": "a", "role": "root"}),
        json!({"name": "a"}),
        json!({"name": "a", "role": "read", "expires_in_days": 0}),
        json!({"name": "a", "role": "read", "expires_in_days": 100_000}),
        json!({"name": "a", "role": "read", "scopes": []}),
    ] {
        admin.post("/api/v1/tokens", wanted).await.refused(400);
    }
    assert_eq!(world.store.tokens().await.unwrap().len(), 1);
}
