//! What changes, as it changes.

use axum::body::Body;
use axum::http::Method;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use model::Conclusion;
use serde_json::Value;
use server::auth::Role;
use store::{Change, Store};

use crate::fixture::{Client, PATIENCE, World, document};
use crate::openapi;
use crate::sample::{failed_run, later, queued_run};

/// A stream of events.
pub(crate) struct Events {
    body: Incoming,
    text: String,
}

impl Events {
    pub(crate) async fn open(client: &Client, path: &str) -> Events {
        let answer = client.open(Method::GET, path, Body::empty()).await;
        assert_eq!(answer.status(), 200, "{path}");
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        assert_eq!(answer.headers()["x-accel-buffering"], "no", "a proxy passes them on at once");
        Events { body: answer.into_body(), text: String::new() }
    }

    /// The next event: its name and what it says.
    pub(crate) async fn next(&mut self) -> (String, Value) {
        loop {
            if let Some((event, rest)) = self.text.clone().split_once("\n\n") {
                rest.clone_into(&mut self.text);
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
                // Others only keep the connection alive.
                if let (Some(name), Some(data)) = (field("event: "), field("data: ")) {
                    return (name.to_owned(), serde_json::from_str(data).unwrap());
                }
                continue;
            }
            let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await.expect("an event");
            let frame = frame.expect("the stream goes on").unwrap();
            self.text += std::str::from_utf8(&frame.into_data().unwrap()).unwrap();
        }
    }

    /// Whether nothing follows.
    pub(crate) async fn is_over(&mut self) -> bool {
        let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await.expect("an end");
        frame.is_none()
    }

    /// The next change, which is held against the document.
    async fn changed(&mut self) -> Value {
        let (name, what) = self.next().await;
        assert_eq!(name, "changed", "{what}");
        let document = document();
        openapi::conform(&document, &document["components"]["schemas"]["Happened"], &what, "Happened");
        what
    }
}

#[tokio::test]
async fn whoever_listens_hears_of_every_run() {
    let world = World::start().await;
    let reader = world.with(Role::Read).await;
    let mut events = Events::open(&reader, "/api/v1/events").await;
    assert_eq!(events.next().await.0, "open");
    let run = queued_run(&*world.store).await.id;
    let what = events.changed().await;
    assert_eq!((&what["run_id"], &what["what"]), (&run.0.into(), &"run".into()));
    let (other, job) = failed_run(&*world.store).await;
    let mut heard = Vec::new();
    while heard.last() != Some(&"annotations".to_owned()) {
        let what = events.changed().await;
        assert_eq!(what["run_id"], other.0);
        assert!(what["job_id"].is_null() || what["job_id"] == job.0);
        heard.push(what["what"].as_str().unwrap().to_owned());
    }
    // Those of one transaction are told once each, however much changed.
    assert_eq!(heard, ["run", "run", "job", "steps", "annotations"]);
}

#[tokio::test]
async fn whoever_listens_to_a_run_hears_of_that_one_only() {
    let world = World::start().await;
    let reader = world.with(Role::Read).await;
    let (run, other) = (queued_run(&*world.store).await.id, queued_run(&*world.store).await.id);
    let mut events = Events::open(&reader, &format!("/api/v1/runs/{run}/events")).await;
    assert_eq!(events.next().await.0, "open");
    for id in [other, run] {
        let ended =
            Change::RunEnded { run: id, conclusion: Conclusion::Cancelled, reason: None, at: later(9) };
        world.store.apply(vec![ended]).await.unwrap();
    }
    assert_eq!(events.changed().await["run_id"], run.0);
    reader.get("/api/v1/runs/77/events").await.refused(404);
}

#[tokio::test]
async fn secrets_and_tokens_are_not_told_to_whoever_listens() {
    let world = World::start().await;
    let reader = world.with(Role::Read).await;
    let mut events = Events::open(&reader, "/api/v1/events").await;
    assert_eq!(events.next().await.0, "open");
    world.with(Role::Admin).await;
    let run = queued_run(&*world.store).await.id;
    assert_eq!(events.changed().await["run_id"], run.0);
}

#[tokio::test]
async fn streams_end_with_the_server() {
    let world = World::start().await;
    let reader = world.with(Role::Read).await;
    let mut events = Events::open(&reader, "/api/v1/events").await;
    assert_eq!(events.next().await.0, "open");
    world.end().await;
    assert!(events.is_over().await);
}
