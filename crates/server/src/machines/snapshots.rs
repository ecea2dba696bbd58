//! Snapshots of machines. They belong to their machine, and go with it.

use std::io;
use std::path::Path as FilePath;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json as Answer};
use machine::{Snapshot, SnapshotId};

use super::Service;
use super::authenticate::Known;
use super::error::ApiError;
use super::lifecycle::random_id;
use super::log::unix_ms;
use super::read::Json;
use super::registry::Kept;
use super::wire::{NewSnapshot, SnapshotList, SnapshotTaken, SnapshotView, VmStatus};

/// Snapshots of one machine: each is as large as its memory and what it wrote.
const SNAPSHOTS: usize = 8;

/// Characters of a snapshot's name.
const NAME_CHARS: usize = 64;

/// Characters of its description.
const DESCRIPTION_CHARS: usize = 1024;

/// What the ids of the API's snapshots begin with: it removes those, and no others.
const PREFIX: &str = "api";

/// `POST /api/vms/{id}/snapshots`
pub(super) async fn take(
    State(service): State<Arc<Service>>,
    Extension(known): Extension<Known>,
    Path(id): Path<String>,
    Json(wanted): Json<NewSnapshot>,
) -> Result<(StatusCode, Answer<SnapshotTaken>), ApiError> {
    let vm = service.vm(&known, &id)?;
    able(&service)?;
    for (what, text, most) in
        [("name", &wanted.name, NAME_CHARS), ("description", &wanted.description, DESCRIPTION_CHARS)]
    {
        if text.chars().count() > most {
            return Err(ApiError::bad(format!("a snapshot's {what} has at most {most} characters")));
        }
    }
    if vm.snapshots().len() >= SNAPSHOTS {
        return Err(ApiError::conflict(format!(
            "machine {id} has {SNAPSHOTS} snapshots already; delete one"
        )));
    }
    // A folder for each, also for those that are begun at once.
    let snapshot_id = random_id(PREFIX).map_err(|error| ApiError::conflict(error.to_string()))?;
    let view = SnapshotView {
        snapshot_id: snapshot_id.clone(),
        name: wanted.name,
        description: wanted.description,
        created_unix_ms: unix_ms(),
    };
    service.snapshot(vm, SnapshotId(snapshot_id.clone()), view).await?;
    Ok((StatusCode::CREATED, Answer(SnapshotTaken { snapshot_id })))
}

/// `GET /api/vms/{id}/snapshots`
pub(super) async fn list(
    State(service): State<Arc<Service>>,
    Extension(known): Extension<Known>,
    Path(id): Path<String>,
) -> Result<Answer<SnapshotList>, ApiError> {
    let vm = service.vm(&known, &id)?;
    let snapshots = vm.snapshots().iter().map(|kept| kept.view.clone()).collect();
    Ok(Answer(SnapshotList { snapshots }))
}

/// `DELETE /api/vms/{id}/snapshots/{snapshot_id}`
pub(super) async fn remove(
    State(service): State<Arc<Service>>,
    Extension(known): Extension<Known>,
    Path((id, snapshot_id)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let vm = service.vm(&known, &id)?;
    let taken = {
        let mut snapshots = vm.snapshots();
        let place = snapshots.iter().position(|kept| kept.view.snapshot_id == snapshot_id);
        place.map(|place| snapshots.remove(place))
    };
    let taken = taken.ok_or_else(|| no_snapshot(&id, &snapshot_id))?;
    remove_files(&taken.snapshot).await;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /api/vms/{id}/rollback/{snapshot_id}`
pub(super) async fn roll_back(
    State(service): State<Arc<Service>>,
    Extension(known): Extension<Known>,
    Path((id, snapshot_id)): Path<(String, String)>,
) -> Result<Answer<VmStatus>, ApiError> {
    let vm = service.vm(&known, &id)?;
    able(&service)?;
    let found: Option<Kept> =
        vm.snapshots().iter().find(|kept| kept.view.snapshot_id == snapshot_id).cloned();
    let kept = found.ok_or_else(|| no_snapshot(&id, &snapshot_id))?;
    Ok(Answer(service.roll_back(vm, kept.snapshot).await?))
}

/// Refuses where the driver can't.
fn able(service: &Service) -> Result<(), ApiError> {
    let driver = service.source.driver();
    if driver.capabilities().snapshots {
        return Ok(());
    }
    let reason = format!(
        "machines of the {} driver can't be snapshotted; the server must run virtual machines for that",
        driver.name()
    );
    Err(ApiError::new(StatusCode::NOT_IMPLEMENTED, reason))
}

fn no_snapshot(id: &str, snapshot_id: &str) -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, format!("machine {id} has no snapshot {snapshot_id:?}"))
}

/// Removes a snapshot's files. What can't be removed now is by the next start.
pub(super) async fn remove_files(snapshot: &Snapshot) {
    let _ = tokio::fs::remove_dir_all(&snapshot.folder).await;
}

/// Removes the API's snapshots of an earlier life: their machines are gone.
pub(super) async fn remove_left(data: &FilePath) -> io::Result<Vec<String>> {
    let mut removed = Vec::new();
    let mut folders = match tokio::fs::read_dir(Snapshot::all(data)).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(removed),
        folders => folders?,
    };
    while let Some(folder) = folders.next_entry().await? {
        let name = folder.file_name().to_string_lossy().into_owned();
        if name.starts_with(&format!("{PREFIX}-")) {
            tokio::fs::remove_dir_all(folder.path()).await?;
            removed.push(format!("snapshot {name}"));
        }
    }
    Ok(removed)
}
