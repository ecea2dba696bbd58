//! What a client may cost: bytes and time.

use std::time::Duration;

use axum::body::Body;
use axum::http::Method;
use bytes::Bytes;
use futures_util::stream;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::fixture::{Server, until};

#[tokio::test]
async fn a_body_that_is_too_large_is_refused() {
    let server = Server::start().await;
    let ann = server.ann();
    let code = "x".repeat(3 * 1024 * 1024);
    let refused = ann.post("/api/llm/execute", json!({"language": "sh", "code": code})).await.refused(413);
    assert!(refused.contains("2097152"), "{refused}");
    let code = "x".repeat(1024 * 1024 + 1);
    ann.post("/api/llm/execute", json!({"language": "sh", "code": code})).await.refused(400);
    assert_eq!(server.driver.started(), 0);
    let id = ann.vm().await;
    let chunks = stream::iter((0..65).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![0; 1024 * 1024]))));
    ann.put(&format!("/api/vms/{id}/files?path=x"), Body::from_stream(chunks)).await.refused(413);
    ann.get(&format!("/api/vms/{id}/files?path=x")).await.refused(404);
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let server = Server::start().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = format!("GET /health HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "x".repeat(64 * 1024));
    // The server may hang up before it has read all of it.
    let _ = stream.write_all(head.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!String::from_utf8_lossy(&answer).starts_with("HTTP/1.1 200"));
}

/// With the clock at rest, which is moved on when everybody waits.
#[tokio::test(start_paused = true)]
async fn a_client_that_never_ends_its_head_is_hung_up_on() {
    let server = Server::start().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n").await.unwrap();
    let (begin, mut answer) = (tokio::time::Instant::now(), Vec::new());
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(begin.elapsed() < Duration::from_secs(60), "after {:?}", begin.elapsed());
    assert!(!String::from_utf8_lossy(&answer).starts_with("HTTP/1.1 200"));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_ends_is_refused() {
    let server = Server::start().await;
    let ann = server.ann();
    let never = || Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
    let refused = ann.send(Method::POST, "/api/vms", never()).await.refused(408);
    assert!(refused.contains("30 s"), "{refused}");
    assert_eq!(server.driver.started(), 0);
}

#[tokio::test]
async fn a_client_that_breaks_off_an_upload_leaves_no_session_and_no_file() {
    let server = Server::start().await;
    let ann = server.ann();
    let id = ann.vm().await;
    let never = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
    let uploading = tokio::spawn({
        let (ann, path) = (ann.clone(), format!("/api/vms/{id}/archive?path=in"));
        async move { ann.client.send(Method::PUT, &path, never).await.map(drop) }
    });
    let sessions = async |wanted: u64| ann.get("/api/pool").await.json()["caller"]["sessions"] == wanted;
    until("it has begun", async || sessions(1).await).await;
    let deleting = ann.clone();
    // A session that hangs does not keep a machine from its end.
    tokio::time::timeout(Duration::from_secs(10), deleting.delete(&format!("/api/vms/{id}")))
        .await
        .unwrap()
        .ok(200);
    until("it has ended", async || sessions(0).await).await;
    let _ = uploading.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_stands_still_is_refused() {
    let server = Server::start().await;
    let ann = server.ann();
    let id = ann.vm().await;
    let never = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
    let refused = ann.put(&format!("/api/vms/{id}/archive?path=in"), never).await.refused(408);
    assert!(refused.contains("30 s"), "{refused}");
    assert_eq!(ann.get("/api/pool").await.json()["caller"]["sessions"], 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_no_output_loses_its_command() {
    let server = Server::start().await;
    let ann = server.ann();
    let id = ann.vm().await;
    let body = json!({"argv": ["yes"]}).to_string();
    let answer = ann.client.succeed(Method::POST, &format!("/api/vms/{id}/exec"), body).await.unwrap();
    let begin = tokio::time::Instant::now();
    while ann.get("/api/pool").await.json()["caller"]["sessions"] != 0 {
        assert!(begin.elapsed() < Duration::from_secs(300), "it is still there");
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    assert!(begin.elapsed() > Duration::from_secs(30), "it had its time");
    let log = ann.get(&format!("/api/vms/{id}/logs")).await.json().to_string();
    assert!(log.contains("the client took no output"), "the log says why");
    drop(answer);
}
