//! Machines for jobs, one of them started before anybody asks for it.
//!
//! Machines of a command differ in what they may reach, and mostly not even in that. So a spare one
//! can start while Hearth still reads the repository, and beside a job while others wait. It serves
//! one job like any other.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use machine::network::NetworkPolicy;
use machine::{Driver, Machine, MachineError, MachineSpec};
use model::MachineId;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

/// A machine that starts ahead of its job, and what it may reach.
struct Spare {
    policy: NetworkPolicy,
    starting: JoinHandle<Result<Machine, MachineError>>,
}

/// Starts machines, and ends them.
pub(crate) struct Supply {
    driver: Arc<dyn Driver>,
    /// What each machine is like, but for its id and what it may reach.
    spec: MachineSpec,
    /// Begins the ids: no other command on this data folder has it.
    prefix: String,
    started: AtomicU64,
    /// Jobs that have not asked yet, and will.
    expected: AtomicUsize,
    spare: Mutex<Option<Spare>>,
    ending: TaskTracker,
}

impl Supply {
    /// Machines of this driver that are all like `spec`, whose id and policy are not used.
    pub(crate) fn new(driver: Arc<dyn Driver>, spec: MachineSpec) -> Arc<Supply> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Arc::new(Supply {
            driver,
            spec,
            prefix: format!("hearth-{:x}-{:x}", since.as_micros(), std::process::id()),
            started: AtomicU64::new(0),
            expected: AtomicUsize::new(0),
            spare: Mutex::new(None),
            ending: TaskTracker::new(),
        })
    }

    /// Where the machines come from.
    pub(crate) fn driver(&self) -> &dyn Driver {
        &*self.driver
    }

    /// Says how many jobs wait for their turn: while there are any, a spare machine starts ahead of them.
    pub(crate) fn expect(&self, jobs: usize) {
        self.expected.store(jobs, Ordering::Relaxed);
    }

    /// Starts a spare machine that may reach this, unless there is one.
    pub(crate) fn prepare(self: &Arc<Self>, policy: &NetworkPolicy) {
        let mut spare = self.spare();
        if spare.is_none() {
            let (this, wanted) = (Arc::clone(self), policy.clone());
            let starting = tokio::spawn(async move { this.start(&wanted).await });
            *spare = Some(Spare { policy: policy.clone(), starting });
        }
    }

    /// A machine that may reach this: the spare one, where it is such a one, or another.
    pub(crate) async fn take(self: &Arc<Self>, policy: &NetworkPolicy) -> Result<Machine, MachineError> {
        let spare = self.spare().take_if(|spare| spare.policy == *policy);
        if self.expected.load(Ordering::Relaxed) > 0 {
            self.prepare(policy);
        }
        match spare {
            Some(spare) => match spare.starting.await {
                Ok(started) => started,
                // It was not this job's fault that the task failed; its own may not.
                Err(_) => self.start(policy).await,
            },
            None => self.start(policy).await,
        }
    }

    /// Ends a machine, not waiting for it; `failed` hears why it does not go away.
    pub(crate) fn give_back(&self, machine: Machine, failed: impl FnOnce(MachineError) + Send + 'static) {
        self.ending.spawn(async move {
            if let Err(error) = machine.destroy().await {
                failed(error);
            }
        });
    }

    /// Waits until all machines that were given back are gone.
    pub(crate) async fn settle(&self) {
        self.ending.close();
        self.ending.wait().await;
        self.ending.reopen();
    }

    /// Ends the spare machine, and waits until all machines are gone.
    pub(crate) async fn close(&self) {
        let spare = self.spare().take();
        if let Some(Ok(Ok(machine))) = match spare {
            Some(spare) => Some(spare.starting.await),
            None => None,
        } {
            self.give_back(machine, drop);
        }
        self.settle().await;
    }

    async fn start(&self, policy: &NetworkPolicy) -> Result<Machine, MachineError> {
        let (id, policy) = (self.next_id(), policy.clone());
        self.driver.start(MachineSpec { id, policy, ..self.spec.clone() }).await
    }

    /// An id that no other machine has.
    pub(crate) fn next_id(&self) -> MachineId {
        let number = self.started.fetch_add(1, Ordering::Relaxed) + 1;
        MachineId(format!("{}-{number}", self.prefix))
    }

    fn spare(&self) -> MutexGuard<'_, Option<Spare>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
