//! Which machines there are, whose they are, and who is in them.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use guest::client::Info;
use machine::{Machine, Snapshot};
use tokio::sync::{OwnedRwLockReadGuard, RwLock};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::error::ApiError;
use super::limits::{Reached, Tier, admit_machine, admit_session};
use super::log::{Log, unix_ms};
use super::wire::{self, BootPart, SnapshotView, Status};

/// Why a session in a machine ends early.
pub(crate) const ENDING: &str = "the machine is being deleted, or the server shut down";

/// All machines of the API.
#[derive(Default)]
pub(crate) struct Registry(Mutex<Table>);

#[derive(Default)]
struct Table {
    vms: BTreeMap<String, Arc<Vm>>,
    sessions: HashMap<String, usize>,
    closed: bool,
}

/// Why a machine is not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotAdded {
    /// A limit is reached.
    Limit(Reached),
    /// The server ends.
    Closed,
}

/// One machine.
pub(crate) struct Vm {
    pub(crate) id: String,
    pub(crate) owner: String,
    pub(crate) name: Option<String>,
    pub(crate) vm_type: String,
    pub(crate) log: Log,
    /// Sessions hold it for reading; who starts, freezes, or ends the machine, for writing.
    pub(crate) up: Arc<RwLock<Option<Up>>>,
    /// Cancelled when the machine is to end: sessions then let go of it.
    pub(crate) ended: CancellationToken,
    pub(crate) snapshots: Mutex<Vec<Kept>>,
    created_unix_ms: u64,
    sessions: AtomicUsize,
    used: Mutex<Instant>,
    facts: Mutex<Facts>,
}

/// A machine that runs, and what its agent says of it.
pub(crate) struct Up {
    pub(crate) machine: Machine,
    pub(crate) info: Info,
}

/// A snapshot, and what its owner calls it.
#[derive(Clone)]
pub(crate) struct Kept {
    pub(crate) snapshot: Snapshot,
    pub(crate) view: SnapshotView,
}

/// What is shown of a machine, also while somebody has it for writing.
struct Facts {
    status: Status,
    error: Option<String>,
    boot: Vec<BootPart>,
    notes: Vec<String>,
}

impl Registry {
    /// Takes a machine in that is about to be started, if its owner may have one more.
    pub(crate) fn add(&self, vm: Arc<Vm>, tier: Tier, all_limit: usize) -> Result<(), NotAdded> {
        let mut table = self.table();
        if table.closed {
            return Err(NotAdded::Closed);
        }
        let own = table.vms.values().filter(|other| other.owner == vm.owner).count();
        admit_machine(tier, all_limit, own, table.vms.len()).map_err(NotAdded::Limit)?;
        table.vms.insert(vm.id.clone(), vm);
        Ok(())
    }

    /// A machine, if it is `owner`'s.
    pub(crate) fn find(&self, owner: &str, id: &str) -> Option<Arc<Vm>> {
        self.table().vms.get(id).filter(|vm| vm.owner == owner).cloned()
    }

    /// The machines of `owner`.
    pub(crate) fn of(&self, owner: &str) -> Vec<Arc<Vm>> {
        self.table().vms.values().filter(|vm| vm.owner == owner).cloned().collect()
    }

    /// How many machines there are.
    pub(crate) fn len(&self) -> usize {
        self.table().vms.len()
    }

    /// Sessions of `owner`.
    pub(crate) fn sessions(&self, owner: &str) -> usize {
        self.table().sessions.get(owner).copied().unwrap_or(0)
    }

    /// Forgets a machine that is gone.
    pub(crate) fn remove(&self, id: &str) {
        self.table().vms.remove(id);
    }

    /// Takes nothing in any more. What there is.
    pub(crate) fn close(&self) -> Vec<Arc<Vm>> {
        let mut table = self.table();
        table.closed = true;
        table.vms.values().cloned().collect()
    }

    /// Begins a session, if `owner` may have one more. It ends when it is dropped.
    pub(crate) fn begin_session(self: &Arc<Self>, owner: &str, tier: Tier) -> Result<Session, Reached> {
        let mut table = self.table();
        let own = table.sessions.entry(owner.to_owned()).or_default();
        admit_session(tier, *own)?;
        *own += 1;
        Ok(Session { registry: Arc::clone(self), owner: owner.to_owned() })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place among its owner's sessions, given back when it is dropped.
pub(crate) struct Session {
    registry: Arc<Registry>,
    owner: String,
}

impl Drop for Session {
    fn drop(&mut self) {
        let mut table = self.registry.table();
        if let Some(own) = table.sessions.get_mut(&self.owner) {
            *own -= 1;
            if *own == 0 {
                table.sessions.remove(&self.owner);
            }
        }
    }
}

impl Vm {
    /// One that is about to be started.
    pub(crate) fn new(
        id: String,
        owner: String,
        name: Option<String>,
        vm_type: String,
        ended: CancellationToken,
    ) -> Self {
        Vm {
            id,
            owner,
            name,
            vm_type,
            log: Log::default(),
            up: Arc::default(),
            ended,
            snapshots: Mutex::default(),
            created_unix_ms: unix_ms(),
            sessions: AtomicUsize::new(0),
            used: Mutex::new(Instant::now()),
            facts: Mutex::new(Facts {
                status: Status::Starting,
                error: None,
                boot: Vec::new(),
                notes: Vec::new(),
            }),
        }
    }

    /// How it stands, and why it failed if it has.
    pub(crate) fn status(&self) -> (Status, Option<String>) {
        let facts = self.facts();
        (facts.status, facts.error.clone())
    }

    /// For how long nobody has used it; `None` while somebody does.
    pub(crate) fn unused_for(&self) -> Option<Duration> {
        let used = *self.used.lock().unwrap_or_else(PoisonError::into_inner);
        (self.sessions.load(Ordering::Relaxed) == 0).then(|| used.elapsed())
    }

    /// A session begins.
    pub(super) fn enter(&self) {
        self.sessions.fetch_add(1, Ordering::Relaxed);
    }

    /// A session ends.
    pub(super) fn leave(&self) {
        self.touch();
        self.sessions.fetch_sub(1, Ordering::Relaxed);
    }

    /// It is used.
    fn touch(&self) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// It stands otherwise now.
    pub(crate) fn set_status(&self, status: Status) {
        self.touch();
        let mut facts = self.facts();
        facts.status = status;
        facts.error = None;
    }

    /// It is gone.
    pub(crate) fn set_failed(&self, error: String) {
        self.log.say(format!("failed: {error}"));
        let mut facts = self.facts();
        facts.status = Status::Failed;
        facts.error = Some(error);
    }

    /// It runs.
    pub(crate) fn set_running(&self, machine: &Machine) {
        self.touch();
        let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let part = |(part, took): &(&'static str, Duration)| BootPart {
            part: (*part).to_owned(),
            micros: micros(*took),
        };
        let mut facts = self.facts();
        facts.status = Status::Running;
        facts.error = None;
        facts.boot = machine.boot.iter().map(part).collect();
        facts.notes = machine.notes.clone();
    }

    /// As callers see it.
    pub(crate) fn view(&self) -> wire::Vm {
        let facts = self.facts();
        wire::Vm {
            id: self.id.clone(),
            name: self.name.clone(),
            vm_type: self.vm_type.clone(),
            status: facts.status,
            error: facts.error.clone(),
            created_unix_ms: self.created_unix_ms,
            sessions: self.sessions.load(Ordering::Relaxed),
            boot: facts.boot.clone(),
            notes: facts.notes.clone(),
        }
    }

    /// Its snapshots.
    pub(crate) fn snapshots(&self) -> MutexGuard<'_, Vec<Kept>> {
        self.snapshots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session in a machine that runs. The machine is neither frozen nor ended while it lasts, but its
/// holder lets go when [`Visit::over`] says so.
pub(crate) struct Visit {
    pub(crate) vm: Arc<Vm>,
    up: OwnedRwLockReadGuard<Option<Up>, Up>,
    _session: Session,
}

impl Visit {
    /// Waits until the machine is up. `Err`: it is not, and why.
    pub(crate) async fn begin(vm: Arc<Vm>, session: Session) -> Result<Visit, String> {
        let up = tokio::select! {
            biased;
            () = vm.ended.cancelled() => return Err(ENDING.to_owned()),
            up = Arc::clone(&vm.up).read_owned() => up,
        };
        let gone = |_| vm.status().1.unwrap_or_else(|| "it is not running".to_owned());
        let up = OwnedRwLockReadGuard::try_map(up, Option::as_ref).map_err(gone)?;
        vm.enter();
        Ok(Visit { vm, up, _session: session })
    }

    /// The machine.
    pub(crate) fn machine(&self) -> &Machine {
        &self.up.machine
    }

    /// What its agent says of it.
    pub(crate) fn info(&self) -> &Info {
        &self.up.info
    }

    /// Does something in the machine, unless the session has to end before: a machine that never answers must
    /// not keep itself from its end.
    pub(crate) async fn while_open<T>(
        &self,
        work: impl Future<Output = Result<T, ApiError>>,
    ) -> Result<T, ApiError> {
        tokio::select! {
            done = work => done,
            over = self.over() => Err(ApiError::conflict(over)),
        }
    }

    /// Waits until the session has to end. Why it has to.
    pub(crate) async fn over(&self) -> &'static str {
        self.vm.ended.cancelled().await;
        ENDING
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.vm.leave();
    }
}
