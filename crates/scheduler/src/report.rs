//! Tells the forge how runs stand, and never stands in the way of running jobs.
//!
//! It hears of changes from the store, waits a moment for more of them, looks at how things stand then, and lets
//! [`forge::github::report`] send what GitHub has not been told. What was sent is kept, so that after a crash the rest is
//! sent, and nothing twice.

mod error;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use forge::github::client::Client;
use forge::github::report::{PullView, Sent, SentComment, send, send_comment};
use model::{RepositoryId, RunId};
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use store::log::LogFolder;
use store::query::RunFilter;
use store::record::{Repository, Run};
use store::{Change, Store};
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::recipe::run_of;

/// How long changes are gathered before they are told: a job of a second is told once it has ended, and people who
/// watch a check do not look more often.
const GATHER: Duration = Duration::from_millis(500);

/// Repositories that are told of at once.
const REPOSITORIES: usize = 8;

/// How long a server that is being stopped goes on telling what has changed last: a few calls' time, and nothing to whoever
/// waits for it to end.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// Runs that are looked at when the server starts, the newest: what an earlier life has not told of them is told.
const AT_START: usize = 200;

/// Runs of a pull request that its comment may show.
const RUNS_OF_PULL: usize = 100;

/// How long to leave a forge alone that did not take a report.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// After the first report that failed; it doubles.
    pub first: Duration,
    /// At most.
    pub longest: Duration,
}

impl Default for Patience {
    /// Calls are repeated by themselves within a minute or two; this is for what lasts longer, such as an hour's limit or
    /// a token that somebody must set anew.
    fn default() -> Patience {
        Patience { first: Duration::from_secs(5), longest: Duration::from_secs(10 * 60) }
    }
}

impl Patience {
    fn after(self, failures: u32) -> Duration {
        self.first.saturating_mul(2u32.saturating_pow(failures)).min(self.longest)
    }
}

/// Tells the forge.
pub struct Reporter {
    /// Where runs are.
    pub store: Arc<dyn Store>,
    /// Where their logs are.
    pub logs: Arc<LogFolder>,
    /// Speaks to the forge.
    pub client: Client,
    /// Where people reach this server, without a slash at its end.
    pub url: String,
    /// How failures are answered.
    pub patience: Patience,
}

/// What is to be told of one repository.
#[derive(Default)]
struct Line {
    runs: BTreeSet<RunId>,
    /// Not before then.
    due: Option<Instant>,
    /// How often it has failed in a row.
    failures: u32,
    busy: bool,
}

/// Repositories that are told of: which runs, and how that went.
type Telling = JoinSet<(RepositoryId, BTreeSet<RunId>, Result<(), String>)>;

impl Reporter {
    /// Works until `stop`, and then as long as [`LAST_WORDS`] at most. What is not told then, the next life tells.
    pub async fn run(self, stop: CancellationToken) {
        let this = Arc::new(self);
        let mut changes = this.store.subscribe();
        let mut lines: BTreeMap<RepositoryId, Line> = BTreeMap::new();
        let mut working = Telling::new();
        this.gather_all(&mut lines).await;
        loop {
            let next = this.begin_due(&mut lines, &mut working);
            tokio::select! {
                () = stop.cancelled() => break,
                changed = changes.recv() => match changed {
                    Ok(changes) => this.gather(&changes, &mut lines).await,
                    // Some were missed: whatever they were, looking at the newest runs finds it.
                    Err(RecvError::Lagged(_)) => this.gather_all(&mut lines).await,
                    Err(RecvError::Closed) => return,
                },
                Some(Ok((repository, runs, told))) = working.join_next() => {
                    this.ended(lines.entry(repository).or_default(), runs, told);
                }
                () = tokio::time::sleep_until(next) => {}
            }
        }
        while let Ok(changed) = changes.try_recv() {
            this.gather(&changed, &mut lines).await;
        }
        // What is left is in the store.
        let _ = tokio::time::timeout(LAST_WORDS, this.finish(lines, working)).await;
    }

    /// Tells what nobody has refused so far, without waiting for more.
    async fn finish(self: &Arc<Self>, mut lines: BTreeMap<RepositoryId, Line>, mut working: Telling) {
        loop {
            lines.values_mut().filter(|line| line.failures == 0).for_each(|line| line.due = None);
            self.begin_due(&mut lines, &mut working);
            match working.join_next().await {
                Some(Ok((repository, runs, told))) => {
                    self.ended(lines.entry(repository).or_default(), runs, told);
                }
                Some(Err(_)) => {}
                None => return,
            }
        }
    }

    /// Begins to tell what is due. Gives when the next is.
    fn begin_due(
        self: &Arc<Self>,
        lines: &mut BTreeMap<RepositoryId, Line>,
        working: &mut Telling,
    ) -> Instant {
        let now = Instant::now();
        lines.retain(|_, line| line.busy || !line.runs.is_empty());
        for (repository, line) in lines.iter_mut() {
            if line.busy || line.due.is_some_and(|due| due > now) || working.len() >= REPOSITORIES {
                continue;
            }
            let (this, repository, runs) = (Arc::clone(self), *repository, std::mem::take(&mut line.runs));
            line.busy = true;
            working.spawn(async move {
                let told = this.tell(repository, &runs).await;
                (repository, runs, told)
            });
        }
        let waiting = lines.values().filter(|line| !line.busy).filter_map(|line| line.due);
        waiting.min().unwrap_or(now + self.patience.longest)
    }

    fn ended(&self, line: &mut Line, runs: BTreeSet<RunId>, told: Result<(), String>) {
        line.busy = false;
        match told {
            Ok(()) => {
                line.failures = 0;
                line.due = (!line.runs.is_empty()).then(|| Instant::now() + GATHER);
            }
            Err(reason) => {
                let wait = self.patience.after(line.failures);
                let named = runs.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
                warn!(runs = named, reason, wait_s = wait.as_secs(), "a report has failed; trying again");
                line.failures += 1;
                line.runs.extend(runs);
                line.due = Some(Instant::now() + wait);
            }
        }
    }

    async fn gather_all(&self, lines: &mut BTreeMap<RepositoryId, Line>) {
        match self.store.runs(&RunFilter::default(), AT_START).await {
            Ok(runs) => runs.iter().for_each(|run| noticed(lines, run)),
            Err(error) => warn!(%error, "the newest runs can't be read, so nothing is reported of them"),
        }
    }

    async fn gather(&self, changes: &[Change], lines: &mut BTreeMap<RepositoryId, Line>) {
        let runs: BTreeSet<RunId> = changes.iter().filter_map(visible).collect();
        for run in runs {
            match self.store.run(run).await {
                Ok(Some(run)) => noticed(lines, &run),
                Ok(None) => {}
                Err(error) => warn!(%run, %error, "the run can't be read, so nothing is reported of it"),
            }
        }
    }

    /// Tells how these runs stand now.
    async fn tell(&self, repository: RepositoryId, runs: &BTreeSet<RunId>) -> Result<(), String> {
        let say = |error: &dyn std::fmt::Display| error.to_string();
        let known = self.store.repository(repository).await.map_err(|error| say(&error))?;
        let Some(known) = known else { return Ok(()) };
        let client = match known.facts.installation {
            Some(id) => self.client.installation(id),
            None => self.client.clone(),
        };
        let (mut failed, mut pulls) = (None, BTreeMap::new());
        for id in runs {
            let Some(run) = self.store.run(*id).await.map_err(|error| say(&error))? else { continue };
            if let Some(pull) = run.what.pull_request {
                pulls.insert(pull, run.what.head_sha.clone());
            }
            // One run that the forge does not take is in no other's way.
            if let Err(reason) = self.tell_run(&client, &known, &run).await {
                failed.get_or_insert(reason);
            }
        }
        for (pull, sha) in pulls {
            if let Err(reason) = self.tell_pull(&client, &known, pull, &sha).await {
                failed.get_or_insert(reason);
            }
        }
        failed.map_or(Ok(()), Err)
    }

    async fn tell_run(&self, client: &Client, repository: &Repository, run: &Run) -> Result<(), String> {
        let view = self.view(repository, run).await?;
        let before = self.store.reported(run.id).await.map_err(|error| error.to_string())?;
        let mut sent: Sent = read(before);
        let outcome = send(client, &view, &mut sent).await;
        let sent = serde_json::to_value(&sent).unwrap_or_default();
        let kept = self.store.apply(vec![Change::Reported { run: run.id, sent }]).await;
        outcome.map_err(|error| error.to_string())?;
        kept.map_err(|error| error.to_string())
    }

    /// The comment on a pull request: the latest run of each workflow for its last commit.
    async fn tell_pull(
        &self,
        client: &Client,
        repository: &Repository,
        number: u64,
        sha: &str,
    ) -> Result<(), String> {
        let filter =
            RunFilter { repository: Some(repository.id), pull_request: Some(number), ..RunFilter::default() };
        let runs = self.store.runs(&filter, RUNS_OF_PULL).await.map_err(|error| error.to_string())?;
        // The newest run says which commit is the last one; an older one that ends late must not take its place.
        if runs.first().is_some_and(|newest| newest.what.head_sha != sha) {
            return Ok(());
        }
        let mut latest: BTreeMap<(String, String), &Run> = BTreeMap::new();
        for run in runs.iter().filter(|run| run.what.head_sha == sha) {
            latest.entry((run.what.workflow_path.clone(), run.what.event.clone())).or_insert(run);
        }
        let mut views = Vec::new();
        for run in latest.into_values() {
            views.push(self.view(repository, run).await?);
        }
        let view = PullView {
            repository: repository.facts.full_name.parse().map_err(view::no_name)?,
            number,
            sha: sha.to_owned(),
            server: self.url.clone(),
            runs: views,
        };
        let key = format!("comment/{}/{number}", repository.id);
        let before = self.store.setting(&key).await.map_err(|error| error.to_string())?;
        let mut sent: SentComment = read(before);
        let outcome = send_comment(client, &view, &mut sent).await;
        let value = serde_json::to_value(&sent).unwrap_or_default();
        let kept = self.store.apply(vec![Change::Setting { key, value }]).await;
        outcome.map_err(|error| error.to_string())?;
        kept.map_err(|error| error.to_string())
    }
}

/// What was kept, or nothing where another version has written it.
fn read<T: DeserializeOwned + Default>(kept: Option<Json>) -> T {
    kept.and_then(|json| serde_json::from_value(json).ok()).unwrap_or_default()
}

fn noticed(lines: &mut BTreeMap<RepositoryId, Line>, run: &Run) {
    let line = lines.entry(run.what.repository).or_default();
    line.runs.insert(run.id);
    line.due.get_or_insert_with(|| Instant::now() + GATHER);
}

/// The run of which a change shows at the forge.
fn visible(change: &Change) -> Option<RunId> {
    match change {
        Change::RunCreated(run) => Some(run.id),
        Change::RunNamed { run, .. }
        | Change::RunQueued { run }
        | Change::RunStarted { run, .. }
        | Change::RunHeld { run, .. }
        | Change::RunResumed { run }
        | Change::RunCancelled { run, .. }
        | Change::RunEnded { run, .. }
        | Change::AttemptQueued { run, .. } => Some(*run),
        Change::JobCreated(job) => Some(job.run),
        Change::JobDelayed { job, .. }
        | Change::JobQueued { job, .. }
        | Change::JobLeasing { job, .. }
        | Change::JobStarted { job, .. }
        | Change::JobRequeued { job, .. }
        | Change::JobEnded { job, .. } => Some(run_of(*job)),
        _ => None,
    }
}
