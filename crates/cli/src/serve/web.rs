//! What a server answers over HTTP.

use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use machine::{Driver, FindingLevel};
use server::auth::{Auth, AuthConfig};
use server::health::Check;
use server::pages::{self, Pages};
use server::webhook::WebhookConfig;
use server::{Server, discovery};
use store::log::LogFolder;
use tokio_util::sync::CancellationToken;

use super::control::EngineControl;
use super::house::{House, machines_ready};
use super::premises::ServerPremises;
use super::settings::Settings;
use crate::config::Config;

impl House {
    /// All that is served, until `stop`.
    pub(super) fn router(
        &self,
        settings: Settings,
        config: &Config,
        url: &str,
        stop: &CancellationToken,
    ) -> Router {
        let control = Arc::new(EngineControl {
            engine: self.engine.clone(),
            dispatcher: self.dispatcher.clone(),
            news: Arc::clone(&self.news),
            results: Arc::clone(&self.workshop.results),
            data: self.data.clone(),
        });
        let auth = AuthConfig {
            anonymous_read: config.serve.anonymous_read,
            secure_cookies: url.starts_with("https://"),
        };
        let auth = Auth::new(Arc::clone(&self.store), auth);
        let auth = Arc::new(match settings.people {
            Some(people) => auth.with_people(people),
            None => auth,
        });
        let premises = Arc::new(ServerPremises {
            profiles: self.profiles.clone(),
            pools: machines_ready(&self.workshop),
            data: self.data.clone(),
            address: settings.url.clone(),
        });
        let pages = Pages::new(pages::Parts {
            store: Arc::clone(&self.store),
            logs: LogFolder::clone(&self.logs),
            control: control.clone(),
            auth: Arc::clone(&auth),
            seal: Arc::clone(&self.key),
            proxies: settings.senders.proxies.clone(),
            premises: premises.clone(),
            stop: stop.clone(),
        });
        let server = Server::new(server::Parts {
            store: Arc::clone(&self.store),
            control,
            webhook: WebhookConfig {
                allowed: settings.senders.allowed,
                rate: settings.senders.rate,
                ..WebhookConfig::new(settings.webhook_secrets)
            },
            auth,
            proxies: settings.senders.proxies,
            premises,
            checks: self.checks(),
            metrics: self.metrics.clone(),
            logs: LogFolder::clone(&self.logs),
            files: self.data.root().to_owned(),
            seal: Arc::clone(&self.key),
            stop: self.stop.clone(),
            machines: self.beside.as_ref().map(|beside| beside.machines.clone()),
        });
        server.router().merge(pages.router()).merge(discovery::router(&self.workshop.issuer))
    }

    /// What must work so that the server is ready: drivers, their images, and the disk.
    fn checks(&self) -> Vec<Arc<dyn Check>> {
        let beside = self.beside.iter().map(|beside| &beside.driver);
        let beside = beside.filter(|one| self.drivers.iter().all(|driver| driver.name() != one.name()));
        let drivers = self.drivers.iter().chain(beside).map(|driver| {
            let name = format!("driver {}", driver.name());
            Arc::new(DriverCheck { name, driver: Arc::clone(driver) }) as Arc<dyn Check>
        });
        let images = self.images.iter().map(|image| Arc::new(image.clone()) as Arc<dyn Check>);
        drivers.chain(images).chain([Arc::new(self.disk.clone()) as Arc<dyn Check>]).collect()
    }
}

/// Whether machines can be had, found out by making one.
struct DriverCheck {
    name: String,
    driver: Arc<dyn Driver>,
}

#[async_trait]
impl Check for DriverCheck {
    fn name(&self) -> &str {
        &self.name
    }

    async fn check(&self) -> Result<(), String> {
        let probe = self.driver.probe().await;
        let bad = probe.findings.iter().find(|finding| finding.level == FindingLevel::Bad);
        match bad.filter(|_| !probe.usable) {
            Some(finding) => Err(format!("{}: {}", finding.subject, finding.detail)),
            None if probe.usable => Ok(()),
            None => Err("it does not work here; `hearth doctor` says more".to_owned()),
        }
    }
}
