//! How the server stands: `GET /api/v1/status`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use model::{JobState, RepositoryId, RunId, StepState, Timestamp};
use scheduler::queue::Subject;
use scheduler::recipe::run_of;
use store::record;

use super::error::ApiError;
use super::wire::{Disk, Pool, Profile, Status, Working};
use super::{queue, repositories};
use crate::server::Shared;

/// Runs whose jobs are looked at: many times what one screen shows.
const RUNS: usize = 200;

pub(super) async fn show(State(shared): State<Arc<Shared>>) -> Result<Json<Status>, ApiError> {
    let waits = shared.control.waits().await?;
    let names = repositories::names(&shared).await?;
    let oldest = match waits.iter().min_by_key(|wait| age(wait.subject)) {
        Some(wait) => queue::told(&shared, wait, &names).await?,
        None => None,
    };
    let premises = &shared.premises;
    let profiles = premises.profiles().into_iter().map(|profile| Profile {
        name: profile.name,
        labels: profile.labels,
        machines: profile.capacity.machines,
    });
    let pool = premises.pool().into_iter().map(|kind| Pool {
        name: kind.name,
        ready: kind.ready,
        starting: kind.starting,
        wanted: kind.wanted,
        last_failure: kind.last_failure,
    });
    let disk = premises.disk();
    Ok(Json(Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at: shared.started_at,
        now: Timestamp::now(),
        working: working(&shared, &names).await?,
        waiting: waits.len(),
        oldest,
        profiles: profiles.collect(),
        pool: pool.collect(),
        disk: disk.map(|disk| Disk { free_bytes: disk.free_bytes, size_bytes: disk.size_bytes }),
    }))
}

/// Orders those who wait by when they were made: ids are given in turn, and those of jobs begin with their run's.
fn age(subject: Subject) -> (RunId, Subject) {
    match subject {
        Subject::Run(run) => (run, subject),
        Subject::Job(job) => (run_of(job), subject),
    }
}

/// Jobs that have a machine or are getting one.
async fn working(shared: &Shared, names: &BTreeMap<RepositoryId, String>) -> Result<Vec<Working>, ApiError> {
    let mut working = Vec::new();
    for run in shared.store.unfinished_runs().await?.into_iter().take(RUNS) {
        for job in shared.store.jobs(run.id, run.attempt).await? {
            if matches!(job.state, JobState::Leasing | JobState::Running) {
                let repository = names.get(&run.what.repository).cloned().unwrap_or_default();
                working.push(at_work(shared, &run, job, repository).await?);
            }
        }
    }
    working.sort_by_key(|working: &Working| working.job.leased_at);
    Ok(working)
}

async fn at_work(
    shared: &Shared,
    run: &record::Run,
    job: record::Job,
    repository: String,
) -> Result<Working, ApiError> {
    let steps = shared.store.steps(job.id).await?;
    let step = steps.into_iter().rev().find(|step| step.state == StepState::Running);
    Ok(Working {
        repository,
        workflow_name: run.what.workflow_name.clone(),
        title: run.what.title.clone(),
        step_started_at: step.as_ref().map(|step| step.started_at),
        step: step.map(|step| step.name),
        job: job.into(),
    })
}
