//! Tiers.

use std::sync::Arc;

use axum::http::header;
use serde_json::json;
use server::machines::limits::Tier;
use tokio::sync::Notify;

use crate::fixture::{Server, tiers, until};

#[tokio::test]
async fn the_machine_beyond_the_tiers_is_refused_with_reason_and_time_however_many_ask_at_once() {
    let server = Server::start().await;
    let ann = server.client("ann", "small");
    let asking = (0..8).map(|_| {
        let ann = ann.clone();
        tokio::spawn(async move { ann.post("/api/vms", json!({})).await })
    });
    let asking: Vec<_> = asking.collect();
    let mut started = 0;
    for answer in asking {
        let answer = answer.await.unwrap();
        if answer.status == 201 {
            started += 1;
            continue;
        }
        assert!(answer.refused(429).contains("2 machines"));
        assert_eq!((&answer.json()["reason"], &answer.json()["limit"]), (&json!("machines"), &json!(2)));
        assert_eq!(answer.headers[header::RETRY_AFTER], "30");
    }
    assert_eq!((started, server.driver.alive()), (2, 2));
    // Another's limit is its own.
    server.client("bob", "small").vm().await;
    // And a place is free again when a machine is gone.
    let listed = ann.get("/api/vms").await.json();
    ann.delete(&format!("/api/vms/{}", listed["vms"][0]["id"].as_str().unwrap())).await.ok(200);
    ann.vm().await;
}

#[tokio::test]
async fn the_machine_beyond_all_callers_limit_is_refused() {
    let server = Server::start_with(|config, _| config.all_machines = 1).await;
    server.ann().vm().await;
    let answer = server.client("bob", "default").post("/api/vms", json!({})).await;
    answer.refused(429);
    assert_eq!(answer.json()["reason"], "all_machines");
}

#[tokio::test]
async fn the_session_beyond_the_tiers_is_refused_however_many_ask_at_once() {
    let server = Server::start().await;
    let ann = server.client("ann", "small");
    let id = ann.vm().await;
    let asking: Vec<_> = (0..6)
        .map(|_| {
            let (ann, id) = (ann.clone(), id.clone());
            let body =
                json!({"language": "sh", "code": "until test -e go; do sleep 0.01; done", "vm_id": id});
            tokio::spawn(async move { ann.post("/api/llm/execute", body).await })
        })
        .collect();
    until("four are refused", async || asking.iter().filter(|task| task.is_finished()).count() == 4).await;
    for path in ["files?path=x", "archive?path=x"] {
        let answer = ann.get(&format!("/api/vms/{id}/{path}")).await;
        assert!(answer.refused(429).contains("2 sessions"));
        assert_eq!(
            (&answer.json()["reason"], &answer.headers[header::RETRY_AFTER]),
            (&json!("sessions"), &"1".parse().unwrap())
        );
    }
    let refused = ann.client.upgrade(&format!("/api/vms/{id}/shell")).await.unwrap_err();
    assert!(refused.to_string().contains("2 sessions"), "{refused}");
    let work = server.folder.path().join(&id).join("work/go");
    std::fs::write(work, "").unwrap();
    let mut statuses = Vec::new();
    for answer in asking {
        statuses.push(answer.await.unwrap().status.as_u16());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 429, 429, 429, 429]);
    ann.get("/api/pool").await.ok(200);
}

#[tokio::test]
async fn code_that_gets_no_session_starts_no_machine() {
    let server = Server::start_with(|config, _| {
        config.tiers = tiers(&[("default", Tier { machines: 5, sessions: 0, ..Tier::default() })]);
    })
    .await;
    server.ann().post("/api/llm/execute", json!({"language": "sh", "code": "true"})).await.refused(429);
    assert_eq!(server.driver.started(), 0);
}

#[tokio::test]
async fn a_machine_that_is_starting_counts() {
    let gate = Arc::new(Notify::new());
    let server = Server::start_with(|config, driver| {
        driver.hold_starts(gate);
        config.all_machines = 1;
    })
    .await;
    let ann = server.ann();
    ann.post("/api/vms", json!({"wait": false})).await.ok(202);
    ann.post("/api/vms", json!({"wait": false})).await.refused(429);
}

#[tokio::test]
async fn a_machine_that_nobody_uses_ends_after_the_time_of_its_owners_tier() {
    let server = Server::start_with(|config, _| {
        let tier = |idle_minutes| Tier { idle_minutes, ..Tier::default() };
        config.tiers = tiers(&[("default", tier(60)), ("patient", tier(0))]);
    })
    .await;
    let (ann, bob) = (server.ann(), server.client("bob", "patient"));
    for api in [&ann, &bob] {
        api.post("/api/vms", json!({})).await.ok(201);
    }
    tokio::time::pause();
    tokio::time::advance(std::time::Duration::from_secs(59 * 60)).await;
    tokio::time::resume();
    assert_eq!(ann.get("/api/vms").await.ok(200).json()["vms"].as_array().unwrap().len(), 1);
    tokio::time::pause();
    tokio::time::advance(std::time::Duration::from_secs(60)).await;
    tokio::time::resume();
    until("the machine is deleted", async || {
        ann.get("/api/vms").await.ok(200).json()["vms"].as_array().unwrap().is_empty()
    })
    .await;
    assert_eq!(bob.get("/api/vms").await.ok(200).json()["vms"].as_array().unwrap().len(), 1);
    server.end().await;
}
