//! Ended runs run again, as new attempts.

use model::{DeliveryId, RunId, RunState, Timestamp};
use store::record::Run;
use store::{Change, StoreError};
use tracing::error;

use super::{AGAIN, Core, EngineError};
use crate::recipe::{ATTEMPTS, Again};

/// Ended runs that are to run again, all of them or none.
pub struct RunAgain {
    /// Which, and what of each.
    pub runs: Vec<(RunId, Again)>,
    /// Who asks.
    pub actor: String,
    /// The delivery that brought the wish, if one did: it is done with in the same moment, so that it is fulfilled once.
    pub delivery: Option<DeliveryId>,
}

impl Core {
    pub(super) async fn again(&mut self, wish: RunAgain) -> Result<Vec<u32>, EngineError> {
        let (at, mut changes, mut attempts) = (Timestamp::now(), Vec::new(), Vec::new());
        for (id, again) in &wish.runs {
            let run = self.parts.store.run(*id).await?.ok_or(EngineError::Missing((*id).into()))?;
            let unfit =
                |problem: &str| EngineError::Unfit { subject: (*id).into(), problem: problem.to_owned() };
            if run.what.state != RunState::Ended {
                return Err(unfit("has not ended yet: cancel it first"));
            }
            if run.attempt >= ATTEMPTS {
                return Err(unfit("was run again too often; push or dispatch anew"));
            }
            let attempt = run.attempt + 1;
            let again = serde_json::to_value(again).unwrap_or_default();
            let actor = wish.actor.clone();
            changes.push(Change::AttemptQueued { run: *id, attempt, actor, again, at });
            attempts.push(attempt);
        }
        if let Some(delivery) = wish.delivery {
            changes.push(Change::Fulfilled { delivery, reason: what_runs_again(&wish.runs, &attempts), at });
        }
        self.parts.store.apply(changes).await?;
        let mut admitted = Ok(attempts);
        for (id, _) in wish.runs {
            match self.queued_again(id).await {
                Ok(Some(run)) => self.admit(run).await,
                // The others run again all the same: they are written down, and nobody asks for them another time.
                Ok(None) => admitted = Err(EngineError::Missing(id.into())),
                Err(error) => admitted = Err(error.into()),
            }
        }
        admitted
    }

    /// Reads a run that was just written, however long that can't be: nobody else would look for it in this life.
    async fn queued_again(&self, run: RunId) -> Result<Option<Run>, StoreError> {
        loop {
            match self.parts.store.run(run).await {
                Err(error) if error.may_pass() => {
                    error!(%run, %error, "a run that runs again can't be read; trying again");
                    tokio::select! {
                        () = tokio::time::sleep(AGAIN) => {}
                        () = self.stop.cancelled() => return Err(error),
                    }
                }
                read => return read,
            }
        }
    }
}

/// In words (`run 7 runs again, as attempt 2`).
fn what_runs_again(runs: &[(RunId, Again)], attempts: &[u32]) -> String {
    let words = runs.iter().zip(attempts);
    let words = words.map(|((run, _), attempt)| format!("run {run} runs again, as attempt {attempt}"));
    words.collect::<Vec<_>>().join("; ")
}
