//! Who tells the metrics what: the forge's API, git, and machines that are kept ready.

use std::sync::Arc;

use forge::git::FetchObserver;
use forge::github::client::{Observed, Observer};
use machine::pool::Pool;
use server::metrics::Metrics;

/// Counts calls of the forge's API.
pub(super) fn of_calls(metrics: &Metrics) -> Observer {
    let metrics = metrics.clone();
    Arc::new(move |call: &Observed| {
        let outcome = call.status.map_or_else(|| "unanswered".to_owned(), |status| status.to_string());
        metrics.forge_call(&format!("{} {}", call.method, call.route), &outcome, call.took);
    })
}

/// Counts fetches of git.
pub(super) fn of_fetches(metrics: &Metrics) -> FetchObserver {
    let metrics = metrics.clone();
    Arc::new(move |is_fetched, took| {
        metrics.forge_call("git fetch", if is_fetched { "ok" } else { "failed" }, took);
    })
}

/// Shows how pools stand, whenever the numbers are read.
pub(super) fn of_pools(metrics: &Metrics, pools: Vec<Pool>) {
    metrics.ask(move |metrics| {
        pools.iter().flat_map(Pool::status).for_each(|kind| metrics.pool(&kind));
        pools.iter().flat_map(Pool::made).for_each(|(kind, took)| metrics.pool_made(&kind, took));
    });
}
