//! Repositories that the server has heard of.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use model::RepositoryId;
use store::record;

use super::error::ApiError;
use super::read::Path;
use super::wire::{Repositories, Repository};
use crate::server::Shared;

pub(super) async fn list(State(shared): State<Arc<Shared>>) -> Result<Json<Repositories>, ApiError> {
    let repositories = shared.store.repositories().await?;
    Ok(Json(Repositories { repositories: repositories.into_iter().map(Into::into).collect() }))
}

pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    Path((owner, name)): Path<(String, String)>,
) -> Result<Json<Repository>, ApiError> {
    Ok(Json(named(&shared, &format!("{owner}/{name}")).await?.into()))
}

/// What all repositories are called now.
pub(super) async fn names(shared: &Shared) -> Result<BTreeMap<RepositoryId, String>, ApiError> {
    let all = shared.store.repositories().await?.into_iter();
    Ok(all.map(|repository| (repository.id, repository.facts.full_name)).collect())
}

/// A repository that must be there, by `owner/name`, in any case.
pub(super) async fn named(shared: &Shared, full_name: &str) -> Result<record::Repository, ApiError> {
    let mut all = shared.store.repositories().await?.into_iter();
    let found = all.find(|repository| repository.facts.full_name.eq_ignore_ascii_case(full_name));
    found.ok_or_else(|| ApiError::missing(format!("repository {full_name:?} that this server has heard of")))
}
