//! Whether it lives, whether it can work, and its numbers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use server::health::Check;
use server::metrics;
use store::Store;
use tokio_util::sync::CancellationToken;

use crate::fixture::{World, until};
use crate::sample::{failed_run, queued_run};

/// A part that works or does not.
struct Part(&'static str, Result<(), String>);

#[async_trait]
impl Check for Part {
    fn name(&self) -> &str {
        self.0
    }

    async fn check(&self) -> Result<(), String> {
        self.1.clone()
    }
}

/// A part that counts how often it was tried.
struct Counted(Arc<AtomicUsize>);

#[async_trait]
impl Check for Counted {
    fn name(&self) -> &str {
        "counted"
    }

    async fn check(&self) -> Result<(), String> {
        self.0.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        Ok(())
    }
}

/// A part that says nothing.
struct Silent;

#[async_trait]
impl Check for Silent {
    fn name(&self) -> &str {
        "silent"
    }

    async fn check(&self) -> Result<(), String> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_server_lives_and_is_ready_when_all_its_parts_work() {
    let world = World::start_with(|parts| parts.checks.push(Arc::new(Part("disk", Ok(()))))).await;
    assert_eq!(world.nobody().get("/health").await.is(200).json(), serde_json::json!({"status": "ok"}));
    let ready = world.nobody().get("/ready").await.is(200).json();
    assert_eq!(ready, serde_json::json!({"status": "ready", "parts": {"store": "ok", "disk": "ok"}}));
}

#[tokio::test]
async fn a_server_whose_store_can_not_write_lives_and_is_not_ready() {
    let world = World::start().await;
    world.store.is_full.store(true, Ordering::SeqCst);
    let not = world.nobody().get("/ready").await.is(503).json();
    assert_eq!(not["status"], "not ready");
    assert!(not["parts"]["store"].as_str().unwrap().contains("no room left"), "{not}");
    world.nobody().get("/health").await.is(200);
}

#[tokio::test]
async fn a_part_that_does_not_work_is_named_with_its_reason() {
    let broken = Part("driver sandbox", Err("no user namespaces".to_owned()));
    let world = World::start_with(|parts| parts.checks.push(Arc::new(broken))).await;
    let not = world.nobody().get("/ready").await.is(503).json();
    assert_eq!(not["parts"], serde_json::json!({"store": "ok", "driver sandbox": "no user namespaces"}));
}

#[tokio::test]
async fn whoever_asks_all_the_time_makes_nobody_try_all_the_time() {
    let tries = Arc::new(AtomicUsize::new(0));
    let world = World::start_with(|parts| parts.checks.push(Arc::new(Counted(Arc::clone(&tries))))).await;
    let nobody = world.nobody();
    let asking = (0..20).map(async |_| nobody.get("/ready").await.is(200));
    futures_util::future::join_all(asking).await;
    assert_eq!(tries.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_part_that_says_nothing_is_not_waited_for() {
    let world = World::start_with(|parts| parts.checks.push(Arc::new(Silent))).await;
    let not = world.nobody().get("/ready").await.is(503).json();
    assert_eq!(not["parts"]["silent"], "no answer within 10 s");
}

#[tokio::test]
async fn the_numbers_tell_what_has_happened() {
    let world = World::start().await;
    queued_run(&*world.store).await;
    let (stop, store): (_, Arc<dyn Store>) = (CancellationToken::new(), world.store.clone());
    let watching = tokio::spawn(metrics::watch(world.metrics.clone(), store, stop.clone()));
    let has = async |line: &str| {
        let answer = world.nobody().get("/metrics").await.is(200);
        String::from_utf8(answer.bytes).unwrap().lines().any(|has| has == line)
    };
    until("it knows what was there", async || has(r#"hearth_runs{state="queued"} 1"#).await).await;
    world.webhook("push", "g", r#"{"ref":"refs/heads/main"}"#).await.is(200);
    world.webhook("push", "g", r#"{"ref":"refs/heads/main"}"#).await.is(200);
    world.webhook("push", "g", "[]").await.is(400);
    failed_run(&*world.store).await;
    until("it hears of the end", async || has(r#"hearth_runs_ended_total{conclusion="failure"} 1"#).await)
        .await;
    for line in [
        r#"hearth_webhooks_total{event="push",outcome="received"} 1"#,
        r#"hearth_webhooks_total{event="push",outcome="known"} 1"#,
        r#"hearth_webhooks_total{event="unknown",outcome="bad_request"} 1"#,
        "hearth_webhook_seconds_count 3",
        "hearth_queue_wait_seconds_sum 0.5",
        "hearth_machine_lease_seconds_sum 1",
        "hearth_first_line_seconds_sum 0.499",
        r#"hearth_step_seconds_sum{conclusion="failure"} 2"#,
        r#"hearth_job_seconds_sum{conclusion="failure"} 3.498"#,
        r#"hearth_jobs_ended_total{conclusion="failure"} 1"#,
        r#"hearth_runs{state="queued"} 1"#,
        r#"hearth_jobs{state="running"} 0"#,
    ] {
        assert!(has(line).await, "{line}");
    }
    stop.cancel();
    watching.await.unwrap();
}
