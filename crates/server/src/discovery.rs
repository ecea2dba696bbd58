//! What others check OIDC tokens of jobs with: two documents that anybody may read.

use axum::http::header::CACHE_CONTROL;
use axum::routing::{MethodRouter, get};
use axum::{Json, Router};
use scheduler::identity::{DISCOVERY_PATH, Issuer, KEYS_PATH};
use serde_json::Value;

/// How long others may keep them: an hour, so that a key that is changed is known soon.
const KEPT: &str = "public, max-age=3600";

/// Both documents, which are the same for as long as the server runs.
pub fn router(issuer: &Issuer) -> Router {
    Router::new()
        .route(DISCOVERY_PATH, document(issuer.discovery()))
        .route(KEYS_PATH, document(issuer.keys()))
}

fn document(document: Value) -> MethodRouter {
    get(move || async move { ([(CACHE_CONTROL, KEPT)], Json(document)) })
}
