//! Frozen machines, and where they are kept: `<data>/snapshots/<id>/manifest.json` beside the
//! driver's own files. A snapshot is made in a folder of its own and moved to its place whole.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::image::scratch::Scratch;
use crate::network::NetworkPolicy;
use crate::{Layout, Network};

/// Largest manifest that is read: they are below one KiB.
const MAX_MANIFEST_BYTES: u64 = 64 * 1024;
/// Files up to this size are read before use; of larger ones, memory and disks, the size is compared.
const HASHED_BYTES: u64 = 16 * 1024 * 1024;
/// Longest id.
const MAX_ID: usize = 64;
const MANIFEST: &str = "manifest.json";

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
    /// What of the network it sees.
    pub network: Network,
    /// What the machine may reach on it; those who go on in it may reach no more.
    #[serde(default)]
    pub policy: NetworkPolicy,
    /// When it was made, in milliseconds since 1970.
    pub made_unix_ms: u64,
    /// What the driver must find again to restore it (`QEMU 7.2.22, format 1`).
    pub version: String,
    /// The driver's files by name; [`Staging::publish`] fills it.
    pub files: BTreeMap<String, FileFacts>,
    /// Where its files are; not part of the manifest.
    #[serde(skip)]
    pub folder: PathBuf,
}

/// What a file of a snapshot must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileFacts {
    /// Size.
    pub bytes: u64,
    /// SHA-256 in hexadecimal digits; of small files only.
    pub sha256: Option<String>,
}

/// A folder among the snapshots, also one that can't be used any more.
#[derive(Debug)]
pub struct SnapshotPlace {
    /// What the folder is called, and with it the snapshot.
    pub id: SnapshotId,
    /// When it was made, in milliseconds since 1970: as its manifest says, or else when the folder was last changed.
    pub made_unix_ms: u64,
    /// The snapshot, or why its manifest can't be read.
    pub snapshot: Result<Snapshot, SnapshotError>,
}

/// Why a snapshot can't be kept, found, or used.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The system said no.
    #[error("snapshot {id}: {operation} {}: {source}", path.display())]
    Io {
        /// Which snapshot.
        id: SnapshotId,
        /// What was being done.
        operation: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is not what its manifest says, or not for this driver.
    #[error("snapshot {id}: {reason}")]
    Unfit {
        /// Which snapshot.
        id: SnapshotId,
        /// What differs, and what to do.
        reason: String,
    },
}

impl Snapshot {
    /// The folder of all snapshots in this data folder.
    #[must_use]
    pub fn all(data: &Path) -> PathBuf {
        data.join("snapshots")
    }

    /// Finds a snapshot and reads its manifest; its files are not looked at: see [`Self::verify`].
    ///
    /// # Errors
    /// When there is none, or its manifest can't be read.
    pub fn open(data: &Path, id: &SnapshotId) -> Result<Self, SnapshotError> {
        check_id(id)?;
        let folder = Self::all(data).join(&id.0);
        let path = folder.join(MANIFEST);
        let mut text = Vec::new();
        File::open(&path)
            .and_then(|file| file.take(MAX_MANIFEST_BYTES).read_to_end(&mut text))
            .map_err(|source| failed(id, "reading", &path, source))?;
        let snapshot: Self = serde_json::from_slice(&text)
            .map_err(|error| unfit(id, format!("its manifest is not to be read ({error}); make it anew")))?;
        if snapshot.id != *id {
            return Err(unfit(id, format!("its manifest is that of snapshot {}", snapshot.id)));
        }
        Ok(Self { folder, ..snapshot })
    }

    /// All snapshots that can be read, by id.
    ///
    /// # Errors
    /// When the folder can't be read.
    pub fn list(data: &Path) -> io::Result<Vec<Self>> {
        let places = Self::places(data)?;
        Ok(places.into_iter().filter_map(|place| place.snapshot.ok()).collect())
    }

    /// All folders of snapshots, by id, whether or not they can be read. Those in the making are none yet.
    ///
    /// # Errors
    /// When the folder of all can't be read.
    pub fn places(data: &Path) -> io::Result<Vec<SnapshotPlace>> {
        let entries = match fs::read_dir(Self::all(data)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut places: Vec<SnapshotPlace> = entries.filter_map(|entry| place(data, &entry.ok()?)).collect();
        places.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(places)
    }

    /// Removes a snapshot; fine if there is none. Machines that run from it are not concerned.
    ///
    /// # Errors
    /// When it can't be removed.
    pub fn remove(data: &Path, id: &SnapshotId) -> Result<(), SnapshotError> {
        check_id(id)?;
        let folder = Self::all(data).join(&id.0);
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(|source| failed(id, "removing", &folder, source)),
        }
    }

    /// Makes sure that this is a snapshot of this driver and version, and that its files are what they were.
    ///
    /// # Errors
    /// The first difference.
    pub fn verify(&self, driver: &str, version: &str) -> Result<(), SnapshotError> {
        if self.driver != driver {
            return Err(unfit(&self.id, format!("it was made by {}, not by {driver}", self.driver)));
        }
        if self.version != version {
            let reason = format!("it was made by {}, and here is {version}; make it anew", self.version);
            return Err(unfit(&self.id, reason));
        }
        for (name, expected) in &self.files {
            let path = self.folder.join(name);
            let found = facts(&path).map_err(|source| failed(&self.id, "reading", &path, source))?;
            if found != *expected {
                let (is, was) = (describe(&found), describe(expected));
                return Err(unfit(
                    &self.id,
                    format!("{name} is damaged: {is} instead of {was}; make it anew"),
                ));
            }
        }
        Ok(())
    }
}

/// A snapshot that is being made. Dropped, nothing of it stays.
#[derive(Debug)]
pub struct Staging {
    id: SnapshotId,
    place: PathBuf,
    scratch: Scratch,
}

impl Staging {
    /// A folder for a new snapshot.
    ///
    /// # Errors
    /// When there is one of this id already, and when the folder can't be made.
    pub fn begin(data: &Path, id: &SnapshotId) -> Result<Self, SnapshotError> {
        check_id(id)?;
        let all = Snapshot::all(data);
        fs::create_dir_all(&all).map_err(|source| failed(id, "making", &all, source))?;
        let place = all.join(&id.0);
        if place.exists() {
            return Err(unfit(id, "there is one already; remove it first".to_owned()));
        }
        let scratch = Scratch::new_in(&all)
            .map_err(|error| failed(id, "making a folder in", &all, io::Error::other(error)))?;
        Ok(Self { id: id.clone(), place, scratch })
    }

    /// Where the driver puts its files.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.scratch.path()
    }

    /// Writes the manifest and moves all to its place.
    ///
    /// # Errors
    /// When it can't be written or moved.
    pub fn publish(self, mut snapshot: Snapshot) -> Result<Snapshot, SnapshotError> {
        let id = self.id;
        let folder = self.scratch.path();
        let io = |operation: &'static str, path: &Path| {
            let (id, path) = (id.clone(), path.to_owned());
            move |source| SnapshotError::Io { id, operation, path, source }
        };
        for entry in fs::read_dir(folder).map_err(io("reading", folder))? {
            let entry = entry.map_err(io("reading", folder))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let found = facts(&entry.path()).map_err(io("reading", &entry.path()))?;
            snapshot.files.insert(name, found);
        }
        let path = folder.join(MANIFEST);
        let text = serde_json::to_vec_pretty(&snapshot).unwrap_or_default();
        File::create_new(&path).and_then(|mut file| file.write_all(&text)).map_err(io("writing", &path))?;
        self.scratch.rename(&self.place).map_err(io("moving to", &self.place))?;
        Ok(Snapshot { folder: self.place, ..snapshot })
    }
}

/// The snapshot's place that an entry of their folder is, if it is one.
fn place(data: &Path, entry: &fs::DirEntry) -> Option<SnapshotPlace> {
    let id = SnapshotId(entry.file_name().into_string().ok()?);
    let found = entry.metadata().ok().filter(fs::Metadata::is_dir)?;
    check_id(&id).ok()?;
    let snapshot = Snapshot::open(data, &id);
    let made_unix_ms = match &snapshot {
        Ok(snapshot) => snapshot.made_unix_ms,
        Err(_) => {
            let since = found.modified().ok()?.duration_since(UNIX_EPOCH).unwrap_or_default();
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        }
    };
    Some(SnapshotPlace { id, made_unix_ms, snapshot })
}

fn facts(path: &Path) -> io::Result<FileFacts> {
    let bytes = fs::metadata(path)?.len();
    if bytes > HASHED_BYTES {
        return Ok(FileFacts { bytes, sha256: None });
    }
    let digest = Sha256::digest(fs::read(path)?);
    let sha256 = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(FileFacts { bytes, sha256: Some(sha256) })
}

fn describe(facts: &FileFacts) -> String {
    let hash = facts.sha256.as_deref().map_or_else(String::new, |hash| format!(", SHA-256 {hash}"));
    format!("{} bytes{hash}", facts.bytes)
}

fn check_id(id: &SnapshotId) -> Result<(), SnapshotError> {
    let plain = id.0.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    let named = id.0.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if plain && named && id.0.len() <= MAX_ID {
        return Ok(());
    }
    let rule = "letters, digits, `-`, `_` and `.`, beginning with a letter or digit";
    Err(unfit(id, format!("its id is not 1 to {MAX_ID} {rule}")))
}

fn failed(id: &SnapshotId, operation: &'static str, path: &Path, source: io::Error) -> SnapshotError {
    SnapshotError::Io { id: id.clone(), operation, path: path.to_owned(), source }
}

fn unfit(id: &SnapshotId, reason: String) -> SnapshotError {
    SnapshotError::Unfit { id: id.clone(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(id: &SnapshotId) -> Snapshot {
        let folder = |name: &str| format!("/{name}");
        Snapshot {
            id: id.clone(),
            driver: "qemu".to_owned(),
            image: "0".repeat(64),
            vcpus: 1,
            memory_mib: 128,
            disk_mib: 64,
            layout: Layout {
                home: folder("h"),
                work: folder("w"),
                temp: folder("t"),
                tool_cache: folder("c"),
            },
            network: Network::None,
            policy: crate::network::NetworkPolicy::default(),
            made_unix_ms: 1,
            version: "QEMU 7, format 1".to_owned(),
            files: BTreeMap::new(),
            folder: PathBuf::new(),
        }
    }

    #[test]
    fn a_snapshot_is_found_as_it_was_published_and_names_what_differs() {
        let data = tempfile::tempdir().unwrap();
        let id = SnapshotId("ready-1".to_owned());
        let staging = Staging::begin(data.path(), &id).unwrap();
        fs::write(staging.folder().join("state"), "state").unwrap();
        assert!(Snapshot::open(data.path(), &id).is_err());
        let made = staging.publish(snapshot(&id)).unwrap();
        let found = Snapshot::open(data.path(), &id).unwrap();
        assert_eq!(found, made);
        assert_eq!(Snapshot::list(data.path()).unwrap(), [made]);
        found.verify("qemu", "QEMU 7, format 1").unwrap();
        let error = |driver: &str, version: &str| found.verify(driver, version).unwrap_err().to_string();
        assert!(error("firecracker", "QEMU 7, format 1").contains("made by qemu, not by firecracker"));
        assert!(error("qemu", "QEMU 8, format 1").contains("made by QEMU 7, format 1, and here is QEMU 8"));
        fs::write(found.folder.join("state"), "stale").unwrap();
        assert!(error("qemu", "QEMU 7, format 1").contains("state is damaged: 5 bytes"));
        assert!(Staging::begin(data.path(), &id).unwrap_err().to_string().contains("one already"));
        Snapshot::remove(data.path(), &id).unwrap();
        assert!(Snapshot::open(data.path(), &id).is_err());
    }

    #[test]
    fn a_snapshot_that_is_never_published_leaves_nothing() {
        let data = tempfile::tempdir().unwrap();
        drop(Staging::begin(data.path(), &SnapshotId("half".to_owned())).unwrap());
        assert_eq!(fs::read_dir(Snapshot::all(data.path())).unwrap().count(), 0);
        assert!(Staging::begin(data.path(), &SnapshotId("../out".to_owned())).is_err());
    }
}
