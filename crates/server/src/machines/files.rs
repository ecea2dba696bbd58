//! `/api/vms/{id}/files`: single files of a machine.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::Service;
use super::authenticate::Known;
use super::command::place;
use super::error::ApiError;
use super::read::Query;
use crate::body::whole;

/// Bytes of a single file: it is in memory as a whole, ten times for the sessions of one caller.
/// Larger ones go as an archive.
const FILE_BYTES: usize = 64 * 1024 * 1024;

/// How long a file may take to arrive: the largest one at one megabit a second.
const FILE_DEADLINE: Duration = Duration::from_secs(600);

/// Permission bits of a file whose writer names none.
const MODE: u32 = 0o644;

/// Which file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    path: String,
    /// Octal permission bits, of a file that is written.
    mode: Option<String>,
}

impl Which {
    fn mode(&self) -> Result<u32, ApiError> {
        let Some(mode) = &self.mode else { return Ok(MODE) };
        let bits = u32::from_str_radix(mode, 8).ok().filter(|bits| *bits <= 0o777);
        bits.ok_or_else(|| ApiError::bad(format!("mode {mode:?} is not three octal digits")))
    }
}

/// `GET /api/vms/{id}/files?path=`
pub(super) async fn read(
    State(service): State<Arc<Service>>,
    Extension(known): Extension<Known>,
    Path(id): Path<String>,
    Query(which): Query<Which>,
) -> Result<Response, ApiError> {
    let visit = service.visit(&known, &id).await?;
    let machine = visit.machine();
    let path = place(&which.path, &machine.layout)?;
    let read = async {
        let read = machine.guest.read_file(&path, FILE_BYTES as u64).await;
        read.map_err(|error| ApiError::file(&error))
    };
    let data = visit.while_open(read).await?;
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], data).into_response())
}

/// `PUT /api/vms/{id}/files?path=&mode=`
pub(super) async fn write(
    State(service): State<Arc<Service>>,
    Extension(known): Extension<Known>,
    Path(id): Path<String>,
    Query(which): Query<Which>,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let mode = which.mode()?;
    let visit = service.visit(&known, &id).await?;
    let machine = visit.machine();
    let path = place(&which.path, &machine.layout)?;
    let write = async {
        let data = whole(body, FILE_BYTES, FILE_DEADLINE).await?;
        machine.guest.write_file(&path, mode, data).await.map_err(|error| ApiError::file(&error))
    };
    visit.while_open(write).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE /api/vms/{id}/files?path=`
pub(super) async fn remove(
    State(service): State<Arc<Service>>,
    Extension(known): Extension<Known>,
    Path(id): Path<String>,
    Query(which): Query<Which>,
) -> Result<StatusCode, ApiError> {
    let visit = service.visit(&known, &id).await?;
    let machine = visit.machine();
    let path = place(&which.path, &machine.layout)?;
    let remove = async { machine.guest.remove(&path).await.map_err(|error| ApiError::file(&error)) };
    visit.while_open(remove).await?;
    Ok(StatusCode::NO_CONTENT)
}
