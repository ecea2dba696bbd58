//! A host machine's life: its folder, its agent, and the end of both.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use async_trait::async_trait;
use guest::agent::MACHINE_VARIABLE;
use model::MachineId;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Failure;
use crate::processes::{Life, kill_marked, wait_for_end};
use crate::{MachineError, MachineGuard};

/// In a machine's folder: which life of Hearth it belongs to. Other drivers' folders have none.
const OWNER: &str = "host-owner.json";

/// How long an agent has to end its processes and itself.
const END_DEADLINE: Duration = Duration::from_secs(15);

/// How long processes that outlived their agent have to be gone.
const KILL_DEADLINE: Duration = Duration::from_secs(5);

/// Owns a machine's folder and agent. Dropping it ends both, on a thread of its own.
pub(super) struct HostMachine {
    id: MachineId,
    remains: Option<Remains>,
}

/// What must be ended.
struct Remains {
    folder: PathBuf,
    agent: Option<Child>,
}

impl HostMachine {
    /// Makes the machine's folder, marked as ours.
    pub(super) fn make(machines: &Path, id: &MachineId) -> Result<Self, Failure> {
        let failed = |path: &Path, error: &dyn std::fmt::Display| {
            Failure::new("making its folder", format!("{}: {error}", path.display()))
        };
        fs::create_dir_all(machines).map_err(|error| failed(machines, &error))?;
        let machines = machines.canonicalize().map_err(|error| failed(machines, &error))?;
        let folder = machines.join(&id.0);
        let owner = Life::own().ok_or_else(|| failed(&folder, &"/proc is not mounted"))?;
        let owner = serde_json::to_vec(&owner).map_err(|error| failed(&folder, &error))?;
        fs::create_dir(&folder).map_err(|error| failed(&folder, &error))?;
        let machine = Self { id: id.clone(), remains: Some(Remains { folder: folder.clone(), agent: None }) };
        let only_ours = fs::Permissions::from_mode(0o700);
        fs::set_permissions(&folder, only_ours).map_err(|error| failed(&folder, &error))?;
        fs::write(folder.join(OWNER), owner).map_err(|error| failed(&folder, &error))?;
        Ok(machine)
    }

    pub(super) fn folder(&self) -> &Path {
        self.remains.as_ref().map_or(Path::new(""), |remains| &remains.folder)
    }

    /// Where the agent writes what goes wrong.
    pub(super) fn log(&self) -> PathBuf {
        self.folder().join("agent.log")
    }

    pub(super) fn own(&mut self, agent: Child) {
        if let Some(remains) = &mut self.remains {
            remains.agent = Some(agent);
        }
    }
}

#[async_trait]
impl MachineGuard for HostMachine {
    async fn destroy(mut self: Box<Self>) -> Result<(), MachineError> {
        let Some(remains) = self.remains.take() else { return Ok(()) };
        let ended = tokio::task::spawn_blocking(move || remains.end()).await;
        let ended = ended.unwrap_or_else(|error| Err(Failure::new("ending", error.to_string())));
        ended.map_err(|failure| failure.of(self.id.clone()))
    }
}

impl Drop for HostMachine {
    fn drop(&mut self) {
        if let Some(remains) = self.remains.take() {
            // Nobody is left to be told of a failure; `reap` tries again.
            std::thread::spawn(|| drop(remains.end()));
        }
    }
}

impl Remains {
    /// Ends the agent with all of its processes, then removes the folder.
    fn end(mut self) -> Result<(), Failure> {
        if let Some(agent) = &mut self.agent {
            end_agent(agent);
        }
        clear_away(&self.folder)
    }
}

/// Tells the agent to end (it kills its processes first), and kills it when it does not.
fn end_agent(agent: &mut Child) {
    let pid = Pid::from_raw(agent.id().cast_signed());
    let _ = kill(pid, Signal::SIGTERM);
    // One that a job has stopped could not hear it.
    let _ = kill(pid, Signal::SIGCONT);
    if !wait_for_end(pid.as_raw(), END_DEADLINE) {
        let _ = agent.kill();
    }
    let _ = agent.wait();
}

/// Kills what outlived the agent, and removes the folder.
fn clear_away(folder: &Path) -> Result<(), Failure> {
    if let Some(value) = folder.to_str() {
        kill_marked(MACHINE_VARIABLE, value, KILL_DEADLINE);
    }
    remove(folder)
        .map_err(|error| Failure::new("removing its folder", format!("{}: {error}", folder.display())))
}

/// Removes a tree. Folders that a job made unwritable (Go's module cache is) are made writable.
fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            make_writable(folder);
            fs::remove_dir_all(folder)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn make_writable(folder: &Path) {
    let is_folder = fs::symlink_metadata(folder).is_ok_and(|found| found.is_dir());
    if !is_folder {
        return;
    }
    let _ = fs::set_permissions(folder, fs::Permissions::from_mode(0o700));
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        make_writable(&entry.path());
    }
}

/// Ends the machines whose Hearth is gone, and says which.
pub(super) fn reap(machines: &Path) -> Result<Vec<String>, Failure> {
    let Ok(machines) = machines.canonicalize() else { return Ok(Vec::new()) };
    let unread =
        |error: io::Error| Failure::new("looking for remains", format!("{}: {error}", machines.display()));
    let mut removed = Vec::new();
    for entry in fs::read_dir(&machines).map_err(unread)? {
        let folder = entry.map_err(unread)?.path();
        let Ok(owner) = fs::read(folder.join(OWNER)) else { continue };
        // An owner that can't be read was being written when the host went down.
        let owner = serde_json::from_slice::<Life>(&owner).ok();
        if owner.is_some_and(Life::runs) {
            continue;
        }
        clear_away(&folder)?;
        removed.push(format!("machine {}", folder.display()));
    }
    Ok(removed)
}
