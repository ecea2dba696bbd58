//! Pages for people: what runs, why something waits, what failed.
//!
//! [`Pages`] has the routes. Each page is a function from records to markup ([`maud`] escapes what it is given), with a
//! thin handler that asks the store; forms work without a script. A page that may change names its changes' address
//! (`data-live`): the script hears there that something did, asks for the same page again, and puts in what has
//! changed of its parts (`data-swap`). Nothing is rendered twice, once for the server and once for the script.
//!
//! Everything that jobs, commits, and forges say is hostile here: it is escaped, and [no script](security) in the
//! markup would run if it were not.

pub mod ansi;
pub mod format;
pub mod premises;
pub mod runs;
pub mod security;
pub mod viewer;

mod act;
mod artifacts;
mod asked;
mod assets;
mod badge;
mod deliveries;
mod error;
mod job;
mod layout;
mod live;
mod log;
mod machines;
mod markdown;
mod queue;
mod repositories;
mod run;
#[cfg(test)]
mod sample;
mod settings;
mod show;
mod sign_in;

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRef;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use store::Store;
use store::log::LogFolder;
use store::seal::SealKey;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::address::Proxies;
use crate::auth::Auth;
use crate::auth::people::BACK;
use crate::control::Control;
use error::PageError;
use premises::Premises;

/// Pages that are watched live at once; each is a connection and some 10 KB.
pub const WATCHED: usize = 500;

/// What pages show, and who carries out what is asked on them.
pub struct Parts {
    /// Runs, jobs, deliveries.
    pub store: Arc<dyn Store>,
    /// Logs of jobs.
    pub logs: LogFolder,
    /// Who runs the workflows.
    pub control: Arc<dyn Control>,
    /// Who may look.
    pub auth: Arc<Auth>,
    /// Seals the secrets that people set.
    pub seal: Arc<SealKey>,
    /// Whose word on who asks is taken.
    pub proxies: Proxies,
    /// Everything else.
    pub premises: Arc<dyn Premises>,
    /// Cancelled when the server ends: live pages then do.
    pub stop: CancellationToken,
}

/// The pages. Clones share them.
#[derive(Clone)]
pub struct Pages {
    parts: Arc<Parts>,
    watchers: Arc<Semaphore>,
}

impl Pages {
    /// Pages of these parts.
    #[must_use]
    pub fn new(parts: Parts) -> Pages {
        Pages { parts: Arc::new(parts), watchers: Arc::new(Semaphore::new(WATCHED)) }
    }

    /// The routes.
    pub fn router(&self) -> Router {
        let inside = Router::new()
            .route("/", get(show::runs))
            .route("/live", get(live::runs))
            .route("/runs/{run}", get(show::run))
            .route("/runs/{run}/live", get(live::run))
            .route("/runs/{run}/{action}", post(act::on_run))
            .route("/runs/{run}/jobs/{job}", get(show::job))
            .route("/runs/{run}/jobs/{job}/{action}", post(act::on_job))
            .route("/runs/{run}/jobs/{job}/log", get(log::serve::lines))
            .route("/runs/{run}/jobs/{job}/log/marks", get(log::serve::marks))
            .route("/runs/{run}/jobs/{job}/log/search", get(log::serve::search))
            .route("/runs/{run}/jobs/{job}/log/live", get(log::serve::live))
            .route("/runs/{run}/jobs/{job}/log.txt", get(log::serve::raw))
            .route("/repositories", get(show::repositories))
            .route("/repositories/{owner}/{name}", get(show::repository))
            .route("/queue", get(show::queue))
            .route("/machines", get(show::machines))
            .route("/deliveries", get(show::deliveries))
            .route("/deliveries/{delivery}", get(show::delivery))
            .route("/deliveries/{delivery}/again", post(act::on_delivery))
            .route("/settings", get(show::settings))
            .route("/settings/{what}", post(act::on_settings))
            .route("/sign-out", post(sign_in::sign_out))
            .layer(from_fn_with_state(self.clone(), viewer::recognise));
        Router::new()
            .route("/sign-in", get(sign_in::show).post(sign_in::sign_in))
            .route("/sign-in/github", get(sign_in::github::leave))
            .route(BACK, get(sign_in::github::back))
            .route("/assets/{hash}/{name}", get(assets::serve))
            .route("/favicon.ico", get(assets::icon))
            .merge(inside)
            .layer(from_fn(security::harden))
            .with_state(self.clone())
    }

    fn store(&self) -> &dyn Store {
        self.parts.store.as_ref()
    }

    fn logs(&self) -> &LogFolder {
        &self.parts.logs
    }

    /// A place among those who watch.
    fn watch(&self) -> Result<OwnedSemaphorePermit, PageError> {
        Arc::clone(&self.watchers).try_acquire_owned().map_err(|_| PageError::Busy)
    }

    /// Until the server ends.
    fn stopped(&self) -> WaitForCancellationFutureOwned {
        self.parts.stop.clone().cancelled_owned()
    }
}

impl FromRef<Pages> for Arc<Auth> {
    fn from_ref(pages: &Pages) -> Arc<Auth> {
        Arc::clone(&pages.parts.auth)
    }
}
