//! What a collector of traces gets.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::Value;
use server::traces::{Collector, tell};
use store::Store;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::fixture::{World, until};
use crate::sample::failed_run;

/// Answers what it is told to, in this order; then 200.
struct Answers {
    statuses: Vec<u16>,
    asked: AtomicUsize,
    heard: mpsc::UnboundedSender<(HeaderMap, Value)>,
}

async fn take(
    State(answers): State<Arc<Answers>>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> StatusCode {
    let status = answers.statuses.get(answers.asked.fetch_add(1, Ordering::SeqCst)).copied().unwrap_or(200);
    answers.heard.send((headers, body)).unwrap();
    StatusCode::from_u16(status).unwrap()
}

/// A collector that gives these answers, and what it hears.
async fn collector(statuses: &[u16]) -> (Collector, mpsc::UnboundedReceiver<(HeaderMap, Value)>) {
    let (heard, hears) = mpsc::unbounded_channel();
    let answers = Answers { statuses: statuses.to_vec(), asked: AtomicUsize::new(0), heard };
    let router = Router::new().route("/v1/traces", post(take)).with_state(Arc::new(answers));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let collector = Collector::named(|name| match name {
        "OTEL_EXPORTER_OTLP_ENDPOINT" => Some(format!("http://{address}")),
        "OTEL_EXPORTER_OTLP_HEADERS" => Some("x-key=ember".to_owned()),
        _ => None,
    });
    (collector.unwrap().unwrap(), hears)
}

#[tokio::test]
async fn a_run_that_has_ended_is_a_trace_from_the_queue_to_its_last_step() {
    let world = World::start().await;
    let (collector, mut hears) = collector(&[503]).await;
    let (stop, store): (_, Arc<dyn Store>) = (CancellationToken::new(), world.store.clone());
    let telling = tokio::spawn(tell(collector, store, world.metrics.clone(), stop.clone()));
    tokio::task::yield_now().await;
    let (run, _) = failed_run(&*world.store).await;
    let (_, refused) = hears.recv().await.unwrap();
    let (headers, body) = hears.recv().await.unwrap();
    assert_eq!(refused, body, "what is sent again is the same trace");
    assert_eq!(headers["x-key"], "ember");
    let resource = &body["resourceSpans"][0];
    assert_eq!(resource["resource"]["attributes"][0]["value"]["stringValue"], "hearth");
    let spans = resource["scopeSpans"][0]["spans"].as_array().unwrap();
    let ids: BTreeMap<&str, &str> =
        spans.iter().map(|span| (span["spanId"].as_str().unwrap(), span["name"].as_str().unwrap())).collect();
    assert_eq!(ids.len(), spans.len(), "every span has an id of its own");
    let of: Vec<(&str, &str, u64)> = spans
        .iter()
        .map(|span| {
            let nanoseconds = |key: &str| span[key].as_str().unwrap().parse::<u64>().unwrap();
            let parent = span["parentSpanId"].as_str().map_or("", |id| ids[id]);
            let took = (nanoseconds("endTimeUnixNano") - nanoseconds("startTimeUnixNano")) / 1_000_000;
            (span["name"].as_str().unwrap(), parent, took)
        })
        .collect();
    let job = "job Build (1)";
    assert_eq!(
        of,
        [
            ("run CI", "", 5001),
            ("queue", "run CI", 1),
            (job, "run CI", 4998),
            ("queue", job, 500),
            ("machine", job, 1000),
            ("first line", job, 499),
            ("step Run make", job, 2000),
        ]
    );
    assert_eq!(spans[0]["attributes"][0]["value"]["stringValue"], run.to_string());
    assert_eq!((&spans[0]["status"]["code"], &spans[0]["kind"]), (&2.into(), &2.into()));
    assert!(spans.iter().all(|span| span["traceId"] == spans[0]["traceId"]));
    assert_eq!(spans[0]["traceId"].as_str().unwrap().len(), 32);
    until("it is counted", async || {
        world.metrics.text().contains("hearth_traces_total{outcome=\"sent\"} 1\n")
    })
    .await;
    stop.cancel();
    telling.await.unwrap();
}

#[tokio::test]
async fn a_trace_that_the_collector_refuses_is_dropped_and_counted() {
    let world = World::start().await;
    let (collector, mut hears) = collector(&[400]).await;
    let (stop, store): (_, Arc<dyn Store>) = (CancellationToken::new(), world.store.clone());
    let telling = tokio::spawn(tell(collector, store, world.metrics.clone(), stop.clone()));
    tokio::task::yield_now().await;
    failed_run(&*world.store).await;
    hears.recv().await.unwrap();
    let dropped = "hearth_traces_total{outcome=\"dropped\"} 1\n";
    until("it is counted", async || world.metrics.text().contains(dropped)).await;
    assert!(hears.try_recv().is_err(), "a refusal is not asked about again");
    stop.cancel();
    telling.await.unwrap();
}
