//! Snapshots and roll-backs.

use axum::http::Method;
use serde_json::json;

use crate::fixture::{Server, until};

async fn able() -> Server {
    Server::start_with(|_, driver| driver.allow_snapshots()).await
}

#[tokio::test]
async fn a_machine_goes_on_after_a_snapshot_and_comes_back_to_it() {
    let server = able().await;
    let ann = server.ann();
    let id = ann.vm().await;
    let (snapshots, files) = (format!("/api/vms/{id}/snapshots"), format!("/api/vms/{id}/files?path=state"));
    ann.put(&files, "one").await.ok(204);
    let body = json!({"name": "first", "description": "before the change"});
    let taken = ann.post(&snapshots, body).await.ok(201).json();
    let snapshot = taken["snapshot_id"].as_str().unwrap();
    assert_eq!(ann.output(&id, "cat state; printf two >state").await, "one", "it goes on");
    let listed = ann.get(&snapshots).await.ok(200).json();
    assert_eq!(
        (&listed["snapshots"][0]["snapshot_id"], &listed["snapshots"][0]["name"]),
        (&json!(snapshot), &json!("first"))
    );
    for _ in 0..2 {
        assert_eq!(ann.output(&id, "cat state").await, "two");
        let back = ann.post(&format!("/api/vms/{id}/rollback/{snapshot}"), json!({})).await.ok(200).json();
        assert_eq!(back, json!({"id": id, "status": "running"}));
        assert_eq!(ann.output(&id, "cat state; printf two >state").await, "one");
    }
    assert_eq!(server.driver.alive(), 1);
    ann.delete(&format!("{snapshots}/{snapshot}")).await.ok(204);
    ann.delete(&format!("{snapshots}/{snapshot}")).await.refused(404);
    ann.post(&format!("/api/vms/{id}/rollback/{snapshot}"), json!({})).await.refused(404);
}

#[tokio::test]
async fn a_driver_that_can_not_snapshot_says_so_and_keeps_the_machine() {
    let server = Server::start().await;
    let ann = server.ann();
    let id = ann.vm().await;
    let refused = ann.post(&format!("/api/vms/{id}/snapshots"), json!({})).await.refused(501);
    assert!(refused.contains("fake") && refused.contains("virtual machines"), "{refused}");
    ann.post(&format!("/api/vms/{id}/rollback/api-1"), json!({})).await.refused(501);
    assert_eq!(ann.output(&id, "echo alive").await, "alive\n");
}

#[tokio::test]
async fn a_machine_that_is_in_use_is_not_frozen() {
    let server = able().await;
    let ann = server.ann();
    let id = ann.vm().await;
    let body = json!({"argv": ["sleep", "600"]}).to_string();
    let session = ann.client.succeed(Method::POST, &format!("/api/vms/{id}/exec"), body).await.unwrap();
    let refused = ann.post(&format!("/api/vms/{id}/snapshots"), json!({})).await.refused(409);
    assert!(refused.contains("in use"), "{refused}");
    drop(session);
    until("the session has ended", async || ann.get("/api/pool").await.json()["caller"]["sessions"] == 0)
        .await;
    ann.post(&format!("/api/vms/{id}/snapshots"), json!({})).await.ok(201);
}

#[tokio::test]
async fn a_machine_that_could_not_be_restored_is_not_frozen_and_goes_on() {
    let server = able().await;
    let ann = server.ann();
    let id = ann.vm().await;
    server.driver.make_unrestorable(Some("no image abc"));
    let refused = ann.post(&format!("/api/vms/{id}/snapshots"), json!({})).await.refused(503);
    assert!(refused.contains("no image abc"), "{refused}");
    assert_eq!(ann.get(&format!("/api/vms/{id}")).await.ok(200).json()["status"], "running");
    assert_eq!(ann.output(&id, "echo alive").await, "alive\n");
    server.driver.make_unrestorable(None);
    ann.post(&format!("/api/vms/{id}/snapshots"), json!({})).await.ok(201);
}

#[tokio::test]
async fn a_restore_that_fails_is_told_and_a_roll_back_brings_the_machine_back() {
    let server = able().await;
    let ann = server.ann();
    let id = ann.vm().await;
    let taken = ann.post(&format!("/api/vms/{id}/snapshots"), json!({})).await.ok(201).json();
    let rollback = format!("/api/vms/{id}/rollback/{}", taken["snapshot_id"].as_str().unwrap());
    server.driver.fail_restores(Some("the disk is full"));
    assert!(ann.post(&rollback, json!({})).await.refused(503).contains("the disk is full"));
    let shown = ann.get(&format!("/api/vms/{id}")).await.ok(200).json();
    assert_eq!(shown["status"], "failed");
    assert!(shown["error"].as_str().unwrap().contains("the disk is full"));
    ann.post(&format!("/api/vms/{id}/snapshots"), json!({})).await.refused(409);
    server.driver.fail_restores(None);
    ann.post(&rollback, json!({})).await.ok(200);
    assert_eq!(ann.output(&id, "echo back").await, "back\n");
}

#[tokio::test]
async fn snapshots_go_with_their_machine_and_those_of_an_earlier_life_at_start_up() {
    let server = able().await;
    let ann = server.ann();
    let id = ann.vm().await;
    ann.post(&format!("/api/vms/{id}/snapshots"), json!({})).await.ok(201);
    let folder = server.folder.path().join("snapshots");
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
    ann.delete(&format!("/api/vms/{id}")).await.ok(200);
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);

    std::fs::create_dir(folder.join("api-0123")).unwrap();
    std::fs::create_dir(folder.join("debug-1")).unwrap();
    let driver = std::sync::Arc::new(server.driver.clone());
    let config = server::machines::Config::new(server.folder.path());
    let (_, removed) = server::machines::Machines::open(crate::fixture::key(), config, driver).await.unwrap();
    assert_eq!(removed, ["snapshot api-0123"]);
    assert!(folder.join("debug-1").is_dir(), "others' snapshots stay");
}

#[tokio::test]
async fn a_snapshot_that_can_not_be_meant_is_refused() {
    let server = able().await;
    let ann = server.ann();
    let id = ann.vm().await;
    let snapshots = format!("/api/vms/{id}/snapshots");
    ann.post(&snapshots, json!({"name": "x".repeat(65)})).await.refused(400);
    ann.post(&snapshots, json!({"memory": true})).await.refused(400);
    for _ in 0..8 {
        ann.post(&snapshots, json!({})).await.ok(201);
    }
    assert!(ann.post(&snapshots, json!({})).await.refused(409).contains("8 snapshots"));
}
