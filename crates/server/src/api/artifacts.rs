//! What runs have left.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use model::{ArtifactId, RunId};
use serde::Deserialize;
use store::query::{ArtifactFilter, PAGE as RECORDS};
use store::record::Artifact;
use store::{Store, StoreError};
use tokio_util::io::ReaderStream;

use super::error::ApiError;
use super::read::{Number, Numbers, Query, page};
use super::wire::Artifacts;
use super::{repositories, runs};
use crate::client::escaped;
use crate::server::Shared;

/// Which artifacts.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    repository: Option<String>,
    name: Option<String>,
    before: Option<u64>,
    limit: Option<usize>,
}

/// `GET /artifacts`: of all runs, newest first.
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    Query(which): Query<Which>,
) -> Result<Json<Artifacts>, ApiError> {
    let repository = match &which.repository {
        Some(name) => Some(repositories::named(&shared, name).await?.id),
        None => None,
    };
    let before = which.before.map(ArtifactId);
    let filter = ArtifactFilter { repository, name: which.name, before, ..ArtifactFilter::default() };
    let (artifacts, next) =
        page(which.limit, |most| shared.store.artifacts(&filter, most), |artifact| artifact.id).await?;
    Ok(Json(Artifacts { artifacts: artifacts.into_iter().map(Into::into).collect(), next }))
}

/// `GET /runs/{run}/artifacts`: all of one run, in the order in which they were made.
pub(super) async fn of_run(
    State(shared): State<Arc<Shared>>,
    Number(run): Number,
) -> Result<Json<Artifacts>, ApiError> {
    let run = runs::one(&shared, run).await?.id;
    let artifacts = all_of(&*shared.store, run).await?.into_iter().map(Into::into).collect();
    Ok(Json(Artifacts { artifacts, next: None }))
}

/// `GET /runs/{run}/artifacts/{artifact}`: the archive, or the one file, as it was uploaded.
pub(super) async fn download(
    State(shared): State<Arc<Shared>>,
    Numbers([run, artifact]): Numbers<2>,
) -> Result<Response, ApiError> {
    let kept = one(&shared, run, artifact).await?.what;
    // It may have been removed meanwhile.
    let file = tokio::fs::File::open(shared.files.join(&kept.file)).await;
    let file = file.map_err(|_| missing(kept.run, artifact))?;
    // Whatever it holds, no browser is to show it as a page of this server.
    let named = format!("attachment; filename*=UTF-8''{}", escaped(&kept.file_name));
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, kept.size.to_string()),
        (header::CONTENT_DISPOSITION, named),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
    ];
    Ok((headers, Body::from_stream(ReaderStream::new(file))).into_response())
}

/// `DELETE /runs/{run}/artifacts/{artifact}`
pub(super) async fn remove(
    State(shared): State<Arc<Shared>>,
    Numbers([run, artifact]): Numbers<2>,
) -> Result<StatusCode, ApiError> {
    let kept = one(&shared, run, artifact).await?.what;
    shared.control.remove_artifact(kept.run, kept.number).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// An artifact that must be there.
async fn one(shared: &Shared, run: u64, number: u64) -> Result<Artifact, ApiError> {
    let run = runs::one(shared, run).await?.id;
    let mut all = all_of(&*shared.store, run).await?.into_iter();
    all.find(|artifact| artifact.what.number == number).ok_or_else(|| missing(run, number))
}

fn missing(run: RunId, number: u64) -> ApiError {
    ApiError::missing(format!("artifact {number} of run {run}"))
}

/// All artifacts of a run, in the order in which they were made: at most a thousand.
pub(crate) async fn all_of(store: &dyn Store, run: RunId) -> Result<Vec<Artifact>, StoreError> {
    let mut filter = ArtifactFilter { run: Some(run), ..ArtifactFilter::default() };
    let mut all = Vec::new();
    loop {
        let page = store.artifacts(&filter, RECORDS).await?;
        let is_last = page.len() < RECORDS;
        all.extend(page);
        filter.before = all.last().map(|artifact: &Artifact| artifact.id);
        if is_last {
            all.reverse();
            return Ok(all);
        }
    }
}
