//! The contract between a driver and those who use machines.

use std::any::Any;
use std::time::Duration;

use async_trait::async_trait;
use guest::client::Guest;
use model::MachineId;
use serde::{Deserialize, Serialize};

use crate::network::{Contacts, NetworkPolicy};
use crate::{Snapshot, SnapshotId};

/// Starts machines of one kind.
///
/// Methods may be called concurrently. `probe` may be called at any time; `reap` before
/// the first `start` of a process's life.
#[async_trait]
pub trait Driver: Send + Sync {
    /// The name people use (`sandbox`).
    fn name(&self) -> &'static str;

    /// What machines of this driver can do.
    fn capabilities(&self) -> Capabilities;

    /// Finds out, by a canary machine, whether the driver works here, and if not, why and what to do.
    async fn probe(&self) -> Probe;

    /// Refuses what no machine of this driver can be, as far as the spec alone tells: `start` would.
    fn check(&self, _spec: &MachineSpec) -> Result<(), MachineError> {
        Ok(())
    }

    /// Starts a machine. Cancellable at every await: what was begun is undone.
    /// An error leaves nothing behind.
    async fn start(&self, spec: MachineSpec) -> Result<Machine, MachineError>;

    /// Removes everything that an earlier, killed life of this driver left (idempotent). Says what it removed.
    async fn reap(&self) -> Result<Vec<String>, MachineError>;

    /// Freezes a machine as it is into a snapshot. The machine ends, whether that succeeds or not;
    /// who wants to go on in it restores the snapshot.
    async fn snapshot(&self, machine: Machine, _id: &SnapshotId) -> Result<Snapshot, MachineError> {
        Err(no_snapshots(machine.id, self.name(), "snapshotting"))
    }

    /// Starts a machine that goes on where the snapshot was taken, as often as wanted. What made the
    /// frozen machine unique is made anew before the machine is handed over: entropy, clock, host name,
    /// ids. Of `spec`, the id counts; image, sizes, network, and what of it may be reached are the snapshot's.
    async fn restore(&self, _snapshot: &Snapshot, spec: MachineSpec) -> Result<Machine, MachineError> {
        Err(no_snapshots(spec.id, self.name(), "restoring"))
    }

    /// All that a fresh machine of this spec depends on, but its id and what it may reach: image, sizes, versions,
    /// the host's life. Where two recipes are equal, a restored snapshot of the one machine serves as well as a
    /// start of the other.
    ///
    /// # Errors
    /// Where `start` refuses the spec, and where machines can't be snapshotted.
    async fn recipe(&self, spec: &MachineSpec) -> Result<String, MachineError> {
        Err(no_snapshots(spec.id.clone(), self.name(), "naming what it is made of"))
    }
}

fn no_snapshots(machine: MachineId, driver: &'static str, operation: &'static str) -> MachineError {
    let reason = "machines of this driver can't be snapshotted; use qemu or firecracker".to_owned();
    MachineError { machine, driver, operation, reason, source: None }
}

/// What machines of a driver can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// How strong the wall between the job and the host is.
    pub isolation: Isolation,
    /// Whether machines can be snapshotted and restored.
    pub snapshots: bool,
}

/// How strong the wall is; a stronger one is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Isolation {
    /// None.
    Host,
    /// The host's kernel, with namespaces around the job.
    Namespaces,
    /// A kernel of its own.
    VirtualMachine,
}

/// Whether a driver works on this host.
#[derive(Clone, Debug)]
pub struct Probe {
    /// It does.
    pub usable: bool,
    /// Findings, the bad ones with what to do.
    pub findings: Vec<Finding>,
}

/// One thing that a probe looked at.
#[derive(Clone, Debug)]
pub struct Finding {
    /// How it stands.
    pub level: FindingLevel,
    /// What was looked at (`user namespaces`).
    pub subject: String,
    /// What was found.
    pub detail: String,
    /// What to do, when something is to be done.
    pub remedy: Option<String>,
}

/// How a finding stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindingLevel {
    /// As it should be.
    Good,
    /// Works, but weaker or slower.
    Degraded,
    /// The driver can't work.
    Bad,
}

/// What machine is wanted.
#[derive(Clone, Debug)]
pub struct MachineSpec {
    /// Its id, given by the caller; also its host name.
    pub id: MachineId,
    /// Name or id of the image of a virtual machine; `None`: the one named `default`. Drivers
    /// whose machines show the host's system have none.
    pub image: Option<String>,
    /// Folders for the job, inside of the machine, as the machine should have them. `None`: the driver's choice.
    pub layout: Option<Layout>,
    /// Virtual CPUs; `None`: as many as the host has.
    pub vcpus: Option<u32>,
    /// Memory bound; `None`: the host's.
    pub memory_mib: Option<u64>,
    /// Bound of all that the machine may write; `None`: the host's disk.
    pub disk_mib: Option<u64>,
    /// Bound of the number of processes; `None`: the driver's default.
    pub processes: Option<u32>,
    /// What of the network it sees.
    pub network: Network,
    /// What it may reach on a network of its own; every other network has no policy but the default.
    pub policy: NetworkPolicy,
    /// Host folders that the machine sees read-only at the same path (toolchains).
    pub expose: Vec<std::path::PathBuf>,
}

impl MachineSpec {
    /// A machine as the driver makes it when nobody wishes anything.
    #[must_use]
    pub fn new(id: MachineId, network: Network) -> Self {
        Self {
            id,
            image: None,
            layout: None,
            vcpus: None,
            memory_mib: None,
            disk_mib: None,
            processes: None,
            network,
            policy: NetworkPolicy::default(),
            expose: Vec::new(),
        }
    }
}

/// What a machine sees of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// Its own loopback only.
    None,
    /// A network of its own, which reaches others as the user who started Hearth does, where the
    /// machine's [`NetworkPolicy`] lets it.
    User,
    /// The host's network.
    Host,
}

/// Where things are inside of a machine. Absolute paths.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// Home of the user that runs the job.
    pub home: String,
    /// Root of workspaces (`RUNNER_WORKSPACE`'s parent): `/home/runner/work`.
    pub work: String,
    /// `RUNNER_TEMP`.
    pub temp: String,
    /// `RUNNER_TOOL_CACHE`.
    pub tool_cache: String,
}

impl Layout {
    /// Folder of the files through which steps and runner talk (`GITHUB_OUTPUT` and its kin), in the
    /// temporary folder: many, small, and gone soon. A driver keeps it in memory where it can.
    #[must_use]
    pub fn command_files(&self) -> String {
        format!("{}/_runner_file_commands", self.temp.trim_end_matches('/'))
    }
}

/// A started machine. Dropping it destroys it, with every process in it.
pub struct Machine {
    /// Its id.
    pub id: MachineId,
    /// The way in.
    pub guest: Guest,
    /// Where things are in it.
    pub layout: Layout,
    /// What its driver is called.
    pub driver: &'static str,
    /// How strong its wall is.
    pub isolation: Isolation,
    /// What of the wall could not be built here (`no overlay: /usr is read-only`); shown to the user.
    pub notes: Vec<String>,
    /// How long each part of the start took.
    pub boot: Vec<(&'static str, Duration)>,
    /// What it has tried on a network of its own, so far; empty on every other.
    pub contacts: Contacts,
    /// Ends the machine when dropped; `destroy` waits for it.
    pub guard: Box<dyn MachineGuard>,
}

impl MachineSpec {
    /// Refuses a policy where nothing would enforce it.
    ///
    /// # Errors
    /// Why, and what to do.
    pub fn check_policy(&self) -> Result<(), &'static str> {
        if self.network != Network::User && self.policy != NetworkPolicy::default() {
            return Err(
                "a list of what may be reached needs a network of the machine's own; use a virtual machine with --network user",
            );
        }
        Ok(())
    }
}

/// Owns what stands behind a machine. Dropping it ends the machine without waiting.
#[async_trait]
pub trait MachineGuard: Any + Send + Sync {
    /// Ends the machine and waits until nothing of it is left.
    async fn destroy(self: Box<Self>) -> Result<(), MachineError>;

    /// Why the machine has ended by itself, if it has and the driver can tell: a kernel's panic, a
    /// killed VMM. For the user, when the agent was lost.
    async fn last_words(&mut self) -> Option<String> {
        None
    }

    /// Makes sure that what a snapshot of the machine is restored from is there, before [`Driver::snapshot`] ends
    /// the machine. It goes on as before.
    ///
    /// # Errors
    /// When a snapshot could not be restored.
    async fn check_restorable(&self) -> Result<(), MachineError> {
        Ok(())
    }
}

impl Machine {
    /// Ends the machine and waits until nothing of it is left.
    pub async fn destroy(self) -> Result<(), MachineError> {
        self.guard.destroy().await
    }
}

/// Why a machine could not be had or ended.
#[derive(Debug, thiserror::Error)]
#[error("machine {machine} ({driver}): {operation}: {reason}")]
pub struct MachineError {
    /// Which machine.
    pub machine: MachineId,
    /// Of which driver.
    pub driver: &'static str,
    /// What was being done.
    pub operation: &'static str,
    /// Why it failed, and what to do.
    pub reason: String,
    /// What stood behind it.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}
