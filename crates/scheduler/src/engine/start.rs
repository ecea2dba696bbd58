//! A run starts: its plan is made. Where that can't be now, for no fault of its own, it stays queued and is tried again.
//!
//! ```text
//!  queued ─► its plan is being made ─► running
//!     ▲                │  │
//!     └──── put off ───┘  └─► ended: wrong, or tried often enough
//! ```
//!
//! While the store can't be read it is put off however often: nobody knows anything of it then.
//!
//! The store has it as queued all the while, so a restart forgets nothing but how often it was tried.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Conclusion, RunId, Timestamp};
use store::Change;
use store::record::Run;
use tracing::{error, warn};

use super::live::Live;
use super::prepare::{PrepareError, Prepared};
use super::{Core, Message};
use crate::recipe::Recipe;
use crate::retry::{self, Verdict};

/// How often a run that has not started was put off.
#[derive(Default)]
pub(super) struct PutOff {
    /// Because what its plan needs could not be had.
    outages: u32,
    /// Because the store could not be read.
    store_faults: u32,
}

impl Core {
    /// Begins to make its plan, or goes on with it if it had begun in an earlier life.
    pub(super) async fn start_run(&mut self, id: RunId) {
        if !self.queue.started(id, Timestamp::now()) {
            return;
        }
        let Some(run) = self.waiting.get(&id).cloned() else {
            error!(run = %id, "a run starts that nobody knows");
            self.queue.ended(id, Timestamp::now());
            return;
        };
        if run.started_at.is_some() {
            return self.go_on_later(run).await;
        }
        self.preparing.insert(id, None);
        let (preparer, sender) = (Arc::clone(&self.parts.preparer), self.sender.clone());
        self.tasks.spawn(async move {
            let attempt = run.attempt;
            let outcome = Box::new(preparer.prepare(&run).await);
            let _ = sender.send(Message::Prepared { run: id, attempt, outcome }).await;
        });
    }

    /// A plan can be made, or can't.
    pub(super) async fn prepared(
        &mut self,
        id: RunId,
        attempt: u32,
        outcome: Result<Prepared, PrepareError>,
    ) {
        let Some(cancelled) = self.preparing.remove(&id) else { return };
        let Some(run) = self.waiting.remove(&id).filter(|run| run.attempt == attempt) else { return };
        if let Some(reason) = cancelled {
            return self.end_run(id, Conclusion::Cancelled, Some(reason)).await;
        }
        let begun = match outcome {
            Ok(prepared) => self.begin(run, prepared),
            Err(PrepareError::Wrong(reason)) => Err(reason),
            Err(PrepareError::Unreachable(reason)) => match self.put_off(run, &reason) {
                None => return,
                Some(given_up) => Err(given_up),
            },
            Err(PrepareError::Unreadable(reason)) => return self.await_store(run, &reason),
        };
        match begun {
            Ok((live, recipe)) => {
                let now = Timestamp::now();
                let plan = serde_json::to_value(&recipe).unwrap_or_default();
                if !self.write(vec![Change::RunStarted { run: id, plan, at: now }]).await {
                    return self.queue.ended(id, now);
                }
                self.live.insert(id, live);
                self.follow(id, &BTreeMap::new()).await;
            }
            Err(reason) => self.end_run(id, Conclusion::Failure, Some(reason)).await,
        }
    }

    fn begin(&mut self, run: Run, prepared: Prepared) -> Result<(Live, Recipe), String> {
        let Prepared { recipe, facts, repository, secrets } = prepared;
        self.put_off.remove(&run.id);
        let plan = recipe.plan(run.id, run.attempt, run.what.trust, secrets).map_err(|error| error.0)?;
        let earlier = recipe.earlier.clone();
        Ok((Live::new(Arc::new(run), Arc::new(facts), repository, plan, earlier), recipe))
    }

    /// Puts a run off. Gives the reason why it is not, if it has been tried often enough.
    fn put_off(&mut self, run: Run, reason: &str) -> Option<String> {
        let (id, now) = (run.id, Timestamp::now());
        let tries = self.put_off.entry(id).or_default();
        let verdict = retry::after_outage(self.retry, id, reason, tries.outages, now);
        tries.outages += 1;
        let retry = match verdict {
            Verdict::Again(retry) => retry,
            Verdict::GivenUp { reason } => return Some(reason),
            Verdict::Ended => return Some(reason.to_owned()),
        };
        if !self.queue.retried(id, retry, now) {
            return Some(reason.to_owned());
        }
        warn!(run = %id, reason, "the run can't start now; it is tried again");
        self.waiting.insert(id, run);
        None
    }

    /// Puts a run off that has its place in the queue as one that has started: the store can't be read for it now.
    pub(super) fn await_store(&mut self, run: Run, reason: &str) {
        let (id, now) = (run.id, Timestamp::now());
        warn!(run = %id, reason, "the store can't be read for the run now; it is tried again");
        let tries = self.put_off.entry(id).or_default();
        let retry = retry::after_store_fault(self.retry, id, reason, tries.store_faults, now);
        tries.store_faults = tries.store_faults.saturating_add(1);
        // One that was cancelled meanwhile is ended for that.
        self.queue.retried(id, retry, now);
        self.waiting.insert(id, run);
    }
}
