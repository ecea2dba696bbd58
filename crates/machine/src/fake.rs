//! A driver for tests of everything above: no wall, an agent inside of this process, and knobs
//! for what goes wrong with real machines.

mod cut;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use guest::agent::{Options, Scope, Script, serve_with};
use guest::client::Guest;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::{
    Capabilities, Driver, Finding, FindingLevel, Isolation, Layout, Machine, MachineError, MachineGuard,
    MachineSpec, Probe,
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
    started: AtomicUsize,
    alive: Arc<AtomicUsize>,
}

impl FakeDriver {
    /// A driver whose machines have folders below `root`, which the caller removes.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), knobs: Arc::default() }
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
        let (stream, guard) = self.start_agent();
        let guest = Guest::connect(stream).await.map_err(|error| error.to_string())?;
        Ok(Machine {
            id: spec.id.clone(),
            guest,
            layout,
            driver: NAME,
            isolation: Isolation::Host,
            notes: Vec::new(),
            boot: Vec::new(),
            guard: Box::new(guard),
        })
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

    fn start_agent(&self) -> (CutStream<tokio::io::DuplexStream>, FakeGuard) {
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
        let guard = FakeGuard { agent: AbortOnDropHandle::new(agent), alive: Arc::clone(&self.knobs.alive) };
        (CutStream::new(ours, left, cut), guard)
    }
}

#[async_trait]
impl Driver for FakeDriver {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { isolation: Isolation::Host, snapshots: false }
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
        let started = self.bring_up(&spec).await;
        started.map_err(|reason| MachineError {
            machine: spec.id,
            driver: NAME,
            operation: "starting",
            reason,
            source: None,
        })
    }

    async fn reap(&self) -> Result<Vec<String>, MachineError> {
        Ok(Vec::new())
    }
}

/// Owns the agent's task. Dropping it drops the agent, which kills its processes.
struct FakeGuard {
    agent: AbortOnDropHandle<()>,
    alive: Arc<AtomicUsize>,
}

#[async_trait]
impl MachineGuard for FakeGuard {
    async fn destroy(mut self: Box<Self>) -> Result<(), MachineError> {
        self.agent.abort();
        let _ = (&mut self.agent).await;
        Ok(())
    }
}

impl Drop for FakeGuard {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes the token that present machines hang on, and leaves a new one to those to come.
fn replace(token: &Mutex<CancellationToken>) -> CancellationToken {
    std::mem::take(&mut *lock(token))
}
