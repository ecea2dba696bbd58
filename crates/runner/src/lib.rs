//! One job on one machine.
//!
//! [`run_job`] takes a [`model::Job`], a machine, and a sink; it carries the steps out one
//! by one and emits [`model::JobEvent`]s. It knows neither terminals nor databases nor forges.
//! Of the host it needs three things, which its caller hands in as [`Services`]: actions, the
//! source tree for the built-in checkout, and the results service for caches and artifacts.

mod action;
pub mod action_store;
mod archive_stream;
mod cancel;
mod checkout;
mod checkpoint;
pub mod command;
pub mod command_file;
pub mod contexts;
pub mod environment;
mod evaluate;
mod file_lock;
mod git;
pub mod glob;
pub mod hash_files;
mod job;
pub mod lines;
pub mod log;
pub mod mask;
pub mod matcher;
mod memory_file;
pub mod output;
mod place;
mod process;
pub mod results;
mod scratch;
pub mod shell;
pub mod source;
mod ssh;
mod step;
mod tree;

pub use cancel::Cancellation;
pub use checkpoint::{Checkpoint, Halted, Inside, Surroundings, Vault, without_secrets};
pub use job::{JobEnd, run_job, run_job_from};
pub use tree::file_of_tree;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use model::{ActionRef, Secret};

/// How a job is run.
#[derive(Clone, Debug)]
pub struct RunnerOptions {
    /// Whether `RUNNER_DEBUG` is set and commands are echoed (`ACTIONS_STEP_DEBUG` does the same).
    pub debug: bool,
    /// `runner.name`.
    pub runner_name: String,
    /// Variables of the machine's own environment (`PATH`, where toolchains are), which every
    /// layer of the job's environment may replace.
    pub machine_env: Vec<(String, String)>,
    /// Whether the job ends where a step fails, later steps and posts not run, so that its machine
    /// can be kept as the step left it.
    pub halt_on_failure: bool,
}

impl Default for RunnerOptions {
    fn default() -> RunnerOptions {
        RunnerOptions {
            debug: false,
            runner_name: "hearth".to_owned(),
            machine_env: Vec::new(),
            halt_on_failure: false,
        }
    }
}

/// What a job may ask of the host.
#[derive(Clone)]
pub struct Services {
    /// Fetches remote actions.
    pub actions: Arc<dyn ActionStore>,
    /// Backs the built-in `actions/checkout`; `None`: the real action is used.
    pub checkout: Option<Arc<dyn SourceProvider>>,
    /// Gives out the repository of the run, for its actions that are used as `$/path`.
    pub source: Option<Arc<dyn SourceProvider>>,
    /// Address of the results service on the host, reached through a tunnel, and the job's token.
    pub results: Option<ResultsEndpoint>,
}

/// Where a job reaches caches and artifacts.
#[derive(Clone)]
pub struct ResultsEndpoint {
    /// Loopback address on the host.
    pub address: std::net::SocketAddr,
    /// JWT bound to this job: `ACTIONS_RUNTIME_TOKEN`. A secret.
    pub token: String,
    /// Where the job asks for OIDC tokens, if it may.
    pub id_token: Option<IdTokenEndpoint>,
    /// The tokens end with it.
    pub lease: Arc<results::Lease>,
}

/// Where a job asks for OIDC tokens, on the same address.
#[derive(Clone)]
pub struct IdTokenEndpoint {
    /// Path of `ACTIONS_ID_TOKEN_REQUEST_URL`.
    pub path: &'static str,
    /// `ACTIONS_ID_TOKEN_REQUEST_TOKEN`. A secret.
    pub token: String,
}

/// Gives out the files of remote actions.
#[async_trait]
pub trait ActionStore: Send + Sync {
    /// A folder on the host with the repository's tree at the reference (the whole repository, not
    /// only `path`), read-only, complete, and unchanged for as long as the job lives; and the commit.
    async fn fetch(&self, action: &ActionRef) -> Result<FetchedAction, ActionStoreError>;

    /// The same store for a further run: what a branch or tag means is asked anew, and then stays for all of its jobs. What
    /// it gives out is kept until it is dropped.
    fn for_run(&self) -> Arc<dyn ActionStore>;
}

/// A fetched action.
#[derive(Clone, Debug)]
pub struct FetchedAction {
    /// Folder with the tree of the repository.
    pub tree: PathBuf,
    /// The commit that the reference meant.
    pub commit: String,
}

/// Why an action could not be had.
#[derive(Debug, thiserror::Error)]
#[error("can't get action {action}: {reason}")]
pub struct ActionStoreError {
    /// Which action.
    pub action: String,
    /// Why, and what to do.
    pub reason: String,
    /// Whether another try later may help: nobody was reached, or the cache can't be used, as opposed to an answer that
    /// is no.
    pub may_pass: bool,
}

/// Gives out the source tree of the repository that the run is about.
#[async_trait]
pub trait SourceProvider: Send + Sync {
    /// Packs what `actions/checkout` with these inputs would put into the workspace as a tar stream.
    /// `Ok(None)`: not one of ours (another repository, a server); use a clone.
    async fn archive(
        &self,
        request: &CheckoutRequest,
    ) -> Result<Option<Box<dyn tokio::io::AsyncRead + Send + Unpin>>, SourceError>;
}

/// The inputs of `actions/checkout` that decide what is packed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct CheckoutRequest {
    /// `repository`, empty for the run's own.
    pub repository: String,
    /// `github-server-url`, empty for github.com. The run's own repository needs none.
    pub server: String,
    /// `token`, empty for none. The run's own repository needs none.
    pub token: Secret,
    /// `ref`, empty for the run's own commit.
    pub reference: String,
    /// `fetch-depth`: 0 for all of the history.
    pub fetch_depth: u32,
    /// `fetch-tags`.
    pub fetch_tags: bool,
    /// `sparse-checkout` patterns.
    pub sparse_checkout: Vec<String>,
    /// `sparse-checkout-cone-mode`.
    pub cone_mode: bool,
    /// `submodules`: `""`, `"true"`, `"recursive"`.
    pub submodules: String,
    /// `lfs`.
    pub lfs: bool,
    /// `filter`, empty for none. The run's own repository needs none: all of it is at hand.
    pub filter: String,
    /// `ssh-key` and what belongs to it; `None`: over HTTP. The run's own repository needs none.
    pub ssh: Option<SshAccess>,
}

/// How `actions/checkout` is to be let in over SSH.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct SshAccess {
    /// `ssh-key`: a private key.
    pub key: Secret,
    /// `ssh-known-hosts`, lines of a `known_hosts` file.
    pub known_hosts: String,
    /// `ssh-strict`: only hosts that are known.
    pub is_strict: bool,
    /// `ssh-user`.
    pub user: String,
}

/// Why a source tree could not be had.
#[derive(Debug, thiserror::Error)]
#[error("can't check out {what}: {reason}")]
pub struct SourceError {
    /// Repository and ref.
    pub what: String,
    /// Why, and what to do.
    pub reason: String,
}
