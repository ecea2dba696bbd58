//! `CacheService`: what `@actions/cache` calls.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use model::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Service;
use super::blob::Download;
use super::cache_store::{CacheStore, Record, StoreError, id_of, record, touch};
use super::kept::KeptCache;
use super::ledger::{Ledger, wishes};
use super::token::{CacheScope, Grant, Purpose};
use super::twirp::{TwirpError, on_disk};
use super::upload::{Upload, measure};

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
    let content = upload.content();
    let measured = on_disk(move || measure(&content)).await;
    let measured = measured.map_err(|error| TwirpError::disk("store the cache", &error))?;
    if request.size_bytes.parse::<u64>().is_ok_and(|said| said != measured.0) {
        return Ok(refusal(format!("{} bytes were uploaded, not {}", measured.0, request.size_bytes)));
    }
    let record = record(&grant.caches, request.key, request.version, measured);
    let stored = match service.keep_cache(record, upload).await {
        Err(StoreError::Disk(error)) => return Err(TwirpError::disk("store the cache", &error)),
        stored => stored,
    };
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
    let found = match service.ledger.clone() {
        Some(ledger) => service.find_in(&*ledger, &grant.caches, &request).await,
        None => {
            let store = Arc::clone(&service);
            let find = move || {
                store.caches.find(&grant.caches, &request.key, &request.restore_keys, &request.version)
            };
            on_disk(find).await.map(|found| found.map(|(record, id)| (record.key, id)))
        }
    };
    Ok(match found.map_err(|error| TwirpError::disk("look for the cache", &error))? {
        Some((key, id)) => {
            let url = service.blob_url(&headers, Purpose::Cache, &id);
            Json(json!({"ok": true, "signed_download_url": url, "matched_key": key}))
        }
        None => Json(json!({"ok": false})),
    })
}

impl Service {
    /// Makes an upload a cache: its files, and what stands for them. Gives when it was made.
    async fn keep_cache(self: &Arc<Self>, record: Record, upload: Arc<Upload>) -> Result<u64, StoreError> {
        let _turn = self.keeping.lock().await;
        let (service, kept) = (Arc::clone(self), record.clone());
        let evicted = on_disk(move || Ok(service.caches.add(&kept, &upload.content()))).await??;
        let Some(ledger) = &self.ledger else { return Ok(record.created) };
        let (created, path) = (record.created, self.caches.blob_of(&record));
        let kept = KeptCache::of(path.clone(), record, Timestamp(created));
        if let Err(error) = ledger.cache_kept(kept, evicted).await {
            let service = Arc::clone(self);
            // What is left of it is found by the next start.
            let _ = on_disk(move || service.caches.forget(&path)).await;
            return Err(error.into());
        }
        Ok(created)
    }

    /// As [`CacheStore::find`](super::cache_store::CacheStore::find), by what a ledger has: key and id.
    async fn find_in(
        &self,
        ledger: &dyn Ledger,
        scope: &CacheScope,
        wanted: &GetUrl,
    ) -> io::Result<Option<(String, String)>> {
        let repository = &scope.repository;
        for reference in std::iter::once(&scope.own_ref).chain(&scope.read_refs) {
            for wish in wishes(&wanted.key, &wanted.restore_keys) {
                while let Some(found) = ledger.cache(repository, reference, &wanted.version, wish).await? {
                    if self.take(ledger, &found.path).await? {
                        return Ok(id_of(&found.path).map(|id| (found.key, id)));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Notes the use of a cache. `false`: its file was gone, and now what stood for it is too.
    async fn take(&self, ledger: &dyn Ledger, path: &Path) -> io::Result<bool> {
        let touched = |path: &Path| {
            let path = path.to_owned();
            on_disk(move || Ok(touch(&path)))
        };
        let mut is_there = touched(path).await?;
        if !is_there {
            let _turn = self.keeping.lock().await;
            is_there = touched(path).await?;
            if !is_there {
                ledger.caches_gone(vec![path.to_owned()]).await?;
            }
        }
        if is_there {
            // Only people look at this time.
            let _ = ledger.cache_used(path, Timestamp::now()).await;
        }
        Ok(is_there)
    }

    /// Removes caches with `remove`, and what stands for them; how many.
    pub(super) async fn remove_caches(
        self: &Arc<Self>,
        remove: impl FnOnce(&CacheStore) -> io::Result<Vec<PathBuf>> + Send + 'static,
    ) -> io::Result<usize> {
        let _turn = self.keeping.lock().await;
        let service = Arc::clone(self);
        let removed = on_disk(move || remove(&service.caches)).await?;
        let count = removed.len();
        if let Some(ledger) = self.ledger.as_ref().filter(|_| count > 0) {
            ledger.caches_gone(removed).await?;
        }
        Ok(count)
    }

    /// The content behind a signed address.
    pub(super) fn cache_download(&self, id: &str) -> Option<Download> {
        let mime = "application/octet-stream".to_owned();
        Some(Download { path: self.caches.blob(id)?, mime, name: "cache".to_owned() })
    }
}
