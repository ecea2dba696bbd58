//! The server of `hearth serve`: webhooks, API, health, metrics, and the machine API beside them.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use model::Timestamp;
use store::Store;
use store::log::LogFolder;
use store::seal::SealKey;
use tokio_util::sync::CancellationToken;

use crate::address::Proxies;
use crate::api;
use crate::api::error::ApiError;
use crate::api::events::Listeners;
use crate::auth::Auth;
use crate::control::Control;
use crate::health::{self, Check, Readiness};
use crate::machines::Machines;
use crate::metrics::{self, Metrics};
use crate::pages::premises::Premises;
use crate::webhook::{self, Intake, WebhookConfig};

/// What a server is made of.
pub struct Parts {
    /// What must not be forgotten.
    pub store: Arc<dyn Store>,
    /// Who runs the workflows.
    pub control: Arc<dyn Control>,
    /// Who may send webhooks, and how many.
    pub webhook: WebhookConfig,
    /// Who may see and do what.
    pub auth: Arc<Auth>,
    /// Whose word on addresses is taken.
    pub proxies: Proxies,
    /// Machines and disk.
    pub premises: Arc<dyn Premises>,
    /// What must work besides the store for the server to be ready.
    pub checks: Vec<Arc<dyn Check>>,
    /// Where numbers go.
    pub metrics: Metrics,
    /// Logs of jobs.
    pub logs: LogFolder,
    /// What the files that the store knows of are below: the data folder.
    pub files: PathBuf,
    /// What secrets are sealed with.
    pub seal: Arc<SealKey>,
    /// Cancelled when the server ends: streams of events then do.
    pub stop: CancellationToken,
    /// The machine API, where it is served.
    pub machines: Option<Machines>,
}

/// The server. Clones share it.
#[derive(Clone)]
pub struct Server(Arc<Shared>);

/// What the handlers share.
pub(crate) struct Shared {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) control: Arc<dyn Control>,
    pub(crate) intake: Intake,
    pub(crate) auth: Arc<Auth>,
    pub(crate) proxies: Proxies,
    pub(crate) premises: Arc<dyn Premises>,
    pub(crate) started_at: Timestamp,
    pub(crate) checks: Vec<Arc<dyn Check>>,
    pub(crate) readiness: Readiness,
    pub(crate) metrics: Metrics,
    pub(crate) logs: LogFolder,
    pub(crate) files: PathBuf,
    pub(crate) seal: Arc<SealKey>,
    pub(crate) listeners: Listeners,
    pub(crate) stop: CancellationToken,
    machines: Option<Machines>,
}

impl Server {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: Parts) -> Server {
        Server(Arc::new(Shared {
            auth: parts.auth,
            store: parts.store,
            control: parts.control,
            intake: Intake::new(parts.webhook),
            proxies: parts.proxies,
            premises: parts.premises,
            started_at: Timestamp::now(),
            checks: parts.checks,
            readiness: Readiness::default(),
            metrics: parts.metrics,
            logs: parts.logs,
            files: parts.files,
            seal: parts.seal,
            listeners: Listeners::default(),
            stop: parts.stop,
            machines: parts.machines,
        }))
    }

    /// All routes, for [`http::serve`](crate::http::serve).
    pub fn router(&self) -> Router {
        let shared = &self.0;
        let own = Router::new()
            .route("/webhook", post(webhook::receive))
            .route("/webhooks/github", post(webhook::receive))
            .route("/health", get(health::live))
            .route("/ready", get(health::ready))
            .route("/metrics", get(numbers))
            .merge(api::router(shared))
            .fallback(async || ApiError::no_route())
            .method_not_allowed_fallback(async || ApiError::no_method())
            .with_state(Arc::clone(shared));
        match &shared.machines {
            Some(machines) => own.merge(machines.routes()),
            None => own,
        }
    }
}

async fn numbers(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], shared.metrics.text())
}
