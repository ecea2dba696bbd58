//! The results service: caches and artifacts, as the unmodified `@actions/cache` and
//! `@actions/artifact` clients speak to GitHub's.
//!
//! A job reaches it through a tunnel, with a token that is good for its own run and job only, and that ends with it.
//! Uploads and downloads go to signed addresses of the same service; they name the host under which the job
//! reached it, whatever port the tunnel has in the machine.

mod artifact;
mod artifact_store;
mod blob;
mod cache;
mod cache_store;
mod id_token;
mod kept;
mod lease;
mod ledger;
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
use axum::routing::{get, post, put};
use model::JobId;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use artifact_store::ArtifactFolder;
pub use kept::{KeptArtifact, KeptCache, kept_artifacts, kept_caches, sweep_artifacts};
pub use lease::{Identity, Lease};
pub use ledger::{Ledger, Wish};
pub use token::{CacheScope, Grant};

use crate::{IdTokenEndpoint, ResultsEndpoint};
use artifact_store::ArtifactStore;
use blob::BLOB_PATH;
use cache_store::CacheStore;
use lease::Leases;
use token::{Address, Key, Purpose};
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
    /// Bytes that uploads leave to others on their disk; 0: none.
    pub least_free: u64,
    /// What keeps account of it all beside the files; none where the files are all there is.
    pub ledger: Option<Arc<dyn Ledger>>,
}

impl ResultsConfig {
    /// With the usual bound on caches.
    pub fn new(
        caches: impl Into<PathBuf>,
        artifacts: impl Fn(model::RunId) -> PathBuf + Send + Sync + 'static,
    ) -> Self {
        let artifacts = Arc::new(artifacts);
        ResultsConfig {
            caches: caches.into(),
            cache_bytes: CACHE_BYTES,
            artifacts,
            least_free: 0,
            ledger: None,
        }
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
    leases: Leases,
    ledger: Option<Arc<dyn Ledger>>,
    /// Held while caches come and go, so that what stands for them comes and goes in the same order.
    keeping: tokio::sync::Mutex<()>,
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
            uploads: Uploads::leaving(config.least_free),
            caches: twirp::on_disk(opening).await?,
            pending_caches: Mutex::default(),
            artifacts: ArtifactStore::new(config.artifacts),
            unpacking: Mutex::default(),
            leases: Leases::default(),
            ledger: config.ledger,
            keeping: tokio::sync::Mutex::default(),
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

    /// Address and tokens, as a job takes them. They end when the endpoint and all its clones are gone. With an
    /// `identity` the job can also ask for OIDC tokens.
    pub fn endpoint(&self, grant: &Grant, identity: Option<Arc<dyn Identity>>) -> ResultsEndpoint {
        let has_identity = identity.is_some();
        let (key, lease) = (&self.service.key, self.service.leases.begin(identity));
        ResultsEndpoint {
            address: self.address,
            token: key.token(grant, lease.id()),
            id_token: has_identity
                .then(|| IdTokenEndpoint { path: id_token::PATH, token: key.identity_token(lease.id()) }),
            lease: Arc::new(lease),
        }
    }

    /// Removes caches that no job has used since then; how many.
    ///
    /// # Errors
    /// When the folder can't be read, or a cache not be removed.
    pub async fn forget_caches(&self, unused_since: SystemTime) -> io::Result<usize> {
        self.service.remove_caches(move |caches| caches.forget_unused(unused_since)).await
    }

    /// Removes a cache by its file, and what stands for it, which may be all there is.
    ///
    /// # Errors
    /// When the file is none of a cache, or can't be removed.
    pub async fn remove_cache(&self, path: PathBuf) -> io::Result<()> {
        let remove = move |caches: &CacheStore| caches.forget(&path).map(|_was_there| vec![path]);
        self.service.remove_caches(remove).await.map(drop)
    }

    /// Removes an artifact, and what stands for it, which may be all there is. Whether there were files.
    ///
    /// # Errors
    /// When they can't be removed.
    pub async fn remove_artifact(&self, run: model::RunId, id: u64) -> io::Result<bool> {
        self.service.remove_artifact(run, id).await
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
    let id_tokens = Router::new().route(id_token::PATH, get(id_token::give));
    api.merge(blobs).merge(id_tokens).fallback(async || TwirpError::bad_route()).with_state(service)
}

impl Service {
    /// Who asks.
    fn grant(&self, headers: &HeaderMap) -> Result<Grant, TwirpError> {
        self.lease_of(headers).map(|(grant, _)| grant).ok_or_else(TwirpError::unauthenticated)
    }

    /// Who asks, if that job still runs.
    fn lease_of(&self, headers: &HeaderMap) -> Option<(Grant, u64)> {
        let (grant, lease) = self.key.open(twirp::bearer(headers)?)?;
        self.leases.is_there(lease).then_some((grant, lease))
    }

    /// What an address allows, if the job that got it still runs.
    fn allowed(&self, address: &Address) -> Option<Purpose> {
        self.key.check(address).filter(|_| self.leases.is_there(address.lease))
    }

    /// A signed address for one blob, on the host by which the client came, as long as its job runs.
    fn blob_url(&self, headers: &HeaderMap, purpose: Purpose, id: &str) -> String {
        let allowed = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let host =
            host.filter(|host| !host.is_empty() && host.len() <= HOST_BYTES && host.chars().all(allowed));
        let host = host.map_or_else(|| self.address.to_string(), str::to_owned);
        // Whoever is given an address has shown a token. Without one it would be good for nobody.
        let lease = self.lease_of(headers).map_or(0, |(_, lease)| lease);
        format!("http://{host}{BLOB_PATH}?{}", self.key.address(purpose, id, lease))
    }

    fn pending_caches(&self) -> MutexGuard<'_, PendingCaches> {
        self.pending_caches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unpacking(&self) -> MutexGuard<'_, Vec<Unpacking>> {
        self.unpacking.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
