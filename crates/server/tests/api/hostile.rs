//! What a client may cost, before anybody knows who it is.

use std::time::Duration;

use axum::body::Body;
use axum::http::Method;
use bytes::Bytes;
use futures_util::stream;
use serde_json::json;
use server::auth::Role;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::fixture::World;

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let world = World::start().await;
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    let head = format!("POST /webhook HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "x".repeat(64 * 1024));
    // The server may hang up before it has read all of it.
    let _ = stream.write_all(head.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!String::from_utf8_lossy(&answer).starts_with("HTTP/1.1 200"));
    world.webhook("ping", "g", "{}").await.is(200);
}

#[tokio::test(start_paused = true)]
async fn a_webhook_that_never_ends_is_refused() {
    let world = World::start().await;
    let never = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
    let begun = tokio::time::Instant::now();
    let reason = world.github("push", "g", "{}").send(Method::POST, "/webhook", never).await.refused(408);
    assert!(reason.contains("15 s"), "{reason}");
    assert!(begun.elapsed() < Duration::from_secs(60));
}

#[tokio::test]
async fn paths_that_nobody_made_are_not_found() {
    let world = World::start().await;
    for path in ["/", "/api", "/api/v1", "/api/v1/", "/api/v1/runs/", "//health", "/%00", "/../etc/passwd"] {
        world.nobody().get(path).await.refused(404);
    }
}

#[tokio::test]
async fn webhooks_are_taken_while_the_server_ends_and_not_after() {
    let world = World::start().await;
    let address = world.address;
    world.webhook("ping", "g", "{}").await.is(200);
    world.end().await;
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_path_that_is_not_utf8_is_refused_in_the_words_of_all_errors() {
    let world = World::start().await;
    let admin = world.with(Role::Admin).await;
    admin.get("/api/v1/repositories/%ff/hello").await.refused(400);
    let environments = "/api/v1/repositories/octo/%ff/environments";
    admin.get(environments).await.refused(400);
    admin.put(&format!("{environments}/x"), json!({"approval": true})).await.refused(400);
    admin.delete(&format!("{environments}/x")).await.refused(400);
    for kind in ["workflow-dispatch", "repository-dispatch"] {
        admin.post(&format!("/api/v1/repositories/octo/%ff/{kind}"), json!({})).await.refused(400);
    }
    for path in ["secrets/%ff?scope=octo", "variables/%ff?scope=octo"] {
        admin.put(&format!("/api/v1/{path}"), json!({"value": "x"})).await.refused(400);
        admin.delete(&format!("/api/v1/{path}")).await.refused(400);
    }
    admin.delete("/api/v1/tokens/%ff").await.refused(400);
    // What is no number is nothing that is there.
    for path in ["runs/%ff", "jobs/%ff/log", "deliveries/%ff"] {
        admin.get(&format!("/api/v1/{path}")).await.refused(404);
    }
}
