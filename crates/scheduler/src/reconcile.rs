//! Asks the forge for webhooks that nobody took, while the server was down or could not be reached: GitHub never sends
//! one a second time by itself.
//!
//! ```text
//! webhooks ─► attempts since the last look ─► never taken, not known here, not tried too often ─► sent again
//! ```
//!
//! What is sent again arrives as a webhook like any other, signed, and with the id that it had: the store keeps it once,
//! and it runs once. How far each webhook was looked at is kept, so that the next life goes on from there.
//!
//! <https://docs.github.com/en/webhooks/using-webhooks/handling-failed-webhook-deliveries>

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use forge::github::client::{Client, ClientError};
use forge::github::deliveries::{self, Holder, Hook};
use forge::repository::RepositoryName;
use model::{RepositoryId, Timestamp};
use serde_json::json;
use store::record::Repository;
use store::{Change, Store, StoreError};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// How long after its start the server looks for the first time: proxies have seen by then that it is there again.
const FIRST: Duration = Duration::from_secs(5);

/// How long from one look to the next. With a token it is a call for each webhook, of 5000 that GitHub grants an hour.
const EVERY: Duration = Duration::from_secs(10 * 60);

/// How far behind the last look it begins: what failed again is tried again, and attempts are listed some time after they
/// were made.
const OVERLAP: Duration = Duration::from_secs(60 * 60);

/// How long GitHub remembers what it sent.
/// <https://docs.github.com/en/webhooks/testing-and-troubleshooting-webhooks/viewing-webhook-deliveries>
const REMEMBERED: Duration = Duration::from_secs(3 * 24 * 60 * 60);

/// Webhooks that are sent again in one look: more would make a crowd of a server that has just come up. The rest follows.
const SENT_AGAIN: usize = 200;

/// Repositories whose webhooks are looked at in one look. If there are more, they take turns.
const REPOSITORIES: usize = 100;

/// How long a list of webhooks is taken for true, an empty one too.
const HOOKS_ARE_FRESH: Duration = Duration::from_secs(6 * 60 * 60);

/// Where this server takes webhooks.
const PATHS: [&str; 2] = ["/webhook", "/webhooks/github"];

/// What came of a look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Webhooks that nobody had taken and that were sent again.
    pub sent_again: u64,
    /// Those that GitHub would not send again.
    pub refused: u64,
    /// Those that are left for the next look.
    pub left: u64,
    /// Lists that could not be had.
    pub failed: u64,
    /// How long GitHub wants to be left alone, if it said so; nothing more was asked then.
    pub limited: Option<Duration>,
}

/// Hears of each look.
pub type Told = Arc<dyn Fn(&Look) + Send + Sync>;

/// Asks for webhooks that were missed.
pub struct Reconciler {
    store: Arc<dyn Store>,
    client: Client,
    url: Option<String>,
    told: Told,
    hooks: BTreeMap<String, Hooks>,
    /// The last repository that had its turn.
    after: RepositoryId,
}

/// The webhooks of a repository or an organisation that lead here.
struct Hooks {
    read_at: Timestamp,
    numbers: Vec<u64>,
}

impl Reconciler {
    /// `url` is where GitHub reaches this server, without a slash at its end: webhooks that lead
    /// elsewhere are nobody's business here. An App has one webhook, which needs no address to be known.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, client: Client, url: Option<String>, told: Told) -> Reconciler {
        Reconciler { store, client, url, told, hooks: BTreeMap::new(), after: RepositoryId(0) }
    }

    /// Works until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        if self.client.app().is_none() && self.url.is_none() {
            info!(
                "webhooks that were missed are not asked for: the configuration has no serve.url to know them by"
            );
            return;
        }
        let mut wait = FIRST;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
            let looked = tokio::select! {
                () = stop.cancelled() => return,
                looked = self.look(Timestamp::now()) => looked,
            };
            wait = EVERY;
            match looked {
                Ok(look) => {
                    (self.told)(&look);
                    wait = wait.max(look.limited.unwrap_or_default());
                }
                Err(error) => warn!(%error, "webhooks that were missed can't be looked for; trying again"),
            }
        }
    }

    /// Looks for what was missed, and has it sent again.
    ///
    /// # Errors
    /// The store fails.
    pub async fn look(&mut self, now: Timestamp) -> Result<Look, StoreError> {
        let mut look = Look::default();
        let hooks = match self.client.app() {
            Some(_) => vec![("app".to_owned(), Hook::App)],
            None => self.own_hooks(now, &mut look).await?,
        };
        for (key, hook) in hooks {
            if look.limited.is_some() {
                break;
            }
            let key = format!("deliveries/{key}");
            self.look_at(&key, &hook, now, &mut look).await?;
        }
        if look != Look::default() {
            info!(
                sent_again = look.sent_again,
                refused = look.refused,
                left = look.left,
                failed = look.failed,
                "looked for webhooks that were missed"
            );
        }
        Ok(look)
    }

    async fn look_at(
        &self,
        key: &str,
        hook: &Hook,
        now: Timestamp,
        look: &mut Look,
    ) -> Result<(), StoreError> {
        let kept = self.store.setting(key).await?.and_then(|kept| kept.as_u64()).map(Timestamp);
        // What came before the first life is not this server's.
        let Some(kept) = kept else { return self.looked(key, now).await };
        let from = kept.before(OVERLAP).max(now.before(REMEMBERED));
        let attempts = match deliveries::since(&self.client, hook, from.0 / 1000).await {
            Ok(attempts) => attempts,
            Err(error) => {
                failed(look, &error);
                return Ok(());
            }
        };
        let failures = attempts.iter().filter(|attempt| !attempt.was_taken());
        let known =
            self.store.known_deliveries(failures.map(|failure| failure.guid.clone()).collect()).await?;
        let mut missed = deliveries::missed(&attempts, |guid| known.contains(guid)).into_iter();
        while look.sent_again + look.refused < SENT_AGAIN as u64 {
            let Some(id) = missed.next() else { return self.looked(key, now).await };
            match deliveries::redeliver(&self.client, hook, id).await {
                Ok(()) => look.sent_again += 1,
                Err(error) if matches!(error, ClientError::Refused { .. }) => {
                    warn!(%error, "a webhook that was missed is not sent again");
                    look.refused += 1;
                }
                Err(error) => {
                    look.left += 1;
                    failed(look, &error);
                    break;
                }
            }
        }
        // The next look begins where this one did.
        look.left += missed.len() as u64;
        Ok(())
    }

    async fn looked(&self, key: &str, now: Timestamp) -> Result<(), StoreError> {
        self.store.apply(vec![Change::Setting { key: key.to_owned(), value: json!(now.0) }]).await
    }

    /// The webhooks of repositories and their organisations that lead here, by what their progress is kept under.
    async fn own_hooks(
        &mut self,
        now: Timestamp,
        look: &mut Look,
    ) -> Result<Vec<(String, Hook)>, StoreError> {
        let (mut found, mut owners) = (Vec::new(), BTreeSet::new());
        for repository in self.whose_turn().await? {
            let Ok(name) = repository.facts.full_name.parse::<RepositoryName>() else { continue };
            let owner = name.owner().to_ascii_lowercase();
            let own = (repository.id.to_string(), Holder::Repository(name));
            let others = owners.insert(owner.clone());
            // Whether it is one, the answer says: a person has no webhooks there.
            let others = others.then(|| (format!("organisation/{owner}"), Holder::Organisation(owner)));
            for (key, holder) in others.into_iter().chain([own]) {
                self.refresh(&key, &holder, now, look).await;
                if look.limited.is_some() {
                    return Ok(found);
                }
                let numbers = self.hooks.get(&key).map(|hooks| hooks.numbers.as_slice()).unwrap_or_default();
                found.extend(
                    numbers.iter().map(|hook| {
                        (format!("{key}/{hook}"), Hook::Of { holder: holder.clone(), hook: *hook })
                    }),
                );
            }
            self.after = repository.id;
        }
        Ok(found)
    }

    /// Asks which webhooks there are, unless that was asked lately.
    async fn refresh(&mut self, key: &str, holder: &Holder, now: Timestamp, look: &mut Look) {
        if self.hooks.get(key).is_some_and(|hooks| now.since(hooks.read_at) < HOOKS_ARE_FRESH) {
            return;
        }
        match self.numbers(holder).await {
            Ok(numbers) => drop(self.hooks.insert(key.to_owned(), Hooks { read_at: now, numbers })),
            Err(error) => failed(look, &error),
        }
    }

    async fn whose_turn(&self) -> Result<Vec<Repository>, StoreError> {
        let mut all = self.store.repositories().await?;
        all.sort_by_key(|repository| repository.id);
        let turn = all.partition_point(|repository| repository.id <= self.after);
        all.rotate_left(turn);
        all.truncate(REPOSITORIES);
        Ok(all)
    }

    /// The numbers of the webhooks that lead here: none, where the token may not see them.
    async fn numbers(&self, holder: &Holder) -> Result<Vec<u64>, ClientError> {
        match deliveries::hooks(&self.client, holder).await {
            Ok(hooks) => {
                Ok(hooks.into_iter().filter(|hook| self.leads_here(&hook.url)).map(|hook| hook.id).collect())
            }
            // The usual case of a token that may do no more than it must.
            Err(error) if matches!(error.status(), Some(403 | 404)) => {
                info!(%error, "webhooks that were missed are not asked for");
                Ok(Vec::new())
            }
            Err(error) => Err(error),
        }
    }

    fn leads_here(&self, url: &str) -> bool {
        let path = self.url.as_deref().and_then(|own| url.trim_end_matches('/').strip_prefix(own));
        path.is_some_and(|path| PATHS.contains(&path))
    }
}

fn failed(look: &mut Look, error: &ClientError) {
    warn!(%error, "webhooks that were missed can't be asked for; trying again later");
    look.failed += 1;
    look.limited = look.limited.max(error.wait());
}
