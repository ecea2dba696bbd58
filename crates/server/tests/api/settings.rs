//! Secrets, variables, and tokens.

use model::Secret;
use serde_json::json;
use server::auth::Role;
use store::record::Scope;
use store::{Change, Store};

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
async fn the_last_token_of_an_administrator_can_not_be_revoked() {
    let world = World::start().await;
    let admin = world.with(Role::Admin).await;
    let own = admin.get("/api/v1/me").await.is(200).json()["name"].as_str().unwrap().to_owned();
    let ci = json!({"name": "ci", "role": "operate"});
    admin.post("/api/v1/tokens", ci).await.is(201);
    let reason = admin.delete(&format!("/api/v1/tokens/{own}")).await.refused(409);
    assert!(reason.contains("hearth token create"), "{reason}");
    admin.delete("/api/v1/tokens/ci").await.is(204);
    admin.post("/api/v1/tokens", json!({"name": "next", "role": "admin"})).await.is(201);
    admin.delete(&format!("/api/v1/tokens/{own}")).await.is(204);
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

#[tokio::test]
async fn an_environment_gets_its_rules_and_loses_them_with_all_that_is_in_it() {
    let world = World::start().await;
    let admin = world.with(Role::Admin).await;
    crate::sample::failed_run(&*world.store).await;
    let (all, one) = ("/api/v1/repositories/octo/hello/environments", "environments/Production%20EU");
    let path = format!("/api/v1/repositories/octo/hello/{one}");
    let rules = json!({
        "approval": true, "reviewers": ["mona"], "prevent_self_review": true, "wait_minutes": 30,
        "branches": ["main"], "tags": ["v*"],
    });
    admin.put(&path, rules.clone()).await.is(204);
    let told = admin.get(all).await.is(200).json();
    let mut expected = rules;
    expected["name"] = json!("Production EU");
    assert_eq!(told["environments"], json!([expected]));
    let secret = "/api/v1/secrets/KEY?scope=octo/hello@production%20eu";
    admin.put(secret, json!({"value": "x"})).await.is(204);
    admin.delete(&path).await.is(204);
    assert_eq!(admin.get(all).await.is(200).json()["environments"], json!([]));
    let left = admin.get("/api/v1/secrets?scope=octo/hello@Production%20EU").await.is(200).json();
    assert_eq!(left["secrets"], json!([]), "its secrets go with it");
    admin.delete(&path).await.refused(404);
}

#[tokio::test]
async fn an_environment_is_removed_although_its_rules_or_those_of_another_can_not_be_read() {
    let world = World::start().await;
    let admin = world.with(Role::Admin).await;
    crate::sample::failed_run(&*world.store).await;
    let all = "/api/v1/repositories/octo/hello/environments";
    admin.put(&format!("{all}/staging"), json!({"approval": true})).await.is(204);
    let key = "environment/octo/hello/production".to_owned();
    let newer = json!({"name": "production", "word_of_a_newer_version": true});
    world.store.apply(vec![Change::Setting { key, value: newer }]).await.unwrap();
    admin.get(all).await.refused(503);
    admin.delete(&format!("{all}/nowhere")).await.refused(404);
    admin.delete(&format!("{all}/Staging")).await.is(204);
    admin.delete(&format!("{all}/Production")).await.is(204);
    assert_eq!(admin.get(all).await.is(200).json()["environments"], json!([]));
    admin.delete(&format!("{all}/production")).await.refused(404);
}

#[tokio::test]
async fn rules_of_an_environment_that_can_not_be_meant_are_refused() {
    let world = World::start().await;
    let admin = world.with(Role::Admin).await;
    crate::sample::failed_run(&*world.store).await;
    let path = "/api/v1/repositories/octo/hello/environments/production";
    for wrong in [
        json!({"approval": "yes"}),
        json!({"reviewers": ["mona"]}),
        json!({"prevent_self_review": true}),
        json!({"wait_minutes": 43_201}),
        json!({"wait_minutes": -1}),
        json!({"branches": ["["]}),
        json!({"tags": ["!v1"]}),
        json!({"wait": 5}),
    ] {
        admin.put(path, wrong).await.refused(400);
    }
    admin.put("/api/v1/repositories/octo/hello/environments/%0A", json!({})).await.refused(400);
    admin.put("/api/v1/repositories/octo%20/other/environments/production", json!({})).await.refused(400);
    assert_eq!(
        admin.get("/api/v1/repositories/octo/hello/environments").await.json()["environments"],
        json!([])
    );
}

#[tokio::test]
async fn an_environment_can_have_rules_before_anybody_has_heard_of_its_repository() {
    let world = World::start().await;
    let admin = world.with(Role::Admin).await;
    let all = "/api/v1/repositories/Octo/Hello/environments";
    admin.put(&format!("{all}/production"), json!({"approval": true})).await.is(204);
    crate::sample::failed_run(&*world.store).await;
    let told = admin.get("/api/v1/repositories/octo/hello/environments").await.is(200).json();
    assert_eq!(
        (&told["environments"][0]["name"], &told["environments"][0]["approval"]),
        (&json!("production"), &json!(true))
    );
    admin.delete("/api/v1/repositories/octo/hello/environments/production").await.is(204);
    admin.delete("/api/v1/repositories/octo/nowhere/environments/production").await.refused(404);
}

#[tokio::test]
async fn under_the_former_name_of_a_repository_nothing_is_found_or_set_and_the_present_one_is_said() {
    let world = World::start().await;
    let admin = world.with(Role::Admin).await;
    crate::sample::seen(&*world.store, "octo/hello", 7).await;
    crate::sample::seen(&*world.store, "octo/hey", 7).await;
    crate::sample::seen(&*world.store, "octo/hi", 7).await;
    for former in ["octo/hello", "octo/hey"] {
        let (environments, rules) =
            (format!("/api/v1/repositories/{former}/environments"), json!({"approval": true}));
        let one = format!("{environments}/production");
        let mut refused = vec![
            admin.get(&environments).await,
            admin.put(&one, rules).await,
            admin.delete(&one).await,
            admin.get(&format!("/api/v1/caches?repository={former}")).await,
            admin.delete(&format!("/api/v1/caches?repository={former}&key=npm")).await,
        ];
        for kind in ["secrets", "variables"] {
            let one = format!("/api/v1/{kind}/KEY?scope={former}");
            refused.push(admin.get(&format!("/api/v1/{kind}?scope={former}")).await);
            refused.push(admin.put(&one, json!({"value": "x"})).await);
            refused.push(admin.delete(&one).await);
        }
        for answer in refused {
            assert_eq!(answer.refused(409), format!("{former} is called octo/hi now"));
        }
    }
}

#[tokio::test]
async fn environments_of_what_can_be_no_repository_are_refused() {
    let world = World::start().await;
    let admin = world.with(Role::Admin).await;
    let all = "/api/v1/repositories/octo/he%20llo/environments";
    admin.get(all).await.refused(400);
    admin.put(&format!("{all}/production"), json!({"approval": true})).await.refused(400);
    admin.delete(&format!("{all}/production")).await.refused(400);
}

#[test]
fn what_may_be_set_before_anybody_has_heard_of_it_is_not_said_to_be_missing() {
    let document = crate::fixture::document();
    let environments = "/api/v1/repositories/{owner}/{name}/environments";
    let one = format!("{environments}/{{environment}}");
    for (path, method) in [
        (environments, "get"),
        (&one, "put"),
        ("/api/v1/secrets/{name}", "put"),
        ("/api/v1/variables/{name}", "put"),
    ] {
        let responses = &document["paths"][path][method]["responses"];
        assert!(responses["204"].is_object() || responses["200"].is_object(), "{method} {path}");
        assert!(responses["404"].is_null(), "{method} {path}");
    }
}
