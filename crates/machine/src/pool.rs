//! Warm machines: ready before anybody asks for them.
//!
//! A [`Pool`] keeps, for each [`Kind`] of machine, a number of machines ready. Where the
//! driver can, they are restored from one snapshot, taken of a machine that has just
//! started: its agent is ready, and there is no secret in it. A machine serves one lease
//! and is destroyed.
//!
//! ```text
//! make ── template (once: start, snapshot) ── restore ── canary ── ready ── leased ── gone
//!                                                   └ thrown away and counted
//! ```
//!
//! How many are kept ready is decided by [`stock`], between the bounds of the kind, from
//! what is asked for. Nothing here waits by the clock for a machine: a start is over when
//! the driver says so, and a ready machine that dies is heard of by the end of its stream.

mod kind;
mod stock;
mod template;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use model::MachineId;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

pub use kind::{Kind, KindStatus};

use crate::{Driver, Machine, MachineError, canary};
use kind::{Making, Shelf};
use template::Place;

/// Starts at once of all kinds together: each wants a processor and a disk.
const STARTS_AT_ONCE: usize = 4;
/// Failures in a row after which a kind is left alone until somebody asks for a machine of it.
const FAILURES_IN_A_ROW: u32 = 3;

/// Keeps machines ready. Clones share it.
#[derive(Clone)]
pub struct Pool {
    inner: Arc<Inner>,
}

struct Inner {
    driver: Arc<dyn Driver>,
    place: Place,
    shelves: BTreeMap<String, Mutex<Shelf>>,
    begun: Instant,
    starts: tokio::sync::Semaphore,
    closing: CancellationToken,
    tasks: TaskTracker,
}

/// Why no machine could be leased.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// There is no such kind.
    #[error("the pool has no kind of machine called {name:?}; it has {known}")]
    NoSuchKind {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// The pool is being closed.
    #[error("the pool is being closed and leases no machine any more")]
    Closing,
    /// None was ready and none could be made.
    #[error(transparent)]
    Machine(#[from] MachineError),
}

impl Pool {
    /// A pool of machines of this driver, which begins to fill at once. Snapshots of the pool lie
    /// in `data`; those that a killed pool left there are removed.
    ///
    /// The caller has let the driver reap. Must be called in a runtime.
    ///
    /// # Errors
    /// When `data` can't be written.
    pub fn open(driver: Arc<dyn Driver>, data: impl Into<PathBuf>, kinds: Vec<Kind>) -> io::Result<Pool> {
        let place = Place::take(data.into())?;
        let begun = Instant::now();
        let shelves =
            kinds.into_iter().map(|kind| (kind.name.clone(), Mutex::new(Shelf::new(kind)))).collect();
        let inner = Inner {
            driver,
            place,
            shelves,
            begun,
            starts: tokio::sync::Semaphore::new(STARTS_AT_ONCE),
            closing: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        let pool = Pool { inner: Arc::new(inner) };
        for name in pool.inner.shelves.keys() {
            pool.refill(name);
            pool.inner.tasks.spawn(pool.clone().review(name.clone()));
        }
        Ok(pool)
    }

    /// A machine of this kind: a ready one, or one that is made now. The caller destroys it.
    ///
    /// # Errors
    /// When there is no such kind, none can be made, or the pool closes meanwhile.
    pub async fn lease(&self, name: &str) -> Result<Machine, LeaseError> {
        let shelf = self.inner.shelves.get(name).ok_or_else(|| self.no_such_kind(name))?;
        if self.inner.closing.is_cancelled() {
            return Err(LeaseError::Closing);
        }
        let ready = lock(shelf).take();
        self.refill(name);
        if let Some(machine) = ready {
            return Ok(machine);
        }
        tokio::select! {
            made = self.make(name, shelf) => Ok(made?),
            () = self.inner.closing.cancelled() => Err(LeaseError::Closing),
        }
    }

    /// How each kind stands, by name.
    #[must_use]
    pub fn status(&self) -> Vec<KindStatus> {
        self.inner.shelves.values().map(|shelf| lock(shelf).status()).collect()
    }

    /// For each machine that was made ready since this was asked last: its kind, and how long it took from when it was
    /// missing, with the wait for those that are made before it. Of each kind the newest 4,096; for one reader.
    #[must_use]
    pub fn made(&self) -> Vec<(String, Duration)> {
        let shelves = self.inner.shelves.iter();
        shelves
            .flat_map(|(name, shelf)| lock(shelf).made().into_iter().map(|took| (name.clone(), took)))
            .collect()
    }

    /// Waits until as many machines of this kind are ready as shall be, or the kind is given up.
    pub async fn filled(&self, name: &str) {
        let Some(shelf) = self.inner.shelves.get(name) else { return };
        let changed = Arc::clone(&lock(shelf).changed);
        loop {
            let change = changed.notified();
            tokio::pin!(change);
            change.as_mut().enable();
            if lock(shelf).is_settled() {
                return;
            }
            change.await;
        }
    }

    /// Leases nothing any more, destroys all ready machines, and removes the pool's snapshots.
    /// Leased machines are their users' to destroy.
    pub async fn close(&self) {
        self.inner.closing.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
        for shelf in self.inner.shelves.values() {
            let ready = lock(shelf).clear();
            for machine in ready {
                // What does not go away is removed by the driver's next life.
                let _ = machine.destroy().await;
            }
        }
        self.inner.place.clear();
    }

    fn no_such_kind(&self, name: &str) -> LeaseError {
        let known: Vec<&str> = self.inner.shelves.keys().map(String::as_str).collect();
        LeaseError::NoSuchKind { name: name.to_owned(), known: known.join(", ") }
    }

    /// Starts what is missing of a kind.
    fn refill(&self, name: &str) {
        let Some(shelf) = self.inner.shelves.get(name) else { return };
        for _ in 0..lock(shelf).start(FAILURES_IN_A_ROW) {
            let (pool, name) = (self.clone(), name.to_owned());
            self.inner.tasks.spawn(async move { pool.add(&name).await });
        }
    }

    /// Makes one machine for the shelf, and looks after it until it is taken or dies.
    async fn add(&self, name: &str) {
        let Some(shelf) = self.inner.shelves.get(name) else { return };
        let begun = Instant::now();
        let made = tokio::select! {
            made = self.make(name, shelf) => made,
            () = self.inner.closing.cancelled() => {
                lock(shelf).gave_up();
                return;
            }
        };
        let (ready, given_up) = {
            let mut shelf = lock(shelf);
            let ready = shelf.put(made, begun.elapsed());
            (ready, shelf.given_up(FAILURES_IN_A_ROW))
        };
        if let Some(reason) = given_up {
            warn!(
                kind = name,
                reason,
                "no more machines are kept ready: {FAILURES_IN_A_ROW} in a row have failed; the next request for one tries again"
            );
        }
        if ready.is_none() {
            self.refill(name);
        }
        // Only now: between a failure and the next attempt the kind is not settled.
        lock(shelf).changed.notify_waiters();
        let Some((id, over)) = ready else { return };
        tokio::select! {
            () = over => {}
            () = self.inner.closing.cancelled() => return,
        }
        let dead = lock(shelf).remove_dead(&id);
        if let Some(machine) = dead {
            let _ = machine.destroy().await;
            self.refill(name);
        }
    }

    /// Makes one machine that has passed its canary.
    async fn make(&self, name: &str, shelf: &Mutex<Shelf>) -> Result<Machine, MachineError> {
        // The semaphore is never closed.
        let _turn = self.inner.starts.acquire().await;
        let making = lock(shelf).making();
        let made = self.inner.bring_up(name, &making).await;
        if made.is_err() {
            // It may be the template that is broken.
            making.template.forget(&self.inner.place).await;
        }
        made
    }

    /// Gives up machines that nobody needs, once a window.
    async fn review(self, name: String) {
        let Some(shelf) = self.inner.shelves.get(&name) else { return };
        loop {
            let next = self.inner.begun + lock(shelf).next_review();
            tokio::select! {
                () = tokio::time::sleep_until(next.into()) => {}
                () = self.inner.closing.cancelled() => return,
            }
            let surplus = lock(shelf).review(self.inner.now());
            for machine in surplus {
                let _ = machine.destroy().await;
            }
        }
    }
}

impl Inner {
    fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    async fn bring_up(&self, name: &str, making: &Making) -> Result<Machine, MachineError> {
        let mut spec = making.spec.clone();
        spec.id = MachineId(self.place.next_name());
        let machine = match making.template.get(&*self.driver, &self.place, name, &making.spec).await? {
            Some(snapshot) => self.driver.restore(&snapshot, spec).await?,
            None => self.driver.start(spec).await?,
        };
        canary::checked(machine, self.driver.name()).await
    }
}

fn lock(shelf: &Mutex<Shelf>) -> MutexGuard<'_, Shelf> {
    shelf.lock().unwrap_or_else(PoisonError::into_inner)
}
