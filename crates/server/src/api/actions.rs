//! What people make the server do: cancel, run again, approve, start.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use model::RunId;
use scheduler::queue::Subject;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::error::ApiError;
use super::read::{Body, Number, Path};
use super::wire::{Dispatched as Told, NewAttempt};
use super::{jobs, repositories, runs};
use crate::auth::Principal;
use crate::control::{Again, Decision, Dispatch, Dispatched, Review};
use crate::server::Shared;

/// Longest reason of a cancellation: a sentence or two.
const REASON_BYTES: usize = 500;

/// Longest type of a `repository_dispatch`: GitHub's limit.
/// <https://docs.github.com/en/rest/repos/repos#create-a-repository-dispatch-event>
const EVENT_TYPE_CHARS: usize = 100;

/// Why something is cancelled.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cancel {
    reason: Option<String>,
}

impl Cancel {
    fn said_by(self, principal: &Principal) -> Result<String, ApiError> {
        match self.reason {
            Some(reason) if reason.len() > REASON_BYTES => {
                Err(ApiError::bad(format!("the reason has more than {REASON_BYTES} bytes")))
            }
            Some(reason) => Ok(format!("cancelled by {}: {reason}", principal.name)),
            None => Ok(format!("cancelled by {}", principal.name)),
        }
    }
}

pub(super) async fn cancel_run(
    State(shared): State<Arc<Shared>>,
    Extension(principal): Extension<Principal>,
    Number(run): Number,
    Body(cancel): Body<Cancel>,
) -> Result<StatusCode, ApiError> {
    let run = runs::one(&shared, run).await?;
    shared.control.cancel(Subject::Run(run.id), cancel.said_by(&principal)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn cancel_job(
    State(shared): State<Arc<Shared>>,
    Extension(principal): Extension<Principal>,
    Number(job): Number,
    Body(cancel): Body<Cancel>,
) -> Result<StatusCode, ApiError> {
    let job = jobs::one(&shared, job).await?;
    shared.control.cancel(Subject::Job(job.id), cancel.said_by(&principal)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Which jobs run again.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rerun {
    #[serde(default)]
    jobs: Wanted,
}

/// Some of the jobs of a run.
#[derive(Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Wanted {
    #[default]
    All,
    Failed,
}

pub(super) async fn rerun_run(
    State(shared): State<Arc<Shared>>,
    Extension(principal): Extension<Principal>,
    Number(run): Number,
    Body(rerun): Body<Rerun>,
) -> Result<(StatusCode, Json<NewAttempt>), ApiError> {
    let run = runs::one(&shared, run).await?;
    let again = match rerun.jobs {
        Wanted::All => Again::All,
        Wanted::Failed => Again::Failed,
    };
    anew(&shared, run.id, again, principal).await
}

/// A body without members.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

pub(super) async fn rerun_job(
    State(shared): State<Arc<Shared>>,
    Extension(principal): Extension<Principal>,
    Number(job): Number,
    Body(Nothing {}): Body<Nothing>,
) -> Result<(StatusCode, Json<NewAttempt>), ApiError> {
    let job = jobs::one(&shared, job).await?;
    let again = Again::Jobs(BTreeSet::from([job.path]));
    anew(&shared, job.run, again, principal).await
}

async fn anew(
    shared: &Shared,
    run_id: RunId,
    again: Again,
    principal: Principal,
) -> Result<(StatusCode, Json<NewAttempt>), ApiError> {
    let attempt = shared.control.again(run_id, again, principal.name).await?;
    Ok((StatusCode::CREATED, Json(NewAttempt { run_id, attempt })))
}

pub(super) async fn approve(
    State(shared): State<Arc<Shared>>,
    Extension(principal): Extension<Principal>,
    Number(run): Number,
    Body(Nothing {}): Body<Nothing>,
) -> Result<StatusCode, ApiError> {
    let run = runs::one(&shared, run).await?;
    shared.control.approve(run.id, principal.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What somebody says to a job that waits for its environment.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Comment {
    comment: Option<String>,
}

pub(super) async fn approve_job(
    State(shared): State<Arc<Shared>>,
    Extension(principal): Extension<Principal>,
    Number(job): Number,
    Body(comment): Body<Comment>,
) -> Result<StatusCode, ApiError> {
    review(&shared, job, principal, Decision::Approve, comment).await
}

pub(super) async fn reject_job(
    State(shared): State<Arc<Shared>>,
    Extension(principal): Extension<Principal>,
    Number(job): Number,
    Body(comment): Body<Comment>,
) -> Result<StatusCode, ApiError> {
    review(&shared, job, principal, Decision::Reject, comment).await
}

async fn review(
    shared: &Shared,
    job: u64,
    principal: Principal,
    decision: Decision,
    Comment { comment }: Comment,
) -> Result<StatusCode, ApiError> {
    if comment.as_ref().is_some_and(|comment| comment.len() > REASON_BYTES) {
        return Err(ApiError::bad(format!("the comment has more than {REASON_BYTES} bytes")));
    }
    let job = jobs::one(shared, job).await?;
    shared.control.review(job.id, Review { actor: principal.name, decision, comment }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A `workflow_dispatch`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WorkflowDispatch {
    workflow: String,
    #[serde(rename = "ref")]
    reference: Option<String>,
    #[serde(default)]
    inputs: Map<String, Value>,
}

pub(super) async fn dispatch_workflow(
    State(shared): State<Arc<Shared>>,
    Extension(principal): Extension<Principal>,
    Path((owner, name)): Path<(String, String)>,
    Body(wish): Body<WorkflowDispatch>,
) -> Result<(StatusCode, Json<Told>), ApiError> {
    let WorkflowDispatch { workflow, reference, inputs } = wish;
    let what = Dispatched::Workflow { workflow, reference, inputs };
    dispatch(&shared, &format!("{owner}/{name}"), principal, what).await
}

/// A `repository_dispatch`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RepositoryDispatch {
    event_type: String,
    #[serde(default)]
    client_payload: Map<String, Value>,
}

pub(super) async fn dispatch_repository(
    State(shared): State<Arc<Shared>>,
    Extension(principal): Extension<Principal>,
    Path((owner, name)): Path<(String, String)>,
    Body(wish): Body<RepositoryDispatch>,
) -> Result<(StatusCode, Json<Told>), ApiError> {
    let RepositoryDispatch { event_type, client_payload } = wish;
    if event_type.is_empty() || event_type.chars().count() > EVENT_TYPE_CHARS {
        return Err(ApiError::bad(format!("`event_type` has 1 to {EVENT_TYPE_CHARS} characters")));
    }
    let what = Dispatched::Repository { event_type, client_payload: Value::Object(client_payload) };
    dispatch(&shared, &format!("{owner}/{name}"), principal, what).await
}

async fn dispatch(
    shared: &Shared,
    repository: &str,
    principal: Principal,
    what: Dispatched,
) -> Result<(StatusCode, Json<Told>), ApiError> {
    let repository = repositories::named(shared, repository).await?.id;
    let wish = Dispatch { repository, actor: principal.name, what };
    let runs = shared.control.dispatch(wish).await?;
    Ok((StatusCode::CREATED, Json(Told { runs: runs.into_iter().map(Into::into).collect() })))
}
