//! Takes in deliveries: each becomes runs, or is put off, or is done with.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::Timestamp;
use store::record::{Delivery, Expansion};
use store::{Store, StoreError};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::engine::{Engine, EngineError, RunAgain};
use crate::expand::{Expander, Outcome, not_yet};

/// Deliveries that are looked at together.
const TOGETHER: usize = 64;

/// Repositories that are fetched at once: each is a git process or two.
const REPOSITORIES: usize = 8;

/// How long to wait for news before looking for deliveries that have become due, and after the store has failed.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Takes in deliveries, those of one repository in their order.
pub struct Intake {
    /// Where they are.
    pub store: Arc<dyn Store>,
    /// Makes runs of them.
    pub expander: Arc<Expander>,
    /// Carries the runs out.
    pub engine: Engine,
    /// Notified of each new one.
    pub news: Arc<Notify>,
}

impl Intake {
    /// Works until `stop`. What is not done then is done by the next life.
    pub async fn run(self, stop: CancellationToken) {
        let this = Arc::new(self);
        loop {
            let again = tokio::select! {
                () = stop.cancelled() => return,
                worked = Arc::clone(&this).round() => match worked {
                    Ok(worked) => worked > 0,
                    Err(error) => {
                        error!(%error, "deliveries can't be read; trying again");
                        false
                    }
                },
            };
            if again {
                continue;
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = this.news.notified() => {}
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
        }
    }

    /// Takes in all that is due. Gives how many that were.
    async fn round(self: Arc<Self>) -> Result<usize, StoreError> {
        let due = self.store.due_deliveries(Timestamp::now(), TOGETHER).await?;
        let count = due.len();
        let mut lines: BTreeMap<Option<String>, Vec<Delivery>> = BTreeMap::new();
        for delivery in due {
            lines.entry(delivery.repository.clone()).or_default().push(delivery);
        }
        let mut working = JoinSet::new();
        for line in lines.into_values() {
            while working.len() >= REPOSITORIES {
                working.join_next().await;
            }
            let this = Arc::clone(&self);
            working.spawn(async move {
                for delivery in line {
                    if let Err(error) = this.take_in(&delivery).await {
                        error!(delivery = %delivery.guid, %error, "a delivery can't be taken in; trying again");
                        return;
                    }
                }
            });
        }
        while working.join_next().await.is_some() {}
        Ok(count)
    }

    async fn take_in(&self, delivery: &Delivery) -> Result<(), StoreError> {
        let Some((delivery, body)) = self.store.delivery(delivery.id).await? else { return Ok(()) };
        let expansion = match self.expander.expand(&delivery, &body, Timestamp::now()).await? {
            Outcome::Expansion(expansion) => expansion,
            Outcome::Again(wish) => return self.run_again(&delivery, wish).await,
        };
        self.write_down(&delivery, expansion).await
    }

    async fn run_again(&self, delivery: &Delivery, wish: RunAgain) -> Result<(), StoreError> {
        match self.engine.all_again(wish).await {
            Ok(_) => {
                info!(delivery = %delivery.guid, "a check's button has run it again");
                Ok(())
            }
            Err(unfit @ (EngineError::Unfit { .. } | EngineError::Forbidden(_))) => {
                self.write_down(delivery, not_yet(delivery, unfit.to_string(), Timestamp::now())).await
            }
            Err(EngineError::Missing(what)) => {
                self.write_down(delivery, Expansion::Ignored(format!("there is no {what} any more"))).await
            }
            // It was fulfilled before.
            Err(EngineError::Store(StoreError::Illegal { .. })) => Ok(()),
            Err(EngineError::Store(error)) => Err(error),
            // The next life fulfils it.
            Err(EngineError::Stopped) => Ok(()),
        }
    }

    async fn write_down(&self, delivery: &Delivery, expansion: Expansion) -> Result<(), StoreError> {
        match &expansion {
            Expansion::Runs(runs) => info!(delivery = %delivery.guid, runs = runs.len(), "delivery expanded"),
            Expansion::Ignored(reason) => info!(delivery = %delivery.guid, reason, "delivery starts nothing"),
            Expansion::Later { reason, .. } => info!(delivery = %delivery.guid, reason, "delivery put off"),
            Expansion::Failed(reason) => error!(delivery = %delivery.guid, reason, "delivery failed"),
        }
        let runs = self.store.expand(delivery.id, expansion, Timestamp::now()).await?;
        self.engine.admit(runs).await;
        Ok(())
    }
}
