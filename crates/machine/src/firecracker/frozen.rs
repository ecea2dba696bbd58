//! Machines into snapshots, and snapshots into machines' folders.
//!
//! A snapshot holds the state of processors and devices, the memory, and the disk that the job
//! wrote to. The root is the image's, which every clone shares; so is the memory, until written.

use std::any::Any;
use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::api::{Call, RunState};
use super::files::Place;
use super::machine::FirecrackerMachine;
use super::plan::{self, MEMORY, NEW_MEMORY, NEW_STATE, SCRATCH, STATE};
use super::{Facts, NAME};

use crate::vm::{Doing, Failure, sparse};
use crate::{Machine, Snapshot, SnapshotId, Staging};

/// Changes when the files or the devices of a VM do, so that an older snapshot can't be restored.
pub(super) const FORMAT: u32 = 1;

const FREEZING: &str = "taking a snapshot";
const THAWING: &str = "unpacking its snapshot";

/// Writes a machine to a snapshot. The machine ends.
pub(super) async fn freeze(
    data: &Path,
    machine: Machine,
    id: &SnapshotId,
    version: String,
) -> Result<Snapshot, Failure> {
    let Machine { guest, guard, .. } = machine;
    let guard: Box<dyn Any> = guard;
    let Ok(machine) = guard.downcast::<FirecrackerMachine>() else {
        return Err(Failure::new(FREEZING, "this is no machine of the firecracker driver"));
    };
    let FirecrackerMachine { facts, mut vmm, .. } = *machine;
    let staging = Staging::begin(data, id).doing(FREEZING)?;
    // Connections do not survive; the agent goes on listening.
    drop(guest);
    vmm.call(FREEZING, &Call::PatchVm(RunState::Paused)).await?;
    vmm.call(FREEZING, &Call::CreateSnapshot(plan::create_snapshot())).await?;
    vmm.stop().await?;
    let (root, id) = (vmm.root().to_owned(), id.clone());
    let kept = tokio::task::spawn_blocking(move || {
        take(&root, staging.folder()).doing(FREEZING)?;
        staging.publish(manifest(id, facts, version)).doing(FREEZING)
    });
    let kept = kept.await.doing(FREEZING)?;
    vmm.end().await?;
    kept
}

/// Moves the files of a snapshot out of the machine's folder, and makes them ours again.
fn take(root: &Path, folder: &Path) -> io::Result<()> {
    let root_user = rustix::process::geteuid().is_root();
    for (written, name) in [(NEW_STATE, STATE), (NEW_MEMORY, MEMORY), (SCRATCH, SCRATCH)] {
        let (from, to) = (root.join(written), folder.join(name));
        match fs::rename(&from, &to) {
            // A machine without a disk wrote to its memory.
            Err(error) if error.kind() == io::ErrorKind::NotFound && name == SCRATCH => continue,
            moved => moved?,
        }
        if root_user {
            std::os::unix::fs::chown(&to, Some(0), Some(0))?;
        }
        fs::set_permissions(&to, Permissions::from_mode(0o444))?;
    }
    Ok(())
}

fn manifest(id: SnapshotId, facts: Facts, version: String) -> Snapshot {
    let made = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Snapshot {
        id,
        driver: NAME.to_owned(),
        image: facts.image,
        vcpus: facts.vcpus,
        memory_mib: facts.memory_mib,
        disk_mib: facts.disk_mib,
        layout: facts.layout,
        network: facts.network,
        policy: facts.policy,
        made_unix_ms: u64::try_from(made.as_millis()).unwrap_or(u64::MAX),
        version,
        // Known once it is published.
        files: BTreeMap::new(),
        folder: PathBuf::new(),
    }
}

/// Makes sure that a snapshot can be restored here.
pub(super) async fn verify(snapshot: &Snapshot, version: &str) -> Result<(), Failure> {
    let (snapshot, version) = (snapshot.clone(), version.to_owned());
    let verified = tokio::task::spawn_blocking(move || snapshot.verify(NAME, &version));
    verified.await.doing(THAWING)?.doing(THAWING)
}

/// Brings a snapshot's files into a machine's folder: state and memory as they are, the disk as a copy.
pub(super) async fn unpack(snapshot: &Snapshot, place: &Place) -> Result<(), Failure> {
    for name in [STATE, MEMORY] {
        place.bring(&snapshot.folder.join(name), name)?;
    }
    let (from, to) = (snapshot.folder.join(SCRATCH), place.root.join(SCRATCH));
    let copied = tokio::task::spawn_blocking(move || match File::open(&from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        from => sparse::copy(&from?, &File::create_new(&to)?).map(|_| true),
    });
    if copied.await.doing(THAWING)?.doing(THAWING)? {
        place.give(SCRATCH)?;
    }
    Ok(())
}
