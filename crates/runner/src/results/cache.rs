//! `CacheService`: what `@actions/cache` calls.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Service;
use super::blob::Download;
use super::cache_store::{StoreError, record};
use super::token::{Grant, Purpose};
use super::twirp::{TwirpError, on_disk};

/// Characters of a key: the client's own limit.
const KEY_CHARS: usize = 512;

/// Restore keys of one request: the client sends at most ten keys.
const RESTORE_KEYS: usize = 10;

/// GitHub's words to a job that may not save caches; the clients look for how they start.
const WRITE_DENIED: &str = "cache write denied: token has no writable scopes";

/// GitHub's words to a job that may not restore caches.
const READ_DENIED: &str = "cache read denied: token has no readable scopes";

/// `CreateCacheEntry`.
#[derive(Deserialize)]
pub(super) struct Create {
    key: String,
    version: String,
}

/// `FinalizeCacheEntryUpload`.
#[derive(Deserialize)]
pub(super) struct Finalize {
    key: String,
    version: String,
    #[serde(default, alias = "sizeBytes")]
    size_bytes: String,
}

/// `GetCacheEntryDownloadURL`.
#[derive(Deserialize)]
pub(super) struct GetUrl {
    key: String,
    #[serde(default, alias = "restoreKeys")]
    restore_keys: Vec<String>,
    version: String,
}

/// An upload is the job's and the entry's: nobody else can finalize it.
fn pending_key(grant: &Grant, key: &str, version: &str) -> (model::JobId, String, String) {
    (grant.job, key.to_owned(), version.to_owned())
}

fn check_key(key: &str) -> Result<(), TwirpError> {
    if key.is_empty() || key.chars().count() > KEY_CHARS || key.contains(',') {
        return Err(TwirpError::invalid(format!("a key has 1 to {KEY_CHARS} characters and no comma")));
    }
    Ok(())
}

fn refusal(message: impl std::fmt::Display) -> Json<Value> {
    Json(json!({"ok": false, "message": message.to_string()}))
}

/// Reserves nothing: of two jobs that upload the same key, the first to finish wins.
pub(super) async fn create(
    State(service): State<Arc<Service>>,
    headers: HeaderMap,
    Json(request): Json<Create>,
) -> Result<Json<Value>, TwirpError> {
    let grant = service.grant(&headers)?;
    check_key(&request.key)?;
    if !grant.cache_mode.writes() {
        return Ok(refusal(WRITE_DENIED));
    }
    if service.caches.has(&grant.caches, &request.key, &request.version) {
        return Ok(refusal("cache entry with the same key, version, and scope already exists"));
    }
    let (root, limit) = (service.caches.scratch().to_owned(), service.caches.bound());
    let opened = service.uploads.open(root, limit).await;
    let id = opened.map_err(|error| TwirpError::disk("begin an upload", &error))?;
    let pending = pending_key(&grant, &request.key, &request.version);
    if let Some(abandoned) = service.pending_caches().insert(pending, id.clone()) {
        service.uploads.close(&abandoned);
    }
    let url = service.blob_url(&headers, Purpose::Upload, &id);
    Ok(Json(json!({"ok": true, "signed_upload_url": url})))
}

/// Makes the uploaded content a cache.
pub(super) async fn finalize(
    State(service): State<Arc<Service>>,
    headers: HeaderMap,
    Json(request): Json<Finalize>,
) -> Result<Json<Value>, TwirpError> {
    let grant = service.grant(&headers)?;
    let pending = pending_key(&grant, &request.key, &request.version);
    let id = service.pending_caches().remove(&pending);
    let upload = id.and_then(|id| service.uploads.close(&id));
    let upload =
        upload.ok_or_else(|| TwirpError::not_found("no upload of this key was begun by this job"))?;
    let store = Arc::clone(&service);
    let stored = on_disk(move || {
        let content = upload.content();
        let size = content.metadata().map(|metadata| metadata.len())?;
        if request.size_bytes.parse::<u64>().is_ok_and(|said| said != size) {
            return Ok(Err(format!("{size} bytes were uploaded, not {}", request.size_bytes)));
        }
        let record = record(&grant.caches, request.key, request.version, size);
        match store.caches.add(&record, &content) {
            Ok(()) => Ok(Ok(record.created)),
            Err(StoreError::Disk(error)) => Err(error),
            Err(error) => Ok(Err(error.to_string())),
        }
    })
    .await
    .map_err(|error| TwirpError::disk("store the cache", &error))?;
    Ok(match stored {
        Ok(id) => Json(json!({"ok": true, "entry_id": id.to_string()})),
        Err(reason) => refusal(reason),
    })
}

/// Finds a cache to restore; a miss is `ok: false`.
pub(super) async fn get_url(
    State(service): State<Arc<Service>>,
    headers: HeaderMap,
    Json(request): Json<GetUrl>,
) -> Result<Json<Value>, TwirpError> {
    let grant = service.grant(&headers)?;
    check_key(&request.key)?;
    if !grant.cache_mode.reads() {
        return Err(TwirpError::denied(READ_DENIED));
    }
    if request.restore_keys.len() > RESTORE_KEYS {
        return Err(TwirpError::invalid(format!("more than {RESTORE_KEYS} restore keys")));
    }
    request.restore_keys.iter().try_for_each(|key| check_key(key))?;
    let store = Arc::clone(&service);
    let find =
        move || store.caches.find(&grant.caches, &request.key, &request.restore_keys, &request.version);
    let found = on_disk(find).await.map_err(|error| TwirpError::disk("look for the cache", &error))?;
    Ok(match found {
        Some((record, id)) => {
            let url = service.blob_url(&headers, Purpose::Cache, &id);
            Json(json!({"ok": true, "signed_download_url": url, "matched_key": record.key}))
        }
        None => Json(json!({"ok": false})),
    })
}

impl Service {
    /// The content behind a signed address.
    pub(super) fn cache_download(&self, id: &str) -> Option<Download> {
        let mime = "application/octet-stream".to_owned();
        Some(Download { path: self.caches.blob(id)?, mime, name: "cache".to_owned() })
    }
}
