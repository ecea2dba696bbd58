//! What machines of a kind are restored from, and where the pool keeps that.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::MachineId;
use tokio::sync::Mutex;

use crate::own_name::own_name;
use crate::{Driver, MachineError, MachineSpec, Snapshot, SnapshotId};
use crate::{canary, lock_file};

/// What begins the names of all that belongs to a pool.
const PREFIX: &str = "pool";

/// The snapshot of a fresh machine, once somebody has needed it.
#[derive(Default)]
pub(super) struct Template {
    snapshot: Mutex<Option<Arc<Snapshot>>>,
}

impl Template {
    /// The snapshot, taken now if there is none; `None` where the driver can't snapshot.
    pub(super) async fn get(
        &self,
        driver: &dyn Driver,
        place: &Place,
        kind: &str,
        spec: &MachineSpec,
    ) -> Result<Option<Arc<Snapshot>>, MachineError> {
        if !driver.capabilities().snapshots {
            return Ok(None);
        }
        // Held while it is taken: one snapshot is enough for all who wait.
        let mut held = self.snapshot.lock().await;
        if held.is_none() {
            let name = place.next_name();
            let machine = driver.start(MachineSpec { id: MachineId(name.clone()), ..spec.clone() }).await?;
            // What it takes to run a program is then in the memory that all machines share.
            let machine = canary::checked(machine, driver.name()).await?;
            let id = SnapshotId(format!("{name}-{}", plain(kind)));
            *held = Some(Arc::new(driver.snapshot(machine, &id).await?));
        }
        Ok(held.clone())
    }

    /// Removes the snapshot: the next machine gets a new one.
    pub(super) async fn forget(&self, place: &Place) {
        if let Some(snapshot) = self.snapshot.lock().await.take() {
            // A machine that is being restored from it keeps its open files.
            place.remove(&snapshot.folder);
        }
    }
}

/// The names and snapshots of one pool, locked as long as it lives.
pub(super) struct Place {
    data: PathBuf,
    prefix: String,
    lock_path: PathBuf,
    _lock: File,
    count: AtomicU64,
}

impl Place {
    /// Takes names that no other pool of this data folder has, and removes what dead pools left.
    pub(super) fn take(data: PathBuf) -> io::Result<Place> {
        let pools = data.join("pools");
        fs::create_dir_all(&pools)?;
        remove_dead(&data, &pools)?;
        let prefix = own_name(PREFIX);
        let lock_path = pools.join(format!("{prefix}.lock"));
        let taken =
            || io::Error::new(io::ErrorKind::AlreadyExists, format!("{} is taken", lock_path.display()));
        let lock = lock_file::take(&lock_path)?.ok_or_else(taken)?;
        Ok(Place { data, prefix, lock_path, _lock: lock, count: AtomicU64::new(0) })
    }

    /// A name for a machine.
    pub(super) fn next_name(&self) -> String {
        format!("{}-{}", self.prefix, self.count.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Removes one snapshot.
    fn remove(&self, snapshot: &Path) {
        if snapshot.starts_with(Snapshot::all(&self.data)) {
            // What stays is removed when the pool is dead.
            let _ = fs::remove_dir_all(snapshot);
        }
    }

    /// Removes all snapshots and the lock.
    pub(super) fn clear(&self) {
        remove_snapshots(&self.data, &self.prefix);
        let _ = fs::remove_file(&self.lock_path);
    }
}

/// Removes the snapshots of pools whose lock is free.
fn remove_dead(data: &Path, pools: &Path) -> io::Result<()> {
    for entry in fs::read_dir(pools)? {
        let path = entry?.path();
        let Some(prefix) = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".lock")) else {
            continue;
        };
        if prefix.starts_with(PREFIX) && lock_file::take(&path)?.is_some() {
            remove_snapshots(data, prefix);
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

fn remove_snapshots(data: &Path, prefix: &str) {
    let mine = format!("{prefix}-");
    for entry in fs::read_dir(Snapshot::all(data)).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(&mine) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// A kind's name as part of a folder's name.
fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).take(32).collect()
}
