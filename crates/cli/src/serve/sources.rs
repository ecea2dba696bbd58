//! Where repositories, actions, and what jobs check out come from.

use std::sync::Arc;

use anyhow::{Context, Result};
use forge::git::Mirrors;
use forge::github::client::Client;
use runner::action_store::{ActionStoreConfig, GitActionStore, MirrorTemplate, MirrorTemplateError};
use runner::source::RemoteRepositories;
use scheduler::origin::Origin;
use scheduler::reader::Reader;
use server::metrics::Metrics;
use tracing::warn;

use super::numbers;
use super::settings::Settings;
use crate::config::Config;
use crate::data::DataFolder;

/// All of it.
pub(super) struct Sources {
    /// Repositories whose workflows run here.
    pub(super) origin: Arc<Origin>,
    /// Actions, and workflows of other repositories.
    pub(super) actions: Arc<GitActionStore>,
    /// Other repositories that jobs check out.
    pub(super) remotes: Arc<RemoteRepositories>,
}

impl Sources {
    /// Opens what of it lies in the data folder. Where the App is installed, repositories are read as it.
    pub(super) fn open(
        config: &Config,
        settings: &Settings,
        data: &DataFolder,
        app: Option<Client>,
        metrics: &Metrics,
    ) -> Result<Sources> {
        let mirrors = Mirrors::open(data.root().join("mirrors"))?;
        let origin = Origin {
            addresses: settings.addresses.clone(),
            elsewhere: settings.clone_from.clone(),
            mirrors: mirrors.observed(numbers::of_fetches(metrics)),
            reader: Reader::new(app, settings.token.clone()),
        };
        Ok(Sources {
            origin: Arc::new(origin),
            actions: Arc::new(open_actions(config, data)?),
            remotes: Arc::new(open_remotes(config, data)?),
        })
    }
}

pub(super) fn mirrors(config: &Config) -> Result<Vec<MirrorTemplate>> {
    let templates = config.actions_mirrors.iter().map(|template| template.parse());
    Ok(templates.collect::<Result<_, MirrorTemplateError>>()?)
}

fn open_actions(config: &Config, data: &DataFolder) -> Result<GitActionStore> {
    let folder = data.root().join("actions");
    let actions = ActionStoreConfig {
        mirrors: mirrors(config)?,
        warn: Arc::new(|note| warn!("{note}")),
        ..ActionStoreConfig::new(&folder)
    };
    GitActionStore::open(actions)
        .with_context(|| format!("can't open the cache of actions {}", folder.display()))
}

fn open_remotes(config: &Config, data: &DataFolder) -> Result<RemoteRepositories> {
    let folder = data.root().join("checkouts");
    RemoteRepositories::open(&folder, mirrors(config)?, false)
        .with_context(|| format!("can't use the folder for checkouts {}", folder.display()))
}
