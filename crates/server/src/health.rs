//! Whether the server lives, and whether it can work: `GET /health`, `GET /ready`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures_util::future::join_all;
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::api::error::ApiError;
use crate::server::Shared;

/// For how long an answer is good: whoever routes requests by it asks as often.
const FRESH: Duration = Duration::from_secs(10);

/// How long one check may take: twice what an emulated machine takes to boot.
const CHECK_DEADLINE: Duration = Duration::from_secs(10);

/// When it is worth asking again where a check broke, in seconds.
const RETRY_SECONDS: u64 = 10;

/// A part that the server can't work without.
#[async_trait]
pub trait Check: Send + Sync {
    /// What people call it (`disk`, `driver sandbox`).
    fn name(&self) -> &str;

    /// Whether it works, by trying it; if not, why, and what to do.
    async fn check(&self) -> Result<(), String>;
}

/// The process answers.
pub(crate) async fn live() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

/// What was found when the parts were last tried.
#[derive(Default)]
pub(crate) struct Readiness {
    /// Held while they are tried: whoever asks meanwhile gets the same answer. Nobody needs a token to ask, and trying
    /// a driver starts a machine.
    found: Mutex<Option<Found>>,
}

#[derive(Clone)]
struct Found {
    at: Instant,
    is_ready: bool,
    parts: Map<String, Value>,
}

/// Every part works, or which does not and why.
pub(crate) async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    // Goes on when the client has gone: hanging up makes nobody try again. It ends within the deadline of a check.
    let found = match tokio::spawn(last(shared)).await {
        Ok(found) => found,
        Err(error) => return ApiError::unavailable(error.to_string(), RETRY_SECONDS).into_response(),
    };
    let (status, word) = match found.is_ready {
        true => (StatusCode::OK, "ready"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready"),
    };
    (status, Json(json!({"status": word, "parts": found.parts}))).into_response()
}

/// What was found last, or else what is found now.
async fn last(shared: Arc<Shared>) -> Found {
    let mut last = shared.readiness.found.lock().await;
    match &*last {
        Some(found) if found.at.elapsed() < FRESH => found.clone(),
        _ => last.insert(find(&shared).await).clone(),
    }
}

/// Tries all parts, at once.
async fn find(shared: &Shared) -> Found {
    let store = async {
        let outcome = within(async { shared.store.check().await.map_err(|error| error.to_string()) }).await;
        ("store".to_owned(), outcome)
    };
    let others =
        shared.checks.iter().map(async |check| (check.name().to_owned(), within(check.check()).await));
    let (store, others) = futures_util::join!(store, join_all(others));
    let outcomes: Vec<_> = std::iter::once(store).chain(others).collect();
    let is_ready = outcomes.iter().all(|(_, outcome)| outcome.is_ok());
    let told = |outcome: Result<(), String>| outcome.map_or_else(Value::from, |()| Value::from("ok"));
    let parts = outcomes.into_iter().map(|(name, outcome)| (name, told(outcome))).collect();
    Found { at: Instant::now(), is_ready, parts }
}

async fn within(check: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    let late = format!("no answer within {} s", CHECK_DEADLINE.as_secs());
    tokio::time::timeout(CHECK_DEADLINE, check).await.unwrap_or(Err(late))
}
