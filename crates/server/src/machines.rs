//! The machine API: machines for whoever has a token, over HTTP.
//!
//! [`Machines`] is the API's state, and [`Machines::router`] its routes; the full server mounts the
//! same router. Machines come from a driver, or a pool of it (`source`). A request finds its caller by its token (`token`),
//! its limits by its tier (`limits`), and its machine in the `registry`, where it sees its own only.
//! What changes a machine (`lifecycle`) runs in tasks of its own, so that a client that breaks off
//! leaves nothing half done; what happens in one (`exec`, `execute`, `files`, `shell`) is a session
//! and ends with its client.

pub mod frame;
pub mod limits;
pub mod log;
pub mod token;
pub mod wire;

mod archive;
mod authenticate;
mod command;
mod error;
mod exec;
mod execute;
mod files;
mod idle;
mod language;
mod lifecycle;
mod read;
mod registry;
mod shell;
mod snapshots;
mod source;
mod text;
mod vms;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, delete, get, post};
use machine::network::NetworkPolicy;
use machine::{Driver, MachineSpec, Network};
use model::MachineId;
use serde::Deserialize;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use error::ApiError;
use limits::{ALL_MACHINES, Tier};
use registry::Registry;
use source::Source;
use token::{DEFAULT_TIER, Key};

/// The document of all routes (OpenAPI 3.1).
pub const OPENAPI: &str = include_str!("machines/openapi.json");

/// The type of a machine when nobody configured one, by the name that users of the API's elder know.
pub const DEFAULT_TYPE: &str = "bionic-test";

/// What the operator decides.
#[derive(Clone, Debug)]
pub struct Config {
    /// What can be asked for, by name; the first is the default. Must not be empty.
    pub vm_types: Vec<(String, VmType)>,
    /// Limits by the name that a token's `tier` has.
    pub tiers: BTreeMap<String, Tier>,
    /// Machines of all callers together.
    pub all_machines: usize,
    /// The data folder: the driver keeps its snapshots in there.
    pub data: PathBuf,
}

impl Config {
    /// One type of machine, one tier, the usual limits.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Config {
            vm_types: vec![(DEFAULT_TYPE.to_owned(), VmType::default())],
            tiers: BTreeMap::from([(DEFAULT_TIER.to_owned(), Tier::default())]),
            all_machines: ALL_MACHINES,
            data: data.into(),
        }
    }
}

/// A type of machine. What it does not say is the driver's choice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VmType {
    /// Name or id of the image.
    pub image: Option<String>,
    /// Virtual CPUs.
    pub vcpus: Option<u32>,
    /// Memory.
    pub memory_mib: Option<u64>,
    /// Bound of what it may write.
    pub disk_mib: Option<u64>,
    /// What it sees of the network: only its own loopback when absent.
    pub network: Option<Network>,
    /// What it may reach on a network of its own; all that is public when empty.
    #[serde(default)]
    pub policy: NetworkPolicy,
    /// How many are kept ready; none when absent.
    pub warm: Option<Bounds>,
}

/// Between which bounds the number of machines that are kept ready follows what is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    /// Always so many.
    pub min: usize,
    /// Never more.
    pub max: usize,
}

impl VmType {
    /// A machine of this type.
    fn spec(&self, id: MachineId) -> MachineSpec {
        MachineSpec {
            image: self.image.clone(),
            vcpus: self.vcpus,
            memory_mib: self.memory_mib,
            disk_mib: self.disk_mib,
            policy: self.policy.clone(),
            ..MachineSpec::new(id, self.network.unwrap_or(Network::None))
        }
    }
}

/// Why the API can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No type of machine is configured.
    #[error("no machine type is configured: name at least one")]
    NoType,
    /// A type can't work.
    #[error("machine type {name:?}: {reason}")]
    Type {
        /// Which.
        name: String,
        /// Why, and what to do.
        reason: String,
    },
    /// No machines can be kept ready.
    #[error("can't keep machines ready: {0}")]
    Pool(String),
    /// What an earlier life left is in the way.
    #[error("can't remove what an earlier life left: {0}")]
    Remains(String),
}

/// The API. Clones share it.
#[derive(Clone)]
pub struct Machines(Arc<Service>);

/// What the handlers share.
struct Service {
    key: Key,
    config: Config,
    source: Source,
    registry: Arc<Registry>,
    /// Cancelled when the server ends; every machine's own token is its child.
    stop: CancellationToken,
    /// Every task that outlives its request.
    tasks: TaskTracker,
}

impl Machines {
    /// Checks every type of machine, removes what an earlier, killed life left, and begins to keep
    /// machines ready. Says what it removed.
    ///
    /// The data folder must be this process's alone.
    ///
    /// # Errors
    /// When a type can't work, or remains can't be removed.
    pub async fn open(
        key: Key,
        config: Config,
        driver: Arc<dyn Driver>,
    ) -> Result<(Self, Vec<String>), StartError> {
        if config.vm_types.is_empty() {
            return Err(StartError::NoType);
        }
        Source::check(&driver, &config.data, &config.vm_types).await?;
        let reaped = driver.reap().await;
        let mut removed = reaped.map_err(|error| StartError::Remains(error.to_string()))?;
        let snapshots = snapshots::remove_left(&config.data).await;
        removed.extend(snapshots.map_err(|error| StartError::Remains(error.to_string()))?);
        let source = Source::open(driver, &config.data, &config.vm_types)?;
        let service = Service {
            key,
            config,
            source,
            registry: Arc::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        Ok((Machines(Arc::new(service)), removed))
    }

    /// The routes, to be served alone.
    pub fn router(&self) -> Router {
        self.routes()
            .route("/health", get(async || axum::Json(json!({"status": "ok"}))))
            .route("/openapi.json", get(async || ([(header::CONTENT_TYPE, "application/json")], OPENAPI)))
            .fallback(async || ApiError::new(StatusCode::NOT_FOUND, "no such route; see /openapi.json"))
            .method_not_allowed_fallback(async || {
                ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "not with this method; see /openapi.json")
            })
    }

    /// The routes that need a token, to be mounted in a server that has its own of the others.
    pub(crate) fn routes(&self) -> Router {
        let service = Arc::clone(&self.0);
        let api = routes().into_iter().fold(Router::new(), |api, (path, route)| api.route(path, route));
        api.route_layer(from_fn_with_state(Arc::clone(&service), authenticate::authenticate))
            .with_state(service)
    }

    /// Every path that the router has.
    #[must_use]
    pub fn paths(&self) -> Vec<&'static str> {
        routes().into_iter().map(|(path, _)| path).chain(["/health", "/openapi.json"]).collect()
    }

    /// Ends all sessions and destroys all machines. Nothing new is taken in. Says what could not be ended.
    pub async fn shut_down(&self) -> Vec<String> {
        lifecycle::shut_down(&self.0).await
    }
}

/// Every route that needs a token.
fn routes() -> Vec<(&'static str, MethodRouter<Arc<Service>>)> {
    vec![
        ("/api/vms", get(vms::list).post(vms::start)),
        ("/api/vms/{id}", get(vms::show).delete(vms::delete)),
        ("/api/vms/{id}/logs", get(vms::logs)),
        ("/api/vms/{id}/exec", post(exec::exec)),
        ("/api/vms/{id}/shell", get(shell::shell)),
        ("/api/vms/{id}/files", get(files::read).put(files::write).delete(files::remove)),
        ("/api/vms/{id}/archive", get(archive::pack).put(archive::unpack)),
        ("/api/vms/{id}/snapshots", get(snapshots::list).post(snapshots::take)),
        ("/api/vms/{id}/snapshots/{snapshot_id}", delete(snapshots::remove)),
        ("/api/vms/{id}/rollback/{snapshot_id}", post(snapshots::roll_back)),
        ("/api/llm/execute", post(execute::execute)),
        ("/api/pool", get(vms::pool)),
    ]
}
