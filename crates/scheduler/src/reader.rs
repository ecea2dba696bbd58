//! By what right git reads repositories.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use forge::git::MirrorError;
use forge::github::app::tokens::TokenRequest;
use forge::github::client::{Client, ClientError};
use forge::github::questions;
use forge::repository::RepositoryName;
use model::Secret;

/// How long it is believed where the App is installed: who installs it does not wait for long.
const BELIEVED: Duration = Duration::from_secs(5 * 60);

/// As whom git reads.
pub struct Reader {
    app: Option<Client>,
    /// For repositories that the App is not installed on.
    token: Option<Secret>,
    installations: Mutex<HashMap<RepositoryName, (Instant, Option<u64>)>>,
}

impl Reader {
    /// Reads as an App where it is installed, with a token elsewhere, and else as anybody.
    #[must_use]
    pub fn new(app: Option<Client>, token: Option<Secret>) -> Reader {
        Reader { app, token, installations: Mutex::default() }
    }

    /// What git is to show when it reads a repository.
    ///
    /// # Errors
    /// The App can't be asked now.
    pub(crate) async fn auth(&self, name: &RepositoryName) -> Result<Option<Secret>, MirrorError> {
        let Some(app) = &self.app else { return Ok(self.token.clone()) };
        let unreachable = |error: ClientError| MirrorError::Unreachable {
            repository: name.to_string(),
            cause: error.to_string(),
        };
        let Some(installation) = self.installation(app, name).await.map_err(unreachable)? else {
            return Ok(self.token.clone());
        };
        let request = TokenRequest {
            installation,
            repositories: vec![name.name().to_owned()],
            repository_ids: Vec::new(),
            permissions: Some(BTreeMap::from([("contents".to_owned(), "read".to_owned())])),
        };
        Ok(Some(app.token(&request).await.map_err(unreachable)?.token))
    }

    async fn installation(&self, app: &Client, name: &RepositoryName) -> Result<Option<u64>, ClientError> {
        let known = self.installations.lock().unwrap_or_else(PoisonError::into_inner).get(name).copied();
        if let Some((_, installation)) = known.filter(|(asked, _)| asked.elapsed() < BELIEVED) {
            return Ok(installation);
        }
        let installation = questions::installation(app, name).await?;
        let mut all = self.installations.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, (asked, _)| asked.elapsed() < BELIEVED);
        all.insert(name.clone(), (Instant::now(), installation));
        Ok(installation)
    }
}
