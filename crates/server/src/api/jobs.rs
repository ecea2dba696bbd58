//! Jobs and their steps.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use model::JobId;
use store::record;

use super::error::ApiError;
use super::read::Number;
use super::wire::{Job, Steps};
use crate::server::Shared;

pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    Number(job): Number,
) -> Result<Json<Job>, ApiError> {
    Ok(Json(one(&shared, job).await?.into()))
}

pub(super) async fn steps(
    State(shared): State<Arc<Shared>>,
    Number(job): Number,
) -> Result<Json<Steps>, ApiError> {
    let job = one(&shared, job).await?;
    let steps = shared.store.steps(job.ran_as()).await?;
    Ok(Json(Steps { steps: steps.into_iter().map(Into::into).collect() }))
}

/// A job that must be there.
pub(super) async fn one(shared: &Shared, id: u64) -> Result<record::Job, ApiError> {
    shared.store.job(JobId(id)).await?.ok_or_else(|| ApiError::missing(format!("job {id}")))
}
