//! A check's button was pressed: what it shows runs again.

use std::collections::BTreeSet;

use forge::github::event::Rerequested;
use forge::github::report::{RERUN, Sent};
use forge::repository::RepositoryRef;
use model::{JobId, RepositoryId, RunId, RunState, Timestamp};
use store::StoreError;
use store::query::RunFilter;
use store::record::{Delivery, Expansion, Run};

use super::{Expander, Hindrance, Outcome, wait_after};
use crate::engine::RunAgain;
use crate::recipe::Again;

/// Runs of a commit that a suite may have.
const RUNS: usize = 100;

impl Expander {
    /// What comes of the wish to have a check of ours again.
    pub(super) async fn wanted_again(
        &self,
        delivery: &Delivery,
        repository: &RepositoryRef,
        wish: &Rerequested,
        sender: Option<String>,
        now: Timestamp,
    ) -> Result<Outcome, StoreError> {
        let ignored = |reason: &str| Ok(Outcome::Expansion(Expansion::Ignored(reason.to_owned())));
        if wish.requested_action.as_deref().is_some_and(|button| button != RERUN) {
            return ignored("the check has no such button");
        }
        let known = self.store.repositories().await?;
        let Some(known) = known.iter().find(|known| known.facts.forge_id == Some(repository.id)) else {
            return ignored("nothing has run of its repository");
        };
        let runs = match wish.check_run {
            Some(check) => self.of_check(known.id, check, wish.external_id.as_deref()).await?,
            None => self.of_suite(known.id, &wish.head_sha).await?,
        };
        if let Some((run, _)) = runs.iter().find(|(run, _)| run.what.state != RunState::Ended) {
            return Ok(Outcome::Expansion(not_yet(
                delivery,
                format!("run {} has not ended yet", run.id),
                now,
            )));
        }
        if runs.is_empty() {
            return ignored("what it shows is not known here any more");
        }
        let runs = runs.into_iter().map(|(run, again)| (run.id, again)).collect();
        let actor = sender.unwrap_or_default();
        Ok(Outcome::Again(RunAgain { runs, actor, delivery: Some(delivery.id) }))
    }

    /// The job that a check run shows, if this server has made it: its own record of it says so.
    async fn of_check(
        &self,
        repository: RepositoryId,
        check: u64,
        external_id: Option<&str>,
    ) -> Result<Vec<(Run, Again)>, StoreError> {
        let Some(id) = external_id.and_then(|id| id.parse().ok()).map(JobId) else { return Ok(Vec::new()) };
        let Some(job) = self.store.job(id).await? else { return Ok(Vec::new()) };
        let is_shown = self.sent(job.run).await?.check_runs().any(|shown| shown == (id, check));
        let run = self.store.run(job.run).await?;
        let run = run.filter(|run| is_shown && run.what.repository == repository);
        Ok(run.into_iter().map(|run| (run, Again::Jobs(BTreeSet::from([job.path.clone()])))).collect())
    }

    /// The latest run of each workflow and event that is shown at a commit.
    async fn of_suite(
        &self,
        repository: RepositoryId,
        head_sha: &str,
    ) -> Result<Vec<(Run, Again)>, StoreError> {
        let filter = RunFilter {
            repository: Some(repository),
            sha: Some(head_sha.to_owned()),
            ..RunFilter::default()
        };
        let (mut seen, mut latest) = (BTreeSet::new(), Vec::new());
        for run in self.store.runs(&filter, RUNS).await? {
            let is_latest = seen.insert((run.what.workflow_path.clone(), run.what.event.clone()));
            if is_latest && run.what.head_sha == head_sha && self.sent(run.id).await?.check_runs().count() > 0
            {
                latest.push((run, Again::All));
            }
        }
        Ok(latest)
    }

    /// What was reported of a run.
    async fn sent(&self, run: RunId) -> Result<Sent, StoreError> {
        let sent = self.store.reported(run).await?;
        Ok(sent.and_then(|sent| serde_json::from_value(sent).ok()).unwrap_or_default())
    }
}

/// One job of a run has ended and others have not: the wish is kept until they have.
pub(crate) fn not_yet(delivery: &Delivery, reason: String, now: Timestamp) -> Expansion {
    let hindrance = Hindrance::Later(reason);
    match delivery.tries + 1 < hindrance.tries() {
        true => {
            Expansion::Later { reason: hindrance.reason(), next_try: now.after(wait_after(delivery.tries)) }
        }
        false => Expansion::Failed(hindrance.reason()),
    }
}
