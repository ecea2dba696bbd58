//! Takes in deliveries: each becomes runs, or is put off, or is done with.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::Timestamp;
use store::record::{Delivery, Expansion};
use store::{Store, StoreError};
use tokio::sync::Notify;
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::engine::{Engine, EngineError, RunAgain};
use crate::expand::{Expander, Outcome, not_yet};

/// Deliveries that are looked at together.
const TOGETHER: usize = 64;

/// Repositories that are begun at once: each is a git process or two.
const REPOSITORIES: usize = 8;

/// How long one may take before it counts as slow and another is begun in its place: nearly all are done in a second, and
/// who takes longer waits for a server that is slow or silent, or brings a whole repository.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Repositories that are worked on in all, slow ones included: a git that waits takes some 20 MB with its helper.
const AT_MOST: usize = 40;

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
    /// How long a repository may hold up others; [`PATIENCE`] where nothing speaks against it.
    pub patience: Duration,
}

impl Intake {
    /// Works until `stop`. What is not done then is done by the next life.
    pub async fn run(self, stop: CancellationToken) {
        let this = Arc::new(self);
        let mut lines = Lines::default();
        loop {
            let looked = tokio::select! {
                () = stop.cancelled() => return,
                looked = this.look(&mut lines) => looked,
            };
            if let Err(error) = looked {
                error!(%error, "deliveries can't be read; trying again");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = lines.one_ends(), if !lines.busy.is_empty() => {}
                () = this.news.notified() => {}
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
        }
    }

    /// Begins a line for each repository that has due deliveries and none yet, as far as there is room.
    async fn look(self: &Arc<Self>, lines: &mut Lines) -> Result<(), StoreError> {
        let ages: Vec<Duration> = lines.busy.values().map(|line| line.begun.elapsed()).collect();
        let room = room(&ages, self.patience);
        if room == 0 {
            return Ok(());
        }
        let busy = lines.busy.values().map(|line| line.repository.clone()).collect();
        let due = self.store.due_deliveries(Timestamp::now(), busy, TOGETHER).await?;
        let mut new: Vec<(String, Vec<Delivery>)> = Vec::new();
        for delivery in due {
            let repository = delivery.repository.clone().unwrap_or_default();
            match new.iter_mut().find(|(known, _)| *known == repository) {
                Some((_, line)) => line.push(delivery),
                None => new.push((repository, vec![delivery])),
            }
        }
        for (repository, line) in new.into_iter().take(room) {
            let task = lines.working.spawn(Arc::clone(self).work_through(line)).id();
            lines.busy.insert(task, Line { repository, begun: Instant::now() });
        }
        Ok(())
    }

    async fn work_through(self: Arc<Self>, line: Vec<Delivery>) {
        for delivery in line {
            if let Err(error) = self.take_in(&delivery).await {
                error!(delivery = %delivery.guid, %error, "a delivery can't be taken in; trying again");
                // The repository stays busy until then.
                return tokio::time::sleep(LOOK_AGAIN).await;
            }
        }
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
            Err(EngineError::Stopped | EngineError::Busy(_)) => Ok(()),
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

/// The repositories that are worked on, each by one task, so that its deliveries keep their order and a slow one holds
/// up no other.
#[derive(Default)]
struct Lines {
    working: JoinSet<()>,
    /// What each task works on.
    busy: HashMap<Id, Line>,
}

struct Line {
    /// Empty for deliveries of none.
    repository: String,
    begun: Instant,
}

/// How many more repositories may be begun, where so many are worked on for so long: those that have become slow keep
/// nobody waiting, until there are too many of them.
fn room(ages: &[Duration], patience: Duration) -> usize {
    let prompt = ages.iter().filter(|age| **age < patience).count();
    REPOSITORIES.saturating_sub(prompt).min(AT_MOST.saturating_sub(ages.len()))
}

impl Lines {
    /// Waits until a repository is done with, and lets it go.
    async fn one_ends(&mut self) {
        let ended = match self.working.join_next_with_id().await {
            Some(Ok((task, ()))) => task,
            Some(Err(error)) => error.id(),
            None => return,
        };
        self.busy.remove(&ended);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_that_have_become_slow_leave_room_for_others_up_to_a_bound() {
        let (young, slow) = (PATIENCE / 2, PATIENCE);
        assert_eq!(room(&[], PATIENCE), REPOSITORIES);
        assert_eq!(room(&[young; REPOSITORIES], PATIENCE), 0);
        assert_eq!(room(&[slow; REPOSITORIES], PATIENCE), REPOSITORIES);
        assert_eq!(room(&[slow, young, slow], PATIENCE), REPOSITORIES - 1);
        assert_eq!(room(&[slow; AT_MOST - 1], PATIENCE), 1);
        assert_eq!(room(&[slow; AT_MOST], PATIENCE), 0);
    }
}
