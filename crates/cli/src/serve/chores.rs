//! What goes on in a server beside its jobs, each as a task that ends with it.

use std::sync::Arc;

use anyhow::Result;
use scheduler::chain::Chain;
use scheduler::clock::Clock;
use scheduler::intake::{self, Intake};
use scheduler::report::{Patience, Reporter};
use server::metrics::watch;
use server::traces::{Collector, tell};
use tracing::warn;

use super::house::{Ground, House};
use super::ranges::GithubRanges;
use super::retention::Forgetter;
use super::{memory, missed};

impl House {
    /// Begins all of it.
    pub(super) async fn begin_chores(&self, ground: &Ground<'_>) -> Result<()> {
        self.keep_house(ground).await?;
        self.take_in(ground);
        self.tell_the_forge(ground);
        let Ground { metrics, .. } = ground;
        if let Some(collector) = Collector::named(|name| std::env::var(name).ok())? {
            let telling = tell(collector, Arc::clone(&self.store), (*metrics).clone(), self.stop.clone());
            self.tasks.spawn(telling);
        }
        self.tasks.spawn(watch((*metrics).clone(), Arc::clone(&self.store), self.stop.clone()));
        Ok(())
    }

    /// Forgets what is old, gives memory back, looks at the disk, and knows who may send webhooks.
    async fn keep_house(&self, ground: &Ground<'_>) -> Result<()> {
        let forgetter = Forgetter {
            keep: ground.config.serve.retention,
            store: Arc::clone(&self.store),
            logs: Arc::clone(&self.logs),
            results: Arc::clone(&self.workshop.results),
            mirrors: self.workshop.origin.mirrors.clone(),
            data: self.data.clone(),
            metrics: self.metrics.clone(),
        };
        let settings = ground.settings;
        if let Some(own) = &settings.senders.beside_github {
            let (api, allowed) = (settings.addresses.api(), settings.senders.allowed.clone());
            let ranges = GithubRanges::open(&api, self.data.root(), own.clone(), allowed).await?;
            self.tasks.spawn(ranges.run(self.stop.clone()));
        }
        self.tasks.spawn(forgetter.run(self.stop.clone()));
        self.tasks.spawn(memory::give_back(self.stop.clone()));
        self.tasks.spawn(self.disk.clone().watch(self.engine.clone(), self.stop.clone()));
        Ok(())
    }

    /// Makes runs of deliveries, of runs that others follow, and of schedules.
    fn take_in(&self, ground: &Ground<'_>) {
        let origin = &self.workshop.origin;
        let intake = Intake {
            store: Arc::clone(&self.store),
            expander: Arc::clone(&self.dispatcher.expander),
            engine: self.engine.clone(),
            news: Arc::clone(&self.news),
            patience: intake::PATIENCE,
        };
        self.tasks.spawn(intake.run(self.stop.clone()));
        let chain = Chain {
            store: Arc::clone(&self.store),
            origin: Arc::clone(origin),
            news: Arc::clone(&self.news),
            url: ground.url.to_owned(),
        };
        self.tasks.spawn(chain.run(self.stop.clone()));
        let clock = Clock::new(Arc::clone(&self.store), Arc::clone(origin), self.dispatcher.clone());
        self.tasks.spawn(clock.run(self.stop.clone()));
    }

    /// Reports runs, and asks for webhooks that were missed.
    fn tell_the_forge(&self, ground: &Ground<'_>) {
        let Some(client) = &ground.client else {
            warn!("no GITHUB_TOKEN and no App: results are shown on the pages here, and nothing is reported");
            return;
        };
        let (store, address) = (Arc::clone(&self.store), ground.settings.url.clone());
        let missed = missed::reconciler(store, client.clone(), address, ground.metrics);
        self.tasks.spawn(missed.run(self.stop.clone()));
        let reporter = Reporter {
            store: Arc::clone(&self.store),
            logs: Arc::clone(&self.logs),
            client: client.clone(),
            url: ground.url.to_owned(),
            patience: Patience::default(),
        };
        self.tasks.spawn(reporter.run(self.stop.clone()));
    }
}
