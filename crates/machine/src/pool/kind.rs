//! One kind of machine: what it is like, and those that are ready.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use model::MachineId;
use tokio::sync::Notify;
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::stock::Stock;
use super::template::Template;
use crate::{Machine, MachineError, MachineSpec};

/// Times of machines made ready that are remembered until somebody asks: an hour of a busy pool's.
const REMEMBERED: usize = 4096;

/// Machines that are alike.
#[derive(Clone, Debug)]
pub struct Kind {
    /// What leases call it.
    pub name: String,
    /// What its machines are like; the id is not used.
    pub spec: MachineSpec,
    /// How many are always kept ready.
    pub min: usize,
    /// How many are kept ready at the most, however many are asked for.
    pub max: usize,
}

/// How a kind stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KindStatus {
    /// What it is called.
    pub name: String,
    /// What its machines are made of, as its spec says.
    pub image: Option<String>,
    /// Machines that are ready.
    pub ready: usize,
    /// Machines that are being made ready.
    pub starting: usize,
    /// How many shall be ready.
    pub wanted: usize,
    /// Leases so far.
    pub leases: u64,
    /// Leases that found no machine ready.
    pub misses: u64,
    /// Machines that could not be made or failed their canary.
    pub failures: u64,
    /// Machines that died while they were ready.
    pub deaths: u64,
    /// Why the last one that failed did.
    pub last_failure: Option<String>,
}

/// What it takes to make a machine of a kind.
#[derive(Clone)]
pub(super) struct Making {
    pub(super) spec: MachineSpec,
    pub(super) template: Arc<Template>,
}

/// The ready machines of one kind.
pub(super) struct Shelf {
    kind: Kind,
    template: Arc<Template>,
    stock: Stock,
    ready: Vec<Machine>,
    /// How long those took that were made ready since somebody asked, the newest last.
    made: VecDeque<Duration>,
    leases: u64,
    misses: u64,
    failures: u64,
    in_a_row: u32,
    deaths: u64,
    last_failure: Option<String>,
    /// Notified of each machine that is ready or has failed.
    pub(super) changed: Arc<Notify>,
}

impl Shelf {
    pub(super) fn new(kind: Kind) -> Shelf {
        Shelf {
            stock: Stock::new(kind.min, kind.max, Duration::ZERO),
            kind,
            template: Arc::default(),
            ready: Vec::new(),
            made: VecDeque::new(),
            leases: 0,
            misses: 0,
            failures: 0,
            in_a_row: 0,
            deaths: 0,
            last_failure: None,
            changed: Arc::default(),
        }
    }

    pub(super) fn making(&self) -> Making {
        Making { spec: self.kind.spec.clone(), template: Arc::clone(&self.template) }
    }

    /// How many machines are to be started now; none while each has failed of late.
    pub(super) fn start(&mut self, failures_in_a_row: u32) -> usize {
        if self.in_a_row >= failures_in_a_row { 0 } else { self.stock.start() }
    }

    /// Why the last machine has failed, if none is started after it by itself: asked after each.
    pub(super) fn given_up(&self, failures_in_a_row: u32) -> Option<String> {
        // Those that were being started meanwhile may still fail.
        if self.in_a_row == failures_in_a_row { self.last_failure.clone() } else { None }
    }

    /// A ready machine for a lease. The one made last is the one least likely to be swapped out.
    pub(super) fn take(&mut self) -> Option<Machine> {
        self.leases += 1;
        // Whoever asks wants to know whether it works again.
        self.in_a_row = 0;
        while let Some(machine) = self.ready.pop() {
            self.stock.taken();
            if !machine.guest.is_over() {
                return Some(machine);
            }
            // Dropping it ends what is left of it.
            self.deaths += 1;
        }
        self.misses += 1;
        self.stock.missed();
        None
    }

    /// Takes in what was made in so long. If it is a machine, its id, and what waits for its end without a part in its stream:
    /// whoever leases it is alone with it.
    pub(super) fn put(
        &mut self,
        made: Result<Machine, MachineError>,
        took: Duration,
    ) -> Option<(MachineId, WaitForCancellationFutureOwned)> {
        match made {
            Ok(machine) => {
                self.in_a_row = 0;
                self.stock.started();
                let watched = (machine.id.clone(), machine.guest.over());
                self.ready.push(machine);
                if self.made.len() == REMEMBERED {
                    self.made.pop_front();
                }
                self.made.push_back(took);
                Some(watched)
            }
            Err(error) => {
                self.stock.failed();
                self.failures += 1;
                self.in_a_row += 1;
                self.last_failure = Some(error.to_string());
                None
            }
        }
    }

    /// How long machines took that were made ready since this was asked last.
    pub(super) fn made(&mut self) -> VecDeque<Duration> {
        std::mem::take(&mut self.made)
    }

    /// A machine that was starting is not wanted any more.
    pub(super) fn gave_up(&mut self) {
        self.stock.failed();
    }

    /// Takes a machine away that has died, if nobody has leased it meanwhile.
    pub(super) fn remove_dead(&mut self, id: &MachineId) -> Option<Machine> {
        let at = self.ready.iter().position(|machine| machine.id == *id)?;
        self.stock.taken();
        self.deaths += 1;
        Some(self.ready.remove(at))
    }

    /// Machines that are too many. The oldest go.
    pub(super) fn review(&mut self, now: Duration) -> Vec<Machine> {
        let surplus = self.stock.review(now).min(self.ready.len());
        self.ready.drain(..surplus).collect()
    }

    pub(super) fn next_review(&self) -> Duration {
        self.stock.next_review()
    }

    /// Whether nothing more will be ready by itself.
    pub(super) fn is_settled(&self) -> bool {
        self.stock.starting() == 0
    }

    pub(super) fn clear(&mut self) -> Vec<Machine> {
        let ready = std::mem::take(&mut self.ready);
        ready.iter().for_each(|_| self.stock.taken());
        ready
    }

    pub(super) fn status(&self) -> KindStatus {
        KindStatus {
            name: self.kind.name.clone(),
            image: self.kind.spec.image.clone(),
            ready: self.stock.ready(),
            starting: self.stock.starting(),
            wanted: self.stock.target(),
            leases: self.leases,
            misses: self.misses,
            failures: self.failures,
            deaths: self.deaths,
            last_failure: self.last_failure.clone(),
        }
    }
}
