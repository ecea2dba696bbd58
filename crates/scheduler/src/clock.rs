//! The clock of `schedule`: GitHub sends no webhook for it.
//!
//! Once a minute it looks whether the default branch of a repository has moved, reads the schedules of its workflow
//! files, and starts what is due. How far each schedule has come is kept before anything starts, so that a crash
//! starts nothing twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use forge::commit::CommitSpec;
use forge::git::MirrorError;
use model::{RepositoryId, Timestamp};
use serde_json::{Value as Json, json};
use store::record::Repository;
use store::{Change, Store, StoreError};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::cron::{Progress, Schedule};
use crate::dispatch::{Dispatcher, Wish};
use crate::origin::Origin;
use crate::workflows::FOLDER;

/// How often the clock is looked at: cron knows nothing shorter than a minute, and people set theirs to a second.
const LOOK_EVERY: Duration = Duration::from_secs(20);

/// Who scheduled runs are of, where nobody has caused them.
const ACTOR: &str = "hearth";

/// Starts scheduled workflows.
pub struct Clock {
    store: Arc<dyn Store>,
    origin: Arc<Origin>,
    dispatcher: Dispatcher,
    known: BTreeMap<RepositoryId, Known>,
}

/// What is known of a repository's schedules.
struct Known {
    /// The commit that they were read of.
    sha: String,
    entries: Vec<Entry>,
}

/// An expression, its time zone, and the moment that has come.
type Due = (String, Option<String>, Timestamp);

struct Entry {
    cron: String,
    timezone: Option<String>,
    schedule: Schedule,
    /// The setting that says how far it has come.
    key: String,
}

impl Clock {
    /// A clock that knows nothing yet.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, origin: Arc<Origin>, dispatcher: Dispatcher) -> Clock {
        Clock { store, origin, dispatcher, known: BTreeMap::new() }
    }

    /// Works until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut every = tokio::time::interval(LOOK_EVERY);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = every.tick() => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                looked = self.look(Timestamp::now()) => {
                    if let Err(error) = looked {
                        warn!(%error, "schedules can't be looked at; trying again");
                    }
                }
            }
        }
    }

    /// Starts what is due at `now`.
    ///
    /// # Errors
    /// The store fails.
    pub async fn look(&mut self, now: Timestamp) -> Result<(), StoreError> {
        for repository in self.store.repositories().await? {
            if let Err(error) = self.refresh(&repository).await {
                warn!(repository = repository.facts.full_name, %error, "its schedules can't be read");
                continue;
            }
            for (cron, timezone, due) in self.due(&repository, now).await? {
                info!(
                    repository = repository.facts.full_name,
                    cron,
                    timezone,
                    due = due.0,
                    "a schedule is due"
                );
                let wish = Wish::Schedule { cron: cron.clone(), timezone };
                if let Err(error) = self.dispatcher.dispatch(repository.id, ACTOR, &wish).await {
                    warn!(repository = repository.facts.full_name, cron, %error, "a schedule starts nothing");
                }
            }
        }
        Ok(())
    }

    /// Reads the schedules of the default branch, if it has moved. What has not been fetched yet has none, also while the
    /// first fetch is under way.
    async fn refresh(&mut self, repository: &Repository) -> Result<(), MirrorError> {
        let facts = &repository.facts;
        // The clock of one that another has taken the place of stands still.
        let mirror = match self.origin.mirrors.get(&facts.full_name) {
            Ok(Some(mirror)) => mirror,
            Ok(None) | Err(MirrorError::Name(_)) => {
                self.known.remove(&repository.id);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let sha = match mirror.resolve(&CommitSpec::Branch(facts.default_branch.clone())).await {
            Err(MirrorError::NoCommit { .. }) => {
                self.known.remove(&repository.id);
                return Ok(());
            }
            found => found?,
        };
        if self.known.get(&repository.id).is_some_and(|known| known.sha == sha) {
            return Ok(());
        }
        let mut entries = BTreeMap::new();
        for (path, bytes) in mirror.files(&sha, FOLDER).await? {
            for (cron, timezone) in schedules(&path, &bytes) {
                let key =
                    format!("schedule/{}/{cron}/{}", repository.id, timezone.as_deref().unwrap_or_default());
                // The linter says what is wrong with an expression; here it starts nothing.
                if let Ok(schedule) = Schedule::new(&cron, timezone.as_deref()) {
                    entries.entry(key.clone()).or_insert(Entry { cron, timezone, schedule, key });
                }
            }
        }
        self.known.insert(repository.id, Known { sha, entries: entries.into_values().collect() });
        Ok(())
    }

    /// Expressions that are due, with their time zones, each once, and since when.
    async fn due(&self, repository: &Repository, now: Timestamp) -> Result<BTreeSet<Due>, StoreError> {
        let mut due = BTreeSet::new();
        let entries = self.known.get(&repository.id).map(|known| known.entries.as_slice());
        for entry in entries.unwrap_or_default() {
            let kept = self.store.setting(&entry.key).await?;
            let before = kept.as_ref().and_then(read).unwrap_or_else(|| Progress::from(now));
            let tick = entry.schedule.tick(before, now);
            if kept.is_none() || tick.fires.is_some() || tick.progress.seen < before.seen {
                let value = json!({"seen": tick.progress.seen, "fired": tick.progress.fired});
                self.store.apply(vec![Change::Setting { key: entry.key.clone(), value }]).await?;
            }
            due.extend(tick.fires.map(|at| (entry.cron.clone(), entry.timezone.clone(), at)));
        }
        Ok(due)
    }
}

fn read(kept: &Json) -> Option<Progress> {
    let seen = Timestamp(kept["seen"].as_u64()?);
    Some(Progress { seen, fired: kept["fired"].as_u64().map(Timestamp) })
}

/// The schedules of a workflow file: expression and time zone. A file that can't be read has none.
fn schedules(path: &str, bytes: &[u8]) -> Vec<(String, Option<String>)> {
    let Ok(text) = workflow::schema::decode(path, bytes) else { return Vec::new() };
    let (workflow, _) = workflow::schema::read_workflow(path, text, &Default::default());
    let triggers = workflow.into_iter().flat_map(|workflow| workflow.on);
    let entries = triggers.flat_map(|trigger| trigger.schedule);
    entries.map(|entry| (entry.cron.value, entry.timezone.map(|zone| zone.value))).collect()
}
