//! Webhooks that were missed, asked for again.

use std::sync::Arc;

use forge::github::client::Client;
use scheduler::reconcile::{Look, Reconciler};
use server::metrics::Metrics;
use store::Store;

/// Asks for webhooks that were missed; `url` is where GitHub reaches this server.
pub(super) fn reconciler(
    store: Arc<dyn Store>,
    client: Client,
    url: Option<String>,
    metrics: &Metrics,
) -> Reconciler {
    let metrics = metrics.clone();
    let told = move |look: &Look| {
        metrics.missed("sent_again", look.sent_again);
        metrics.missed("refused", look.refused);
        if look.failed > 0 {
            metrics.error("missed_webhooks");
        }
    };
    Reconciler::new(store, client, url, Arc::new(told))
}
