//! `GITHUB_TOKEN`: each job gets a token of its own, made from the App, which may do what its workflow asks for and
//! no more, for its repository only, and which ends with the job.
//!
//! <https://docs.github.com/en/actions/concepts/security/github_token>

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use forge::github::app::tokens::TokenRequest;
use forge::github::client::{Client, ClientError};
use forge::github::questions;
use forge::repository::RepositoryName;
use model::token::ID_TOKEN;
use model::{Access, Job, Permissions, RepositoryId, Secret, Secrets, TokenTerms};
use store::Store;
use tokio_util::task::TaskTracker;
use tracing::warn;

/// Name of the secret.
const NAME: &str = "GITHUB_TOKEN";

/// Stands for a job's token in its plan, which is made before the token is. No secret that a person types has it.
const STAND_IN: &str = "\u{0}the token of the job\u{0}";

/// How long it is believed what an installation may do: who changes it at GitHub does not wait for long.
const BELIEVED: Duration = Duration::from_secs(5 * 60);

/// How long ending a token may take: after an hour it ends by itself.
const REVOKING: Duration = Duration::from_secs(10);

/// Makes tokens for jobs.
pub struct Tokens {
    /// Knows which installation of the App a repository belongs to.
    pub store: Arc<dyn Store>,
    /// The App; without one, jobs get no tokens.
    pub app: Option<Client>,
    /// Tokens that are being ended.
    pub ending: TaskTracker,
    /// What installations may do, as far as that was asked lately.
    pub installed: Installed,
}

/// What installations may do.
#[derive(Default)]
pub struct Installed(Mutex<BTreeMap<u64, Answer>>);

/// What one may do (`contents` → `read`), and when that was said.
type Answer = (Instant, BTreeMap<String, String>);

/// What became of a job's token.
pub struct JobToken {
    terms: TokenTerms,
    /// Ends it when the job is over, however that comes.
    held: Option<Held>,
}

struct Held {
    token: Secret,
    app: Client,
    ending: TaskTracker,
}

/// Puts the stand-in for the token, which no job has yet, among the secrets of a run.
pub(crate) fn stand_in(secrets: &mut Secrets) {
    secrets.insert(NAME.to_owned(), Secret(STAND_IN.to_owned()));
}

impl Tokens {
    /// Makes the token of a job of this repository (`owner/name`) that asks for this.
    ///
    /// # Errors
    /// GitHub can't be reached, or refuses: the job can't run as its workflow says.
    pub async fn mint(
        &self,
        repository: RepositoryId,
        name: &str,
        asked: &Permissions,
    ) -> Result<JobToken, String> {
        let Some(app) = &self.app else {
            let why = "the server speaks to GitHub without an App, and its own token is not for jobs";
            return Ok(JobToken::withheld(why));
        };
        let say = |error: ClientError| format!("there is no GITHUB_TOKEN for the job: {error}");
        let name: RepositoryName = name.parse().map_err(|error| format!("{error}"))?;
        // What can't be read is asked for.
        let known = self.store.repository(repository).await.ok().flatten().map(|known| known.facts);
        let (kept, id) = known.map_or((None, None), |facts| (facts.installation, facts.forge_id));
        let installation = match kept {
            Some(installation) => Some(installation),
            None => questions::installation(app, &name).await.map_err(say)?,
        };
        let Some(installation) = installation else {
            return Ok(JobToken::withheld(&format!("the GitHub App is not installed on {name}")));
        };
        let installed = self.installed.of(app, installation).await.map_err(say)?;
        let request = TokenRequest {
            installation,
            // By its number, where it is known: another one may have its name by now.
            repositories: if id.is_none() { vec![name.name().to_owned()] } else { Vec::new() },
            repository_ids: id.into_iter().collect(),
            permissions: Some(wanted(asked, &installed)),
        };
        let minted = app.mint(&request).await.map_err(say)?;
        Ok(JobToken {
            terms: TokenTerms::Given(minted.permissions),
            held: Some(Held { token: minted.token, app: app.clone(), ending: self.ending.clone() }),
        })
    }
}

impl Installed {
    async fn of(&self, app: &Client, id: u64) -> Result<BTreeMap<String, String>, ClientError> {
        let kept = |installed: &Installed| {
            installed.0.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
        };
        if let Some((_, permissions)) = kept(self).filter(|(asked, _)| asked.elapsed() < BELIEVED) {
            return Ok(permissions);
        }
        let permissions = questions::installed(app, id).await?;
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, (asked, _)| asked.elapsed() < BELIEVED);
        all.insert(id, (Instant::now(), permissions.clone()));
        Ok(permissions)
    }
}

impl JobToken {
    fn withheld(why: &str) -> JobToken {
        JobToken { terms: TokenTerms::Withheld(why.to_owned()), held: None }
    }

    /// What it may do, or why there is none.
    #[must_use]
    pub fn terms(&self) -> &TokenTerms {
        &self.terms
    }

    /// Puts the token, or that there is none, into its job.
    pub fn give(&self, job: &mut Job) {
        let token = self.held.as_ref().map_or("", |held| &held.token.0);
        for secret in job.secrets.values_mut() {
            secret.0 = secret.0.replace(STAND_IN, token);
        }
        // As on GitHub, a secret that is empty does not exist.
        job.secrets.retain(|_, secret| !secret.0.is_empty());
        if let Some(github) = job.contexts.github.as_object_mut() {
            github.insert("token".to_owned(), token.into());
        }
        job.token = self.terms.clone();
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let holder = self.app.holding(self.token.clone());
        self.ending.spawn_on(
            async move {
                match tokio::time::timeout(REVOKING, questions::revoke(&holder)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => warn!(%error, "a job's token lives on until its hour is over"),
                    Err(_) => warn!("a job's token lives on until its hour is over: GitHub does not answer"),
                }
            },
            &runtime,
        );
    }
}

/// What a token is asked to do: what its job asks for, cut down to what the App may do there, by GitHub's names.
fn wanted(asked: &Permissions, installed: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut wanted = BTreeMap::new();
    for (scope, access) in asked.iter().filter(|(scope, _)| *scope != ID_TOKEN) {
        let name = scope.replace('-', "_");
        let may = match installed.get(&name).map(String::as_str) {
            Some("read") => Access::Read,
            Some("write" | "admin") => Access::Write,
            _ => continue,
        };
        match *access.min(&may) {
            Access::None => {}
            access => drop(wanted.insert(name, access.as_str().to_owned())),
        }
    }
    // Every token reads it, and one that is asked to do nothing would be able to do everything.
    wanted.insert("metadata".to_owned(), Access::Read.as_str().to_owned());
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, access)| ((*name).to_owned(), (*access).to_owned())).collect()
    }

    #[test]
    fn a_token_may_do_what_its_job_asks_for_as_far_as_the_app_may() {
        let installed = map(&[
            ("contents", "write"),
            ("pull_requests", "read"),
            ("checks", "write"),
            ("metadata", "read"),
        ]);
        let asked = Permissions::from([
            ("contents".to_owned(), Access::Read),
            ("pull-requests".to_owned(), Access::Write),
            ("id-token".to_owned(), Access::Write),
            ("issues".to_owned(), Access::Write),
        ]);
        let expected = map(&[("contents", "read"), ("metadata", "read"), ("pull_requests", "read")]);
        assert_eq!(wanted(&asked, &installed), expected);
    }

    #[test]
    fn who_asks_for_nothing_gets_a_token_that_can_do_next_to_nothing() {
        let installed = map(&[("contents", "write"), ("metadata", "read")]);
        assert_eq!(wanted(&Permissions::new(), &installed), map(&[("metadata", "read")]));
    }
}
