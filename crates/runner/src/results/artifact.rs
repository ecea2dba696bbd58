//! `ArtifactService`: what `@actions/artifact` calls.

use std::io;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use model::RunId;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Service;
use super::artifact_store::{Artifact, ArtifactError, NewArtifact};
use super::blob::Download;
use super::kept::KeptArtifact;
use super::time::{read_rfc3339, rfc3339};
use super::token::{Grant, Purpose};
use super::twirp::{TwirpError, on_disk};

/// Bytes of one upload: ten times what GitHub recommends at most for one artifact.
const UPLOAD_BYTES: u64 = 50 * 1024 * 1024 * 1024;

/// Which job a request says that it is about.
#[derive(Deserialize)]
pub(super) struct BackendIds {
    #[serde(default, alias = "workflowRunBackendId")]
    workflow_run_backend_id: String,
    #[serde(default, alias = "workflowJobRunBackendId")]
    workflow_job_run_backend_id: String,
}

impl BackendIds {
    fn check_run(&self, grant: &Grant) -> Result<(), TwirpError> {
        if self.workflow_run_backend_id == grant.run.to_string() {
            return Ok(());
        }
        Err(TwirpError::denied("the token belongs to another run"))
    }

    fn check_job(&self, grant: &Grant) -> Result<(), TwirpError> {
        self.check_run(grant)?;
        if self.workflow_job_run_backend_id == grant.job.to_string() {
            return Ok(());
        }
        Err(TwirpError::denied("the token belongs to another job"))
    }
}

/// `CreateArtifact`.
#[derive(Deserialize)]
pub(super) struct Create {
    #[serde(flatten)]
    ids: BackendIds,
    name: String,
    #[serde(default, alias = "mimeType")]
    mime_type: Option<String>,
    /// What the client makes of `retention-days`.
    #[serde(default, alias = "expiresAt")]
    expires_at: Option<String>,
}

/// `FinalizeArtifact`.
#[derive(Deserialize)]
pub(super) struct Finalize {
    #[serde(flatten)]
    ids: BackendIds,
    name: String,
    #[serde(default)]
    size: String,
    #[serde(default)]
    hash: Option<String>,
}

/// `ListArtifacts`.
#[derive(Deserialize)]
pub(super) struct List {
    #[serde(flatten)]
    ids: BackendIds,
    #[serde(default, alias = "nameFilter")]
    name_filter: Option<String>,
    #[serde(default, alias = "idFilter")]
    id_filter: Option<String>,
}

/// `GetSignedArtifactURL` and `DeleteArtifact`.
#[derive(Deserialize)]
pub(super) struct Named {
    #[serde(flatten)]
    ids: BackendIds,
    name: String,
}

impl From<ArtifactError> for TwirpError {
    fn from(error: ArtifactError) -> Self {
        let message = error.to_string();
        match error {
            ArtifactError::Name(_) | ArtifactError::TooMany | ArtifactError::Mismatch(_) => {
                TwirpError::invalid(message)
            }
            ArtifactError::Exists => TwirpError::already_exists(message),
            ArtifactError::Missing => TwirpError::not_found(message),
            ArtifactError::Disk(error) => TwirpError::disk("keep the artifact", &error),
        }
    }
}

/// Runs work of the artifact store where it may block.
async fn stored<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ArtifactError> + Send + 'static,
) -> Result<T, TwirpError> {
    let done = on_disk(move || Ok(work())).await;
    Ok(done.map_err(|error| TwirpError::disk("keep the artifact", &error))??)
}

/// Reserves the name and gives out where to upload.
pub(super) async fn create(
    State(service): State<Arc<Service>>,
    headers: HeaderMap,
    Json(request): Json<Create>,
) -> Result<Json<Value>, TwirpError> {
    let grant = service.grant(&headers)?;
    request.ids.check_job(&grant)?;
    let (run, job) = (grant.run, grant.job);
    let expires = request.expires_at.map(|said| {
        read_rfc3339(&said).ok_or_else(|| TwirpError::invalid(format!("expires_at {said:?} is no time")))
    });
    let wish = NewArtifact {
        name: request.name,
        mime: request.mime_type.unwrap_or_else(|| "application/zip".to_owned()),
        expires: expires.transpose()?,
    };
    let store = Arc::clone(&service);
    let id = stored(move || store.artifacts.create(run, job, wish)).await?;
    let upload = match service.uploads.open(service.artifacts.records(run), UPLOAD_BYTES).await {
        Ok(upload) => upload,
        Err(error) => {
            service.artifacts.abandon(run, id);
            return Err(TwirpError::disk("begin an upload", &error));
        }
    };
    service.artifacts.set_upload(run, id, &upload);
    let url = service.blob_url(&headers, Purpose::Upload, &upload);
    Ok(Json(json!({"ok": true, "signed_upload_url": url})))
}

/// Checks the upload, makes it visible to the run, and starts to unpack it.
pub(super) async fn finalize(
    State(service): State<Arc<Service>>,
    headers: HeaderMap,
    Json(request): Json<Finalize>,
) -> Result<Json<Value>, TwirpError> {
    let grant = service.grant(&headers)?;
    request.ids.check_job(&grant)?;
    let run = grant.run;
    let missing = || TwirpError::not_found("no upload of this name was begun by this job");
    let artifact = service.artifacts.pending(run, grant.job, &request.name).ok_or_else(missing)?;
    let upload = artifact.upload.as_deref().and_then(|id| service.uploads.close(id)).ok_or_else(missing)?;
    let (store, id) = (Arc::clone(&service), artifact.id);
    let size = request.size.parse::<u64>().ok();
    let kept = stored(move || {
        store.artifacts.keep(run, &artifact, &upload.content(), size, request.hash.as_deref())
    })
    .await;
    let done = async { service.enter_artifact(kept?).await }.await;
    let done = done.inspect_err(|_| service.artifacts.abandon(run, id))?;
    if !service.artifacts.publish(run, &done) {
        service.artifact_gone(run, id).await?;
        return Err(missing());
    }
    service.unpack(run, done);
    Ok(Json(json!({"ok": true, "artifact_id": id.to_string()})))
}

/// The artifacts of the run, of this job and of others.
pub(super) async fn list(
    State(service): State<Arc<Service>>,
    headers: HeaderMap,
    Json(request): Json<List>,
) -> Result<Json<Value>, TwirpError> {
    let grant = service.grant(&headers)?;
    request.ids.check_run(&grant)?;
    let wanted = |artifact: &Artifact| {
        request.name_filter.as_ref().is_none_or(|name| *name == artifact.name)
            && request.id_filter.as_ref().is_none_or(|id| *id == artifact.id.to_string())
    };
    let artifacts = service.artifacts.list(grant.run).into_iter().filter(wanted);
    let artifacts: Vec<Value> = artifacts.map(|artifact| describe(grant.run, &artifact)).collect();
    Ok(Json(json!({ "artifacts": artifacts })))
}

fn describe(run: RunId, artifact: &Artifact) -> Value {
    json!({
        "workflow_run_backend_id": run.to_string(),
        "workflow_job_run_backend_id": artifact.job.to_string(),
        "database_id": artifact.id.to_string(),
        "name": artifact.name,
        "size": artifact.size.to_string(),
        "created_at": rfc3339(artifact.created),
        "digest": artifact.digest,
    })
}

/// Where the upload of an artifact of the run can be read.
pub(super) async fn get_url(
    State(service): State<Arc<Service>>,
    headers: HeaderMap,
    Json(request): Json<Named>,
) -> Result<Json<Value>, TwirpError> {
    let grant = service.grant(&headers)?;
    request.ids.check_run(&grant)?;
    let artifacts = service.artifacts.list(grant.run);
    let artifact = artifacts.into_iter().find(|artifact| artifact.name == request.name);
    let artifact = artifact.ok_or_else(|| TwirpError::from(ArtifactError::Missing))?;
    let url = service.blob_url(&headers, Purpose::Artifact, &format!("{}-{}", grant.run, artifact.id));
    Ok(Json(json!({ "signed_url": url })))
}

/// Removes an artifact of the run: `overwrite` does so before it uploads anew.
pub(super) async fn delete(
    State(service): State<Arc<Service>>,
    headers: HeaderMap,
    Json(request): Json<Named>,
) -> Result<Json<Value>, TwirpError> {
    let grant = service.grant(&headers)?;
    request.ids.check_run(&grant)?;
    let store = Arc::clone(&service);
    let deleted = stored(move || store.artifacts.delete(grant.run, |one| one.name == request.name)).await?;
    if let Some(upload) = deleted.upload {
        service.uploads.close(&upload);
    }
    service.artifact_gone(grant.run, deleted.id).await?;
    Ok(Json(json!({"ok": true, "artifact_id": deleted.id.to_string()})))
}

impl Service {
    /// The upload behind a signed address (`<run>-<artifact>`).
    pub(super) fn artifact_download(&self, id: &str) -> Option<Download> {
        let (run, id) = id.split_once('-')?;
        let (path, artifact) = self.artifacts.blob(RunId(run.parse().ok()?), id.parse().ok()?)?;
        let name = artifact.file_name();
        Some(Download { path, mime: artifact.mime, name })
    }

    /// Has the ledger, if there is one, keep what stands for these files; where it can't, they go again.
    async fn enter_artifact(self: &Arc<Self>, artifact: Artifact) -> Result<Artifact, TwirpError> {
        let Some(ledger) = &self.ledger else { return Ok(artifact) };
        let run = artifact.run;
        let kept = KeptArtifact::of(&self.artifacts.records(run), artifact.clone());
        if let Err(error) = ledger.artifact_kept(kept).await {
            let service = Arc::clone(self);
            // What is left of it is found by the next start.
            let _ = on_disk(move || service.artifacts.withdraw(run, &artifact)).await;
            return Err(TwirpError::disk("keep the artifact", &error));
        }
        Ok(artifact)
    }

    async fn artifact_gone(&self, run: RunId, id: u64) -> Result<(), TwirpError> {
        let Some(ledger) = &self.ledger else { return Ok(()) };
        let gone = ledger.artifact_gone(run, id).await;
        gone.map_err(|error| TwirpError::disk("forget the artifact", &error))
    }

    /// Removes an artifact, whoever asks; whether it was there.
    pub(super) async fn remove_artifact(self: &Arc<Self>, run: RunId, id: u64) -> io::Result<bool> {
        let service = Arc::clone(self);
        let removed = on_disk(move || match service.artifacts.delete(run, |one| one.id == id) {
            Ok(_) => Ok(true),
            Err(ArtifactError::Missing) => Ok(false),
            Err(ArtifactError::Disk(error)) => Err(error),
            Err(error) => Err(io::Error::other(error)),
        });
        let removed = removed.await?;
        if let Some(ledger) = &self.ledger {
            ledger.artifact_gone(run, id).await?;
        }
        Ok(removed)
    }

    /// Unpacks beside the requests: a job doesn't wait for it, [`super::ResultsService::finish`] does.
    fn unpack(self: &Arc<Self>, run: RunId, artifact: Artifact) {
        let service = Arc::clone(self);
        let task = tokio::task::spawn_blocking(move || {
            let unpacked = service.artifacts.unpack(run, &artifact);
            unpacked.err().map(|error| format!("artifact '{}' is kept packed: {error}", artifact.name))
        });
        self.unpacking().push(task);
    }
}
