//! A driver for tests of everything above: no wall, an agent inside of this process, and knobs
//! for what goes wrong with real machines.

mod cut;
mod freeze;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use guest::agent::{Options, Scope, Script, serve_with};
use guest::client::Guest;
use model::MachineId;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::network::Contacts;
use crate::{
    Capabilities, Driver, Finding, FindingLevel, Isolation, Layout, Machine, MachineError, MachineGuard,
    MachineSpec, Network, Probe, Snapshot, SnapshotId,
};
use cut::CutStream;

const NAME: &str = "fake";

/// Bytes between both ends, as much as a Unix socket holds.
const STREAM_BYTES: usize = 256 * 1024;

/// Starts machines that are folders, and fail when told to. Clones share knobs and machines.
#[derive(Clone)]
pub struct FakeDriver {
    root: PathBuf,
    knobs: Arc<Knobs>,
}

/// What goes wrong.
#[derive(Default)]
struct Knobs {
    start_gate: Mutex<Option<Arc<Notify>>>,
    start_failure: Mutex<Option<String>>,
    cut_after: Mutex<Option<u64>>,
    script: Mutex<Option<Arc<dyn Script>>>,
    full_disk: Arc<AtomicBool>,
    streams: Mutex<CancellationToken>,
    agents: Mutex<CancellationToken>,
    silent: Mutex<CancellationToken>,
    freezable: AtomicBool,
    restore_failure: Mutex<Option<String>>,
    snapshot_failure: Mutex<Option<String>>,
    unrestorable: Mutex<Option<String>>,
    frozen: AtomicU64,
    started: AtomicUsize,
    alive: AtomicUsize,
    refuses_twins: AtomicBool,
    running: Arc<Mutex<HashSet<MachineId>>>,
}

impl FakeDriver {
    /// A driver whose machines have folders below `root`, which the caller removes.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), knobs: Arc::default() }
    }

    /// Makes machines that can be snapshotted: their folders are copied, their processes end.
    pub fn allow_snapshots(&self) {
        self.knobs.freezable.store(true, Ordering::Relaxed);
    }

    /// Refuses machines whose id another has that runs, as drivers of virtual machines do.
    pub fn refuse_twins(&self) {
        self.knobs.refuses_twins.store(true, Ordering::Relaxed);
    }

    /// Makes snapshots fail with this reason, after the machine has ended, or not any more.
    pub fn fail_snapshots(&self, reason: Option<&str>) {
        *lock(&self.knobs.snapshot_failure) = reason.map(str::to_owned);
    }

    /// Makes machines say with this reason that their snapshots could not be restored, or not any more.
    pub fn make_unrestorable(&self, reason: Option<&str>) {
        *lock(&self.knobs.unrestorable) = reason.map(str::to_owned);
    }

    /// Makes restores fail with this reason, or not any more.
    pub fn fail_restores(&self, reason: Option<&str>) {
        *lock(&self.knobs.restore_failure) = reason.map(str::to_owned);
    }

    /// Makes each start wait until the gate is notified once: a slow machine under the test's control.
    pub fn hold_starts(&self, gate: Arc<Notify>) {
        *lock(&self.knobs.start_gate) = Some(gate);
    }

    /// Makes starts fail with this reason.
    pub fn fail_starts(&self, reason: impl Into<String>) {
        *lock(&self.knobs.start_failure) = Some(reason.into());
    }

    /// Cuts the stream of machines that are started from now on after this many bytes from the agent.
    pub fn cut_streams_after(&self, bytes: u64) {
        *lock(&self.knobs.cut_after) = Some(bytes);
    }

    /// Cuts the streams of all machines that there are. Their agents end their processes.
    pub fn cut_streams(&self) {
        replace(&self.knobs.streams).cancel();
    }

    /// Kills the agents of all machines that there are, in the middle of what they do.
    pub fn kill_agents(&self) {
        replace(&self.knobs.agents).cancel();
    }

    /// Silences the agents of all machines that there are: their streams stay open, and nothing comes any more.
    pub fn silence_agents(&self) {
        replace(&self.knobs.silent).cancel();
    }

    /// Makes agents refuse to write, as on a full disk, or not any more. Processes are not concerned.
    pub fn set_disk_full(&self, full: bool) {
        self.knobs.full_disk.store(full, Ordering::Relaxed);
    }

    /// Plays the processes of machines that are started from now on, where the script wants to.
    pub fn play(&self, script: Arc<dyn Script>) {
        *lock(&self.knobs.script) = Some(script);
    }

    /// How many machines were asked for.
    #[must_use]
    pub fn started(&self) -> usize {
        self.knobs.started.load(Ordering::Relaxed)
    }

    /// How many machines have not been ended.
    #[must_use]
    pub fn alive(&self) -> usize {
        self.knobs.alive.load(Ordering::Relaxed)
    }

    async fn bring_up(&self, spec: &MachineSpec) -> Result<Machine, String> {
        self.knobs.started.fetch_add(1, Ordering::Relaxed);
        let place = self.take_place(&spec.id)?;
        let gate = lock(&self.knobs.start_gate).clone();
        if let Some(gate) = gate {
            gate.notified().await;
        }
        if let Some(reason) = lock(&self.knobs.start_failure).clone() {
            return Err(reason);
        }
        let layout = spec.layout.clone().unwrap_or_else(|| self.usual_layout(spec));
        for folder in [&layout.home, &layout.work, &layout.temp, &layout.tool_cache] {
            std::fs::create_dir_all(folder).map_err(|error| format!("{folder}: {error}"))?;
        }
        let (stream, guard) = self.start_agent(&spec.id, place);
        let guest = Guest::connect(stream).await.map_err(|error| error.to_string())?;
        Ok(Machine {
            id: spec.id.clone(),
            guest,
            layout,
            driver: NAME,
            isolation: Isolation::Host,
            notes: Vec::new(),
            boot: Vec::new(),
            contacts: Contacts::default(),
            guard: Box::new(guard),
        })
    }

    /// The place of a machine of this id, where twins are refused.
    fn take_place(&self, id: &MachineId) -> Result<Option<Place>, String> {
        if !self.knobs.refuses_twins.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let is_free = lock(&self.knobs.running).insert(id.clone());
        let place = || Place { id: id.clone(), running: Arc::clone(&self.knobs.running) };
        is_free.then(|| Some(place())).ok_or_else(|| format!("machine {id} runs already"))
    }

    fn usual_layout(&self, spec: &MachineSpec) -> Layout {
        let folder = |name: &str| self.root.join(&spec.id.0).join(name).to_string_lossy().into_owned();
        Layout {
            home: folder("home"),
            work: folder("work"),
            temp: folder("temp"),
            tool_cache: folder("tools"),
        }
    }

    fn start_agent(
        &self,
        id: &MachineId,
        place: Option<Place>,
    ) -> (CutStream<tokio::io::DuplexStream>, FakeGuard) {
        let (ours, theirs) = tokio::io::duplex(STREAM_BYTES);
        let mut options = Options::new(Scope::Library);
        options.full_disk = Some(Arc::clone(&self.knobs.full_disk));
        options.script = lock(&self.knobs.script).clone();
        let killed = lock(&self.knobs.agents).child_token();
        let agent = tokio::spawn(async move {
            tokio::select! {
                served = serve_with(theirs, options) => drop(served),
                () = killed.cancelled() => {}
            }
        });
        self.knobs.alive.fetch_add(1, Ordering::Relaxed);
        let cut = lock(&self.knobs.streams).child_token();
        let left = *lock(&self.knobs.cut_after);
        let (agent, knobs) = (AbortOnDropHandle::new(agent), Arc::clone(&self.knobs));
        let guard = FakeGuard { id: id.clone(), agent, knobs, _place: place };
        let silent = lock(&self.knobs.silent).child_token();
        (CutStream::new(ours, left, cut, silent), guard)
    }
}

#[async_trait]
impl Driver for FakeDriver {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        let snapshots = self.knobs.freezable.load(Ordering::Relaxed);
        Capabilities { isolation: Isolation::Host, snapshots }
    }

    async fn probe(&self) -> Probe {
        let failure = lock(&self.knobs.start_failure).clone();
        let finding = Finding {
            level: if failure.is_some() { FindingLevel::Bad } else { FindingLevel::Good },
            subject: "canary".to_owned(),
            detail: failure.clone().unwrap_or_else(|| "started".to_owned()),
            remedy: failure.as_ref().map(|_| "turn the knob back".to_owned()),
        };
        Probe { usable: failure.is_none(), findings: vec![finding] }
    }

    async fn start(&self, spec: MachineSpec) -> Result<Machine, MachineError> {
        self.bring_up(&spec).await.map_err(|reason| failed(spec.id, "starting", reason))
    }

    async fn reap(&self) -> Result<Vec<String>, MachineError> {
        Ok(Vec::new())
    }

    async fn snapshot(&self, machine: Machine, id: &SnapshotId) -> Result<Snapshot, MachineError> {
        let (name, layout) = (machine.id.clone(), machine.layout.clone());
        machine.destroy().await?;
        if let Some(reason) = lock(&self.knobs.snapshot_failure).clone() {
            return Err(failed(name, "snapshotting", reason));
        }
        let folder = Snapshot::all(&self.root).join(&id.0);
        if folder.exists() {
            return Err(failed(name, "snapshotting", format!("there is a snapshot {id} already")));
        }
        freeze::copy_tree(&self.root.join(&name.0), &folder)
            .map_err(|error| failed(name.clone(), "snapshotting", error.to_string()))?;
        let snapshot = Snapshot {
            id: id.clone(),
            driver: NAME.to_owned(),
            image: String::new(),
            vcpus: 1,
            memory_mib: 0,
            disk_mib: 0,
            layout,
            network: Network::Host,
            policy: crate::network::NetworkPolicy::default(),
            made_unix_ms: self.knobs.frozen.fetch_add(1, Ordering::Relaxed),
            version: "1".to_owned(),
            files: Default::default(),
            folder: folder.clone(),
        };
        freeze::describe(&snapshot).map_err(|error| failed(name, "snapshotting", error.to_string()))?;
        Ok(snapshot)
    }

    async fn restore(&self, snapshot: &Snapshot, spec: MachineSpec) -> Result<Machine, MachineError> {
        let id = spec.id.clone();
        if let Some(reason) = lock(&self.knobs.restore_failure).clone() {
            return Err(failed(id, "restoring", reason));
        }
        freeze::replace_tree(&snapshot.folder, &self.root.join(&id.0))
            .map_err(|error| failed(id.clone(), "restoring", error.to_string()))?;
        self.bring_up(&spec).await.map_err(|reason| failed(id, "restoring", reason))
    }

    async fn recipe(&self, spec: &MachineSpec) -> Result<String, MachineError> {
        let (id, policy) = (MachineId(String::new()), crate::network::NetworkPolicy::default());
        let spec = MachineSpec { id, policy, ..spec.clone() };
        Ok(format!("{NAME} {spec:?}"))
    }
}

fn failed(machine: MachineId, operation: &'static str, reason: String) -> MachineError {
    MachineError { machine, driver: NAME, operation, reason, source: None }
}

/// Owns the agent's task. Dropping it drops the agent, which kills its processes.
struct FakeGuard {
    id: MachineId,
    agent: AbortOnDropHandle<()>,
    knobs: Arc<Knobs>,
    _place: Option<Place>,
}

#[async_trait]
impl MachineGuard for FakeGuard {
    async fn destroy(mut self: Box<Self>) -> Result<(), MachineError> {
        self.agent.abort();
        let _ = (&mut self.agent).await;
        Ok(())
    }

    async fn check_restorable(&self) -> Result<(), MachineError> {
        let reason = lock(&self.knobs.unrestorable).clone();
        reason.map_or(Ok(()), |reason| Err(failed(self.id.clone(), "looking for its image", reason)))
    }
}

impl Drop for FakeGuard {
    fn drop(&mut self) {
        self.knobs.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What only one machine of an id has. Dropping it makes room for the next.
struct Place {
    id: MachineId,
    running: Arc<Mutex<HashSet<MachineId>>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.running).remove(&self.id);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes the token that present machines hang on, and leaves a new one to those to come.
fn replace(token: &Mutex<CancellationToken>) -> CancellationToken {
    std::mem::take(&mut *lock(token))
}
