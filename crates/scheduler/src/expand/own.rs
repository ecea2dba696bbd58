//! The GitHub App that this server is: what it does itself starts nothing, or runs would follow runs for ever.
//!
//! Tokens of jobs are the App's. GitHub keeps workflows from starting by what `GITHUB_TOKEN` does in the same way:
//! <https://docs.github.com/en/actions/how-tos/write-workflows/choose-when-workflows-run/trigger-a-workflow>

use forge::github::client::{Client, ClientError};
use forge::github::event::is_of_app;
use forge::github::questions;
use serde_json::Value as Json;
use tokio::sync::OnceCell;

/// What the login of an App ends with.
const BOT: &str = "[bot]";

/// An App, with its name, which is asked for when it is needed first.
pub struct OwnApp {
    id: String,
    client: Option<Client>,
    slug: OnceCell<String>,
}

impl OwnApp {
    /// The App as which calls are made, if they are made as one.
    #[must_use]
    pub fn new(client: Client) -> Option<OwnApp> {
        let id = client.app()?.id().to_owned();
        Some(OwnApp { id, client: Some(client), slug: OnceCell::new() })
    }

    /// One whose name is known.
    #[must_use]
    pub fn named(id: &str, slug: &str) -> OwnApp {
        OwnApp { id: id.to_owned(), client: None, slug: OnceCell::from(slug.to_owned()) }
    }

    /// Whether an event is about a check of its own.
    pub(super) fn has_made(&self, payload: &Json) -> bool {
        is_of_app(payload, &self.id)
    }

    /// Whether it is who has done something.
    pub(super) async fn is(&self, login: &str) -> Result<bool, ClientError> {
        let Some(name) = login.strip_suffix(BOT) else { return Ok(false) };
        let slug = self.slug.get_or_try_init(|| self.ask()).await?;
        Ok(name == slug)
    }

    async fn ask(&self) -> Result<String, ClientError> {
        match &self.client {
            Some(client) => Ok(questions::app(client).await?.slug),
            None => Ok(String::new()),
        }
    }
}

/// Whether an event starts workflows also when the App has caused it.
pub(super) fn is_wished(event: &str) -> bool {
    matches!(event, "workflow_dispatch" | "repository_dispatch")
}
