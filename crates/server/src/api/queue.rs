//! Who waits, and why.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use model::RepositoryId;
use scheduler::decide::{Wait, WaitReason};
use scheduler::queue::Subject;
use serde::Deserialize;

use super::error::ApiError;
use super::read::Query;
use super::repositories;
use super::wire::{Queue, Waiting};
use crate::server::Shared;

/// Who waits, of one answer, unless it is asked for others: a few screens.
const SHOWN: usize = 200;

/// Most of one answer: the name of each is looked up.
const MOST: usize = 1000;

/// How many.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    limit: Option<usize>,
    approval: Option<bool>,
}

pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    Query(which): Query<Which>,
) -> Result<Json<Queue>, ApiError> {
    let mut waits = shared.control.waits().await?;
    waits.retain(|wait| which.approval.is_none_or(|wanted| wanted == is_for_approval(wait)));
    let names = repositories::names(&shared).await?;
    let mut waiting = Vec::new();
    for wait in waits.iter().take(which.limit.unwrap_or(SHOWN).clamp(1, MOST)) {
        waiting.extend(told(&shared, wait, &names).await?);
    }
    Ok(Json(Queue { waiting, total: waits.len() }))
}

fn is_for_approval(wait: &Wait) -> bool {
    matches!(wait.reason, WaitReason::Approval | WaitReason::Environment(_))
}

/// Somebody who waits, as people know them. None whom the store does not know any more.
pub(super) async fn told(
    shared: &Shared,
    wait: &Wait,
    names: &BTreeMap<RepositoryId, String>,
) -> Result<Option<Waiting>, ApiError> {
    let job = match wait.subject {
        Subject::Run(_) => None,
        Subject::Job(id) => shared.store.job(id).await?,
    };
    let run = match (wait.subject, &job) {
        (Subject::Run(id), _) => shared.store.run(id).await?,
        (Subject::Job(_), Some(job)) => shared.store.run(job.run).await?,
        (Subject::Job(_), None) => None,
    };
    let Some(run) = run else { return Ok(None) };
    let repository = names.get(&run.what.repository).cloned().unwrap_or_default();
    Ok(Some(Waiting {
        run_id: run.id,
        job_id: job.as_ref().map(|job| job.id),
        repository,
        since: job.as_ref().map_or(run.queued_at, |job| job.clock.waits_since()),
        name: job.map_or(run.what.title, |job| job.name),
        reason: wait.reason.to_string(),
        needs_approval: is_for_approval(wait),
        place: wait.place,
    }))
}
