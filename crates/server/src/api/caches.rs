//! What jobs have saved for later ones.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use model::CacheId;
use serde::Deserialize;
use store::query::{CacheFilter, PAGE as RECORDS};
use store::record::{Cache, Scope};

use super::error::ApiError;
use super::read::{Number, Query, page};
use super::wire::{self, Caches};
use crate::server::Shared;

/// Which caches.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    repository: Option<String>,
    #[serde(rename = "ref")]
    reference: Option<String>,
    /// What their keys begin with.
    key: Option<String>,
    before: Option<u64>,
    limit: Option<usize>,
}

/// `GET /caches`: newest first.
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    Query(which): Query<Which>,
) -> Result<Json<Caches>, ApiError> {
    let repository = match which.repository {
        Some(name) => Some(place(&shared, name).await?),
        None => None,
    };
    let filter = CacheFilter {
        repository,
        reference: which.reference,
        key_prefix: which.key,
        before: which.before.map(CacheId),
        ..CacheFilter::default()
    };
    let (caches, next) =
        page(which.limit, |most| shared.store.caches(&filter, most), |cache| cache.id).await?;
    Ok(Json(Caches { caches: named(&shared, caches).await?, next }))
}

/// `DELETE /caches/{cache}`
pub(super) async fn remove(
    State(shared): State<Arc<Shared>>,
    Number(cache): Number,
) -> Result<StatusCode, ApiError> {
    let filter = CacheFilter { id: Some(CacheId(cache)), ..CacheFilter::default() };
    let found = shared.store.caches(&filter, 1).await?;
    if found.is_empty() {
        return Err(ApiError::missing(format!("cache {cache}")));
    }
    forget(&shared, &found).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Which caches go, as GitHub has it: by the whole key, of one ref or of all.
/// <https://docs.github.com/en/rest/actions/cache#delete-github-actions-caches-for-a-repository-using-a-cache-key>
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Meant {
    repository: String,
    key: String,
    #[serde(rename = "ref")]
    reference: Option<String>,
}

/// `DELETE /caches`: all that a key means; gives those that are gone.
pub(super) async fn remove_by_key(
    State(shared): State<Arc<Shared>>,
    Query(meant): Query<Meant>,
) -> Result<Json<Caches>, ApiError> {
    let missing = || ApiError::missing(format!("cache {:?} of {}", meant.key, meant.repository));
    let filter = CacheFilter {
        repository: Some(place(&shared, meant.repository.clone()).await?),
        reference: meant.reference.clone(),
        key: Some(meant.key.clone()),
        ..CacheFilter::default()
    };
    let mut gone = Vec::new();
    loop {
        let found = shared.store.caches(&filter, RECORDS).await?;
        if found.is_empty() {
            break;
        }
        forget(&shared, &found).await?;
        gone.extend(found);
    }
    if gone.is_empty() {
        return Err(missing());
    }
    Ok(Json(Caches { caches: named(&shared, gone).await?, next: None }))
}

/// Where the caches of the repository are kept that people call so now.
async fn place(shared: &Shared, name: String) -> Result<String, ApiError> {
    match store::place::of(&*shared.store, &Scope::Repository(name.clone())).await? {
        Ok(Scope::Repository(place)) => Ok(place),
        Ok(_) => Ok(name),
        Err(renamed) => Err(ApiError::conflict(format!("{name} is called {renamed} now"))),
    }
}

/// Caches, each under what its repository is called now.
async fn named(shared: &Shared, caches: Vec<Cache>) -> Result<Vec<wire::Cache>, ApiError> {
    let all = shared.store.repositories().await?.into_iter();
    let names: BTreeMap<String, String> = all.map(|one| (one.place, one.facts.full_name)).collect();
    let named = |cache: Cache| {
        let mut told = wire::Cache::from(cache);
        if let Some(name) = names.get(&told.repository) {
            told.repository.clone_from(name);
        }
        told
    };
    Ok(caches.into_iter().map(named).collect())
}

async fn forget(shared: &Shared, caches: &[Cache]) -> Result<(), ApiError> {
    let files = caches.iter().map(|cache| cache.what.file.clone()).collect();
    Ok(shared.control.remove_caches(files).await?)
}
