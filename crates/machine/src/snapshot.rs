//! Frozen machines, and where they are kept: `<data>/snapshots/<id>/manifest.json` beside the
//! driver's own files.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::Layout;

/// Names a snapshot: a folder's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SnapshotId(pub String);

impl std::fmt::Display for SnapshotId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A frozen machine. It can be restored any number of times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// What it is called.
    pub id: SnapshotId,
    /// The driver that made it, and alone can restore it.
    pub driver: String,
    /// Id of the image that the machine was started from.
    pub image: String,
    /// Virtual CPUs.
    pub vcpus: u32,
    /// Memory.
    pub memory_mib: u64,
    /// Bound of what it may write.
    pub disk_mib: u64,
    /// Where things are in it.
    pub layout: Layout,
    /// When it was made, in milliseconds since 1970.
    pub made_unix_ms: u64,
    /// What the driver must find again to restore it (`QEMU 7.2.22, format 1`).
    pub version: String,
    /// Where its files are; not part of the manifest.
    #[serde(skip)]
    pub folder: PathBuf,
}

impl Snapshot {
    /// The folder of all snapshots in this data folder.
    #[must_use]
    pub fn all(data: &Path) -> PathBuf {
        data.join("snapshots")
    }
}
