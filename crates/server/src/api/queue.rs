//! Who waits, and why.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use scheduler::decide::Wait;
use scheduler::queue::Subject;

use super::error::ApiError;
use super::wire::{Queue, Waiting};
use crate::server::Shared;

pub(super) async fn show(State(shared): State<Arc<Shared>>) -> Result<Json<Queue>, ApiError> {
    let waits = shared.control.waits().await?;
    Ok(Json(Queue { waiting: waits.into_iter().map(told).collect() }))
}

fn told(wait: Wait) -> Waiting {
    let (run_id, job_id) = match wait.subject {
        Subject::Run(run) => (Some(run), None),
        Subject::Job(job) => (None, Some(job)),
    };
    Waiting { run_id, job_id, reason: wait.reason.to_string(), place: wait.place }
}
