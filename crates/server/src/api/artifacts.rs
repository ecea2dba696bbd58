//! What runs have left.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use model::RunId;
use runner::results::{KeptArtifact, kept_artifacts};
use tokio_util::io::ReaderStream;

use super::error::ApiError;
use super::read::{Number, Numbers};
use super::runs;
use super::wire::{Artifact, Artifacts};
use crate::client::escaped;
use crate::server::Shared;

/// When it is worth asking again for what the disk did not give, in seconds.
const RETRY_SECONDS: u64 = 10;

/// `GET /runs/{run}/artifacts`
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    Number(run): Number,
) -> Result<Json<Artifacts>, ApiError> {
    let run = runs::one(&shared, run).await?.id;
    let told = |kept: KeptArtifact| Artifact {
        id: kept.id,
        job_id: kept.job,
        name: kept.name,
        file_name: kept.file_name,
        size: kept.size,
        digest: kept.digest,
        created_at: kept.created_at,
    };
    let artifacts = of(&shared, run).await?.into_iter().map(told).collect();
    Ok(Json(Artifacts { artifacts }))
}

/// `GET /runs/{run}/artifacts/{artifact}`: the archive, or the one file, as it was uploaded.
pub(super) async fn download(
    State(shared): State<Arc<Shared>>,
    Numbers([run, artifact]): Numbers<2>,
) -> Result<Response, ApiError> {
    let run = runs::one(&shared, run).await?.id;
    let missing = || ApiError::missing(format!("artifact {artifact} of run {run}"));
    let kept = of(&shared, run).await?.into_iter().find(|kept| kept.id == artifact).ok_or_else(missing)?;
    // It may have been removed meanwhile.
    let file = tokio::fs::File::open(&kept.path).await.map_err(|_| missing())?;
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

async fn of(shared: &Shared, run: RunId) -> Result<Vec<KeptArtifact>, ApiError> {
    let folder: PathBuf = (shared.artifacts)(run);
    let found = tokio::task::spawn_blocking(move || kept_artifacts(&folder, run)).await;
    found.map_err(|error| ApiError::unavailable(error.to_string(), RETRY_SECONDS))
}
