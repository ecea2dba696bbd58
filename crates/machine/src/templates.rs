//! Machines that need not boot: each goes on from a snapshot of a machine that was fresh.
//!
//! [`Templates`] stands before a driver and is one itself. The first machine of a kind is started
//! only to be frozen, before any job or secret is near; it and all that are alike are restored from
//! there. Such a snapshot, a template, is kept in the data folder for later commands, under a name
//! made of all that it depends on ([`Driver::recipe`]): what differs in any of it has another name.
//!
//! ```text
//! start ──▶ template there? ──yes──▶ restore ──▶ machine
//!              │ no                     └─fails──▶ template removed ─┐
//!              ▼                                                     ▼
//!           make it ──fails, or another process is at it──▶ started as without templates
//! ```

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use model::MachineId;
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

use crate::lock_file;
use crate::network::NetworkPolicy;
use crate::own_name::own_name;
use crate::{Capabilities, Driver, Machine, MachineError, MachineSpec, Probe, Snapshot, SnapshotId, canary};

/// Templates that are kept in a data folder, the newest: one for each image and size that somebody goes
/// back and forth between. Each takes what of its memory a guest has touched when it is up, some 120 MiB.
const KEPT: usize = 4;
/// What begins their names.
pub(crate) const PREFIX: &str = "template-";
/// What ends the names of their locks.
const LOCK: &str = ".lock";
/// Hexadecimal digits of a recipe's hash in a name: no two recipes have the same.
const DIGITS: usize = 32;

/// A driver whose machines are restored from templates.
pub struct Templates {
    driver: Arc<dyn Driver>,
    data: PathBuf,
    /// Held while a template is made: one is enough for all who wait.
    making: Mutex<()>,
    /// Templates have failed here: from then on, this process starts machines without.
    given_up: AtomicBool,
}

/// What there is to start from.
enum Found {
    /// This snapshot.
    Template(Snapshot),
    /// This snapshot, which was made just now.
    New(Snapshot, Duration),
    /// Nothing yet: another process is making it.
    Elsewhere,
}

/// The right to make a template, among all processes. Dropped, its file is gone.
struct Turn {
    path: PathBuf,
    _lock: File,
}

impl Turn {
    /// `None`: another process has it.
    fn take(path: PathBuf) -> io::Result<Option<Turn>> {
        Ok(lock_file::take(&path)?.map(|lock| Turn { path, _lock: lock }))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Before the lock is let go: who takes it afterwards sees that its file is not there any more.
        let _ = fs::remove_file(&self.path);
    }
}

/// Why there is no template.
enum NoTemplate {
    /// No machine can be started, with or without.
    Driver(MachineError),
    /// A machine was started, and could not be frozen or kept.
    Keeping(String),
}

impl Templates {
    /// Machines of this driver, restored from templates in its data folder. The driver can snapshot.
    pub fn new(driver: Arc<dyn Driver>, data: impl Into<PathBuf>) -> Self {
        Self { driver, data: data.into(), making: Mutex::new(()), given_up: AtomicBool::new(false) }
    }

    /// The template of this name, made if there is none.
    async fn template(&self, id: &SnapshotId, spec: &MachineSpec) -> Result<Found, NoTemplate> {
        let _turn = self.making.lock().await;
        if let Ok(template) = Snapshot::open(&self.data, id) {
            return Ok(Found::Template(template));
        }
        let all = Snapshot::all(&self.data);
        let path = all.join(format!("{id}{LOCK}"));
        let turn = fs::create_dir_all(&all).and_then(|()| Turn::take(path));
        let turn =
            turn.map_err(|error| NoTemplate::Keeping(format!("locking in {}: {error}", all.display())))?;
        let Some(_turn) = turn else { return Ok(Found::Elsewhere) };
        // Another process may have made it before it was our turn.
        match Snapshot::open(&self.data, id) {
            Ok(template) => Ok(Found::Template(template)),
            Err(_) => self.make(id, spec).await,
        }
    }

    /// Starts a machine and freezes it.
    async fn make(&self, id: &SnapshotId, spec: &MachineSpec) -> Result<Found, NoTemplate> {
        let begin = Instant::now();
        let keeping = |error: &dyn std::fmt::Display| NoTemplate::Keeping(error.to_string());
        // One that can't be read is in the way.
        Snapshot::remove(&self.data, id).map_err(|error| keeping(&error))?;
        let fresh = MachineId(own_name("template"));
        let fresh = MachineSpec { id: fresh, policy: NetworkPolicy::default(), ..spec.clone() };
        let machine = self.driver.start(fresh).await.map_err(NoTemplate::Driver)?;
        // What it takes to run a program is then in the memory that all machines share.
        let machine = canary::checked(machine, self.driver.name()).await.map_err(NoTemplate::Driver)?;
        let template = self.driver.snapshot(machine, id).await.map_err(|error| keeping(&error))?;
        self.prune();
        Ok(Found::New(template, begin.elapsed()))
    }

    /// Removes the templates that are too many. Machines that run from them are not concerned.
    fn prune(&self) {
        let mut templates = Snapshot::list(&self.data).unwrap_or_default();
        templates.retain(|snapshot| snapshot.id.0.starts_with(PREFIX));
        templates.sort_by_key(|snapshot| std::cmp::Reverse(snapshot.made_unix_ms));
        for surplus in templates.iter().skip(KEPT) {
            // What stays is removed when the next one is made.
            let _ = Snapshot::remove(&self.data, &surplus.id);
        }
    }

    /// Removes the locks of processes that were killed as they made a template.
    fn sweep(&self) {
        for entry in fs::read_dir(Snapshot::all(&self.data)).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(PREFIX) && name.ends_with(LOCK) {
                // What can't be locked is alive; one that can is removed at once.
                let _ = Turn::take(entry.path());
            }
        }
    }

    /// Starts a machine as the driver does, and says why it had to boot.
    async fn without(&self, spec: MachineSpec, why: Option<String>) -> Result<Machine, MachineError> {
        if why.is_some() {
            self.given_up.store(true, Ordering::Relaxed);
        }
        let mut machine = self.driver.start(spec).await?;
        machine.notes.extend(why);
        Ok(machine)
    }
}

/// The name of the template of a recipe.
fn name(recipe: &str) -> SnapshotId {
    let digest = Sha256::digest(recipe.as_bytes());
    let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    SnapshotId(format!("{PREFIX}{}", &digits[..DIGITS]))
}

#[async_trait]
impl Driver for Templates {
    fn name(&self) -> &'static str {
        self.driver.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.driver.capabilities()
    }

    async fn probe(&self) -> Probe {
        self.driver.probe().await
    }

    fn check(&self, spec: &MachineSpec) -> Result<(), MachineError> {
        self.driver.check(spec)
    }

    async fn start(&self, spec: MachineSpec) -> Result<Machine, MachineError> {
        if self.given_up.load(Ordering::Relaxed) {
            return self.driver.start(spec).await;
        }
        let id = name(&self.driver.recipe(&spec).await?);
        let (template, made) = match self.template(&id, &spec).await {
            Ok(Found::Template(template)) => (template, None),
            Ok(Found::New(template, took)) => (template, Some(took)),
            Ok(Found::Elsewhere) => return self.without(spec, None).await,
            Err(NoTemplate::Driver(error)) => return Err(MachineError { machine: spec.id, ..error }),
            Err(NoTemplate::Keeping(reason)) => {
                let why = format!("it was booted: no snapshot to start machines from can be made: {reason}");
                return self.without(spec, Some(why)).await;
            }
        };
        // No job was in it that may reach no more than it did: each machine has a list of its own.
        let template = Snapshot { policy: spec.policy.clone(), ..template };
        match self.driver.restore(&template, spec.clone()).await {
            Ok(mut machine) => {
                machine.notes.extend(made.map(|took| {
                    let seconds = took.as_secs_f64();
                    format!(
                        "a snapshot of a fresh machine was made in {seconds:.1} s; machines like it start from there now \
                         (--cold-boot boots each)"
                    )
                }));
                Ok(machine)
            }
            Err(error) => {
                // It may be of no use to anybody; another is soon made.
                let _ = Snapshot::remove(&self.data, &id);
                let why = format!(
                    "it was booted: the snapshot to start from is of no use and was removed: {error}"
                );
                self.without(spec, Some(why)).await
            }
        }
    }

    async fn reap(&self) -> Result<Vec<String>, MachineError> {
        self.sweep();
        self.driver.reap().await
    }

    async fn snapshot(&self, machine: Machine, id: &SnapshotId) -> Result<Snapshot, MachineError> {
        self.driver.snapshot(machine, id).await
    }

    async fn restore(&self, snapshot: &Snapshot, spec: MachineSpec) -> Result<Machine, MachineError> {
        self.driver.restore(snapshot, spec).await
    }

    async fn recipe(&self, spec: &MachineSpec) -> Result<String, MachineError> {
        self.driver.recipe(spec).await
    }
}
