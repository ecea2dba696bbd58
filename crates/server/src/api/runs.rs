//! Runs, their attempts, and what is in them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use model::{Conclusion, RunId, RunState};
use serde::Deserialize;
use store::query::RunFilter;
use store::record;

use super::error::ApiError;
use super::read::{Number, Query, page, word};
use super::repositories;
use super::wire::{AnnotationOf, Annotations, Attempts, Jobs, Run, Runs};
use crate::server::Shared;

/// Which runs.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    repository: Option<String>,
    workflow: Option<String>,
    branch: Option<String>,
    event: Option<String>,
    actor: Option<String>,
    state: Option<String>,
    conclusion: Option<String>,
    sha: Option<String>,
    pull_request: Option<u64>,
    before: Option<u64>,
    limit: Option<usize>,
}

pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    Query(which): Query<Which>,
) -> Result<Json<Runs>, ApiError> {
    let repository = match &which.repository {
        Some(name) => Some(repositories::named(&shared, name).await?.id),
        None => None,
    };
    let filter = RunFilter {
        repository,
        workflow_path: which.workflow,
        branch: which.branch,
        event: which.event,
        actor: which.actor,
        state: word("state of a run", which.state.as_deref(), RunState::named)?,
        conclusion: word("conclusion", which.conclusion.as_deref(), conclusion)?,
        sha: which.sha,
        pull_request: which.pull_request,
        delivery: None,
        before: which.before.map(RunId),
    };
    let (runs, next) = page(which.limit, |most| shared.store.runs(&filter, most), |run| run.id).await?;
    Ok(Json(Runs { runs: runs.into_iter().map(Run::from).collect(), next }))
}

fn conclusion(word: &str) -> Option<Conclusion> {
    use Conclusion::{Cancelled, Failure, Skipped, Success};
    [Success, Failure, Cancelled, Skipped].into_iter().find(|conclusion| conclusion.as_str() == word)
}

pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    Number(run): Number,
) -> Result<Json<Run>, ApiError> {
    Ok(Json(one(&shared, run).await?.into()))
}

pub(super) async fn attempts(
    State(shared): State<Arc<Shared>>,
    Number(run): Number,
) -> Result<Json<Attempts>, ApiError> {
    let run = one(&shared, run).await?;
    let attempts = shared.store.attempts(run.id).await?;
    Ok(Json(Attempts { attempts: attempts.into_iter().map(Into::into).collect() }))
}

/// Which attempt; the latest when it is not said.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WhichAttempt {
    attempt: Option<u32>,
}

impl WhichAttempt {
    fn of(&self, run: &record::Run) -> Result<u32, ApiError> {
        match self.attempt {
            None => Ok(run.attempt),
            Some(attempt) if (1..=run.attempt).contains(&attempt) => Ok(attempt),
            Some(attempt) => Err(ApiError::missing(format!("attempt {attempt} of run {}", run.id))),
        }
    }
}

pub(super) async fn jobs(
    State(shared): State<Arc<Shared>>,
    Number(run): Number,
    Query(which): Query<WhichAttempt>,
) -> Result<Json<Jobs>, ApiError> {
    let run = one(&shared, run).await?;
    let jobs = shared.store.jobs(run.id, which.of(&run)?).await?;
    Ok(Json(Jobs { jobs: jobs.into_iter().map(Into::into).collect() }))
}

pub(super) async fn annotations(
    State(shared): State<Arc<Shared>>,
    Number(run): Number,
    Query(which): Query<WhichAttempt>,
) -> Result<Json<Annotations>, ApiError> {
    let run = one(&shared, run).await?;
    let annotations = shared.store.annotations(run.id, which.of(&run)?).await?;
    let told = |of: record::AnnotationOf| AnnotationOf { job_id: of.job, annotation: of.annotation };
    Ok(Json(Annotations { annotations: annotations.into_iter().map(told).collect() }))
}

/// A run that must be there.
pub(super) async fn one(shared: &Shared, id: u64) -> Result<record::Run, ApiError> {
    shared.store.run(RunId(id)).await?.ok_or_else(|| ApiError::missing(format!("run {id}")))
}
