//! The results service: caches and artifacts, as the unmodified `@actions/cache` and
//! `@actions/artifact` clients speak to GitHub's.
//!
//! A job reaches it through a tunnel, with a token that is good for its own run and job only. Uploads and
//! downloads go to signed addresses of the same service; they name the host under which the job
//! reached it, whatever port the tunnel has in the machine.

mod artifact;
mod artifact_store;
mod blob;
mod cache;
mod cache_store;
mod kept;
mod time;
mod token;
mod twirp;
mod unpack;
mod upload;

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderMap, header};
use axum::routing::{post, put};
use model::JobId;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use artifact_store::ArtifactFolder;
pub use kept::{KeptArtifact, kept_artifacts};
pub use token::{CacheScope, Grant};

use crate::ResultsEndpoint;
use artifact_store::ArtifactStore;
use blob::BLOB_PATH;
use cache_store::CacheStore;
use token::{Key, Purpose};
use twirp::TwirpError;
use upload::Uploads;

/// Bytes that all caches of a data folder together may have: what GitHub gives a repository.
pub const CACHE_BYTES: u64 = 10 * 1024 * 1024 * 1024;

/// Bytes of a request that is not an upload.
const REQUEST_BYTES: usize = 1024 * 1024;

/// Longest `Host` header that goes into addresses.
const HOST_BYTES: usize = 300;

/// Where the service keeps what jobs hand over.
#[derive(Clone)]
pub struct ResultsConfig {
    /// `<data>/caches`; may be shared with other processes.
    pub caches: PathBuf,
    /// Bound on all caches together, in bytes; the least recently used go first.
    pub cache_bytes: u64,
    /// The folder of a run's artifacts: `<folder>/<name>/...`.
    pub artifacts: ArtifactFolder,
}

impl ResultsConfig {
    /// With the usual bound on caches.
    pub fn new(
        caches: impl Into<PathBuf>,
        artifacts: impl Fn(model::RunId) -> PathBuf + Send + Sync + 'static,
    ) -> Self {
        ResultsConfig { caches: caches.into(), cache_bytes: CACHE_BYTES, artifacts: Arc::new(artifacts) }
    }
}

/// A running service. Dropping it stops it; uploads that were not finalized are then removed.
pub struct ResultsService {
    address: SocketAddr,
    service: Arc<Service>,
    server: JoinHandle<()>,
}

/// What a job's upload of a cache is found by when it is finalized: job, key, version.
type PendingCaches = HashMap<(JobId, String, String), String>;

/// Ends with a warning where an artifact could not be unpacked.
type Unpacking = JoinHandle<Option<String>>;

/// What the handlers share.
struct Service {
    key: Key,
    address: SocketAddr,
    uploads: Uploads,
    caches: CacheStore,
    pending_caches: Mutex<PendingCaches>,
    artifacts: ArtifactStore,
    unpacking: Mutex<Vec<Unpacking>>,
}

impl ResultsService {
    /// Listens on a free port of the loopback.
    ///
    /// # Errors
    /// When the port or the cache folder is not to be had.
    pub async fn start(config: ResultsConfig) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let opening = move || CacheStore::open(&config.caches, config.cache_bytes);
        let service = Arc::new(Service {
            key: Key::random()?,
            address,
            uploads: Uploads::default(),
            caches: twirp::on_disk(opening).await?,
            pending_caches: Mutex::default(),
            artifacts: ArtifactStore::new(config.artifacts),
            unpacking: Mutex::default(),
        });
        let router = router(Arc::clone(&service));
        let server = tokio::spawn(async move {
            // It ends only with its listener, when the task is aborted.
            let _ = axum::serve(listener, router).await;
        });
        Ok(ResultsService { address, service, server })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A token for one job: `ACTIONS_RUNTIME_TOKEN`. A secret.
    pub fn issue_token(&self, grant: &Grant) -> String {
        self.service.key.token(grant)
    }

    /// Address and token, as a job takes them.
    pub fn endpoint(&self, grant: &Grant) -> ResultsEndpoint {
        ResultsEndpoint { address: self.address, token: self.issue_token(grant) }
    }

    /// Removes caches that no job has used since then; how many.
    ///
    /// # Errors
    /// When the folder can't be read, or a cache not be removed.
    pub async fn forget_caches(&self, unused_since: SystemTime) -> io::Result<usize> {
        let service = Arc::clone(&self.service);
        twirp::on_disk(move || service.caches.forget_unused(unused_since)).await
    }

    /// Waits until all artifacts that were handed over are unpacked. Gives a warning for each that could
    /// not be; its upload is kept all the same.
    pub async fn finish(&self) -> Vec<String> {
        let tasks = std::mem::take(&mut *self.service.unpacking());
        let mut warnings = Vec::new();
        for task in tasks {
            match task.await {
                Ok(warning) => warnings.extend(warning),
                Err(panic) => warnings.push(format!("an artifact is kept packed: {panic}")),
            }
        }
        warnings
    }
}

impl Drop for ResultsService {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn router(service: Arc<Service>) -> Router {
    const API: &str = "/twirp/github.actions.results.api.v1";
    let cache = |method: &str| format!("{API}.CacheService/{method}");
    let artifact = |method: &str| format!("{API}.ArtifactService/{method}");
    let api = Router::new()
        .route(&cache("CreateCacheEntry"), post(cache::create))
        .route(&cache("FinalizeCacheEntryUpload"), post(cache::finalize))
        .route(&cache("GetCacheEntryDownloadURL"), post(cache::get_url))
        .route(&artifact("CreateArtifact"), post(artifact::create))
        .route(&artifact("FinalizeArtifact"), post(artifact::finalize))
        .route(&artifact("ListArtifacts"), post(artifact::list))
        .route(&artifact("GetSignedArtifactURL"), post(artifact::get_url))
        .route(&artifact("DeleteArtifact"), post(artifact::delete))
        .layer(DefaultBodyLimit::max(REQUEST_BYTES));
    // An upload bounds its body itself.
    let blobs =
        Router::new().route(BLOB_PATH, put(blob::put).get(blob::get)).layer(DefaultBodyLimit::disable());
    api.merge(blobs).fallback(async || TwirpError::bad_route()).with_state(service)
}

impl Service {
    /// Who asks.
    fn grant(&self, headers: &HeaderMap) -> Result<Grant, TwirpError> {
        twirp::bearer(headers).and_then(|token| self.key.open(token)).ok_or_else(TwirpError::unauthenticated)
    }

    /// A signed address for one blob, on the host by which the client came.
    fn blob_url(&self, headers: &HeaderMap, purpose: Purpose, id: &str) -> String {
        let allowed = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let host =
            host.filter(|host| !host.is_empty() && host.len() <= HOST_BYTES && host.chars().all(allowed));
        let host = host.map_or_else(|| self.address.to_string(), str::to_owned);
        format!("http://{host}{BLOB_PATH}?{}", self.key.address(purpose, id))
    }

    fn pending_caches(&self) -> MutexGuard<'_, PendingCaches> {
        self.pending_caches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unpacking(&self) -> MutexGuard<'_, Vec<Unpacking>> {
        self.unpacking.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
