//! Whether the server lives, and whether it can work: `GET /health`, `GET /ready`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use crate::server::Shared;

/// How long one check may take: a load balancer that asks waits no longer than a few seconds.
const CHECK_DEADLINE: Duration = Duration::from_secs(5);

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

/// Every part works, or which does not and why.
pub(crate) async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    let store = within(async { shared.store.check().await.map_err(|error| error.to_string()) }).await;
    let mut parts = Map::from_iter([told("store", &store)]);
    let mut is_ready = store.is_ok();
    for check in &shared.checks {
        let outcome = within(check.check()).await;
        is_ready &= outcome.is_ok();
        parts.extend([told(check.name(), &outcome)]);
    }
    let (status, word) = match is_ready {
        true => (StatusCode::OK, "ready"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready"),
    };
    (status, Json(json!({"status": word, "parts": parts}))).into_response()
}

async fn within(check: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    let late = format!("no answer within {} s", CHECK_DEADLINE.as_secs());
    tokio::time::timeout(CHECK_DEADLINE, check).await.unwrap_or(Err(late))
}

fn told(name: &str, outcome: &Result<(), String>) -> (String, Value) {
    let told = outcome.as_ref().map_or_else(|reason| json!(reason), |()| json!("ok"));
    (name.to_owned(), told)
}
