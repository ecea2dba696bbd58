//! Caches on disk.
//!
//! ```text
//! <root>/entries/<scope>/<id>.json   what it is; appears last, by rename
//! <root>/entries/<scope>/<id>.blob   its content; its file time is that of the last use
//! <root>/scratch/                    uploads in progress, swept up when their process is gone
//! <root>/lock                        held while entries are added or evicted
//! ```
//!
//! `<scope>` stands for repository and ref, `<id>` for key and version. An entry never changes, so
//! reading needs no lock: whoever has opened the content can read it to its end, even if it is evicted.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use model::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::file_lock;
use crate::scratch::{self, Scratch};

use super::kept::KeptCache;
use super::ledger::{Wish, wishes};
use super::time::millis;
use super::token::CacheScope;
use super::upload::hex;

/// Largest description of an entry: a key has at most 512 characters.
const RECORD_BYTES: u64 = 64 * 1024;

/// The caches of one data folder; several processes may use it at once.
pub(super) struct CacheStore {
    root: PathBuf,
    bound: u64,
    scratch: Scratch,
}

/// Describes one cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) repository: String,
    pub(super) reference: String,
    pub(super) key: String,
    pub(super) version: String,
    pub(super) size: u64,
    /// Milliseconds since 1970.
    pub(super) created: u64,
    /// `sha256:` and 64 digits. Earlier versions did not ask.
    #[serde(default)]
    pub(super) digest: Option<String>,
}

/// Why a cache was not stored.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    #[error("a cache with this key and version exists already for this ref")]
    Exists,
    #[error("it has {size} bytes, more than the {bound} that all caches together may have")]
    TooLarge { size: u64, bound: u64 },
    #[error("{0}")]
    Disk(#[from] io::Error),
}

impl CacheStore {
    /// Opens the folder, and sweeps up what killed processes have left.
    pub(super) fn open(root: &Path, bound: u64) -> io::Result<Self> {
        fs::create_dir_all(root.join("entries"))?;
        let work = root.join("scratch");
        fs::create_dir_all(&work)?;
        scratch::sweep(&work)?;
        Ok(CacheStore { root: root.to_owned(), bound, scratch: Scratch::new_in(&work)? })
    }

    /// Where uploads may grow; on the same filesystem as the entries.
    pub(super) fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// Bytes that one cache may have.
    pub(super) fn bound(&self) -> u64 {
        self.bound
    }

    /// Whether the entry exists.
    pub(super) fn has(&self, scope: &CacheScope, key: &str, version: &str) -> bool {
        self.file(&scope.repository, &scope.own_ref, key, version, "json").exists()
    }

    /// Stores the content as a new entry of the job's own ref. Gives what had to make room for it.
    pub(super) fn add(&self, record: &Record, content: &Path) -> Result<Vec<PathBuf>, StoreError> {
        if record.size > self.bound {
            return Err(StoreError::TooLarge { size: record.size, bound: self.bound });
        }
        // Content first: a power cut must not leave a description of content that is not there.
        File::open(content)?.sync_all()?;
        let _lock = file_lock::exclusive(&self.root.join("lock"))?;
        let path = |extension| {
            self.file(&record.repository, &record.reference, &record.key, &record.version, extension)
        };
        if path("json").exists() {
            return Err(StoreError::Exists);
        }
        if let Some(folder) = path("json").parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file = tempfile::NamedTempFile::new_in(self.scratch())?;
        file.write_all(serde_json::to_string(record).map_err(io::Error::other)?.as_bytes())?;
        file.as_file().sync_all()?;
        fs::rename(content, path("blob"))?;
        file.persist(path("json")).map_err(|error| error.error)?;
        Ok(self.evict()?)
    }

    /// Finds what a job may restore: in its own ref, then in the others, what meets its first [wish](wishes). The
    /// newest wins.
    pub(super) fn find(
        &self,
        scope: &CacheScope,
        key: &str,
        restore_keys: &[String],
        version: &str,
    ) -> io::Result<Option<(Record, String)>> {
        for reference in std::iter::once(&scope.own_ref).chain(&scope.read_refs) {
            let entries = self.entries(&scope.repository, reference)?;
            let newest = |wish: Wish<'_>| {
                let met = entries.iter().filter(|one| one.version == version && wish.is_met_by(&one.key));
                met.max_by_key(|record| record.created)
            };
            if let Some(record) = wishes(key, restore_keys).find_map(newest) {
                let path = self.blob_of(record);
                touch(&path);
                return Ok(id_of(&path).map(|id| (record.clone(), id)));
            }
        }
        Ok(None)
    }

    /// The content of an entry.
    pub(super) fn blob_of(&self, record: &Record) -> PathBuf {
        self.file(&record.repository, &record.reference, &record.key, &record.version, "blob")
    }

    /// The file of an id that [`CacheStore::find`] gave out.
    pub(super) fn blob(&self, id: &str) -> Option<PathBuf> {
        let is_hex = |text: &str| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let (scope, entry) = id.split_once('-').filter(|(scope, entry)| is_hex(scope) && is_hex(entry))?;
        Some(self.root.join("entries").join(scope).join(format!("{entry}.blob")))
    }

    fn entries(&self, repository: &str, reference: &str) -> io::Result<Vec<Record>> {
        let folder = self.root.join("entries").join(scope_id(repository, reference));
        let listing = match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            listing => listing?,
        };
        let mut records = Vec::new();
        for file in listing {
            let path = file?.path();
            if path.extension().is_some_and(|extension| extension == "json")
                && let Some(record) = read_record(&path)
            {
                records.push(record);
            }
        }
        Ok(records)
    }

    fn file(&self, repository: &str, reference: &str, key: &str, version: &str, extension: &str) -> PathBuf {
        let folder = self.root.join("entries").join(scope_id(repository, reference));
        folder.join(format!("{}.{extension}", entry_id(key, version)))
    }

    /// Removes entries that nobody has used since then. Gives their contents' files.
    pub(super) fn forget_unused(&self, since: SystemTime) -> io::Result<Vec<PathBuf>> {
        let _lock = file_lock::exclusive(&self.root.join("lock"))?;
        let unused = self.blobs()?.into_iter().filter(|(used, _, _)| *used < since);
        let unused: Vec<PathBuf> = unused.map(|(_, _, path)| path).collect();
        unused.iter().try_for_each(|path| remove(path))?;
        Ok(unused)
    }

    /// Removes an entry by its content's file; whether it was there.
    pub(super) fn forget(&self, path: &Path) -> io::Result<bool> {
        let is_ours = id_of(path).and_then(|id| self.blob(&id)).is_some_and(|own| own == path);
        if !is_ours {
            return Err(io::Error::other(format!("{} is no cache", path.display())));
        }
        let _lock = file_lock::exclusive(&self.root.join("lock"))?;
        let was_there = path.try_exists()?;
        remove(path).map(|()| was_there)
    }

    /// Removes entries, the longest unused first, until the rest fits; gives their contents' files. The caller holds
    /// the lock.
    fn evict(&self) -> io::Result<Vec<PathBuf>> {
        let mut evicted = Vec::new();
        let mut blobs = self.blobs()?;
        let mut total: u64 = blobs.iter().map(|(_, size, _)| size).sum();
        blobs.sort();
        for (_, size, path) in blobs {
            if total <= self.bound {
                break;
            }
            remove(&path)?;
            total = total.saturating_sub(size);
            evicted.push(path);
        }
        Ok(evicted)
    }

    /// The content of each entry, with its last use and its size. What is no entry is removed: the caller holds the lock.
    fn blobs(&self) -> io::Result<Vec<(SystemTime, u64, PathBuf)>> {
        let mut blobs = Vec::new();
        for scope in fs::read_dir(self.root.join("entries"))? {
            let scope = scope?;
            if !scope.file_type()?.is_dir() {
                continue;
            }
            for file in fs::read_dir(scope.path())? {
                let file = file?;
                let path = file.path();
                if path.extension().is_none_or(|extension| extension != "blob") {
                    continue;
                }
                if !path.with_extension("json").exists() {
                    // Its process was killed between the two renames.
                    fs::remove_file(path)?;
                    continue;
                }
                let metadata = file.metadata()?;
                blobs.push((metadata.modified()?, metadata.len(), path));
            }
        }
        Ok(blobs)
    }
}

/// Removes an entry, its description first, as far as it is there.
fn remove(blob: &Path) -> io::Result<()> {
    for path in [&blob.with_extension("json"), blob] {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Notes the use of an entry; whether its content is there.
pub(super) fn touch(blob: &Path) -> bool {
    // Only eviction looks at the time; where it can't be set, the entry is still good.
    File::open(blob).inspect(|file| drop(file.set_modified(SystemTime::now()))).is_ok()
}

/// The id under which a content can be opened.
pub(super) fn id_of(blob: &Path) -> Option<String> {
    let scope = blob.parent()?.file_name()?.to_str()?;
    Some(format!("{scope}-{}", blob.file_stem()?.to_str()?))
}

/// All entries of a folder.
pub(super) fn all(root: &Path) -> io::Result<Vec<KeptCache>> {
    let scopes = match fs::read_dir(root.join("entries")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        scopes => scopes?,
    };
    let mut found = Vec::new();
    for scope in scopes {
        let scope = scope?.path();
        for file in fs::read_dir(scope)? {
            let path = file?.path();
            let is_blob = path.extension().is_some_and(|extension| extension == "blob");
            if let Some(record) = is_blob.then(|| read_record(&path.with_extension("json"))).flatten() {
                let used_at = Timestamp(millis(path.metadata()?.modified()?));
                found.push(KeptCache::of(path, record, used_at));
            }
        }
    }
    Ok(found)
}

/// `None` for what is no description: somebody else's file, or one that a broken disk has torn.
fn read_record(path: &Path) -> Option<Record> {
    let is_small = path.metadata().is_ok_and(|metadata| metadata.len() <= RECORD_BYTES);
    let text = is_small.then(|| fs::read(path).ok()).flatten()?;
    serde_json::from_slice(&text).ok()
}

fn scope_id(repository: &str, reference: &str) -> String {
    digest(&[&repository.to_ascii_lowercase(), reference])
}

fn entry_id(key: &str, version: &str) -> String {
    digest(&[key, version])
}

/// The parts are told apart by their lengths.
fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hex(&hash.finalize())
}

/// A description of content that has just been uploaded.
pub(super) fn record(
    scope: &CacheScope,
    key: String,
    version: String,
    (size, digest): (u64, String),
) -> Record {
    let created = millis(SystemTime::now());
    let (repository, reference) = (scope.repository.clone(), scope.own_ref.clone());
    Record { repository, reference, key, version, size, created, digest: Some(digest) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn scope(own: &str, read: &[&str]) -> CacheScope {
        let read_refs = read.iter().map(|&name| name.to_owned()).collect();
        CacheScope { repository: "o/r".into(), own_ref: own.into(), read_refs }
    }

    fn add(store: &CacheStore, scope: &CacheScope, key: &str, created: u64) -> Result<(), StoreError> {
        let content = store.scratch().join("content");
        fs::write(&content, [0; 100]).unwrap();
        let record = Record { created, ..record(scope, key.into(), "v".into(), (100, String::new())) };
        store.add(&record, &content).map(drop)
    }

    fn found(
        store: &CacheStore,
        scope: &CacheScope,
        key: &str,
        restore: &[&str],
    ) -> Option<(String, String)> {
        let restore: Vec<String> = restore.iter().map(|&key| key.to_owned()).collect();
        let (record, _id) = store.find(scope, key, &restore, "v").unwrap()?;
        Some((record.key, record.reference))
    }

    #[test]
    fn the_own_ref_comes_first_then_the_others_and_the_newest_of_a_prefix() {
        let folder = tempfile::tempdir().unwrap();
        let store = CacheStore::open(folder.path(), 10_000).unwrap();
        let (main, topic) = (scope("main", &[]), scope("topic", &["main"]));
        for (key, created) in [("npm-b", 2), ("npm-c", 3), ("npm-a", 1)] {
            add(&store, &main, key, created).unwrap();
        }
        add(&store, &topic, "npm-0", 0).unwrap();
        let pair = |key: &str, reference: &str| Some((key.to_owned(), reference.to_owned()));
        assert_eq!(found(&store, &topic, "npm-a", &[]), pair("npm-a", "main"));
        assert_eq!(found(&store, &topic, "x", &["npm-"]), pair("npm-0", "topic"));
        assert_eq!(found(&store, &main, "x", &["y", "npm-"]), pair("npm-c", "main"));
        assert_eq!(found(&store, &main, "npm-0", &[]), None, "a base does not see its topics");
        let other = CacheScope { repository: "o/other".into(), ..main.clone() };
        assert_eq!(found(&store, &other, "npm-a", &["npm-"]), None);
        assert!(store.find(&main, "npm-a", &[], "another version").unwrap().is_none());
    }

    #[test]
    fn an_entry_never_changes() {
        let folder = tempfile::tempdir().unwrap();
        let store = CacheStore::open(folder.path(), 10_000).unwrap();
        add(&store, &scope("main", &[]), "k", 1).unwrap();
        let second = CacheStore::open(folder.path(), 10_000).unwrap();
        assert!(matches!(add(&second, &scope("main", &[]), "k", 2), Err(StoreError::Exists)));
        add(&second, &scope("topic", &[]), "k", 2).unwrap();
    }

    #[test]
    fn the_longest_unused_entry_makes_room() {
        let folder = tempfile::tempdir().unwrap();
        let store = CacheStore::open(folder.path(), 250).unwrap();
        let main = scope("main", &[]);
        for (key, age) in [("a", 30), ("b", 20)] {
            add(&store, &main, key, 1).unwrap();
            let blob = File::open(store.file("o/r", "main", key, "v", "blob")).unwrap();
            blob.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
        }
        assert!(found(&store, &main, "a", &[]).is_some(), "a use makes it young again");
        add(&store, &main, "c", 1).unwrap();
        let there = ["a", "b", "c"].map(|key| store.has(&main, key, "v"));
        assert_eq!(there, [true, false, true]);
        let large = Record { size: 300, ..record(&main, "d".into(), "v".into(), (0, String::new())) };
        assert!(matches!(store.add(&large, Path::new("/")), Err(StoreError::TooLarge { .. })));
    }

    #[test]
    fn what_nobody_has_used_for_long_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let store = CacheStore::open(folder.path(), 10_000).unwrap();
        let main = scope("main", &[]);
        for (key, age) in [("old", 30), ("used", 30), ("new", 0)] {
            add(&store, &main, key, 1).unwrap();
            let blob = File::open(store.file("o/r", "main", key, "v", "blob")).unwrap();
            blob.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
        }
        assert!(found(&store, &main, "used", &[]).is_some());
        assert_eq!(store.forget_unused(SystemTime::now() - Duration::from_secs(20)).unwrap().len(), 1);
        assert_eq!(["old", "used", "new"].map(|key| store.has(&main, key, "v")), [false, true, true]);
    }

    #[test]
    fn torn_entries_are_misses_and_are_cleaned_up() {
        let folder = tempfile::tempdir().unwrap();
        let store = CacheStore::open(folder.path(), 10_000).unwrap();
        let main = scope("main", &[]);
        add(&store, &main, "k", 1).unwrap();
        let orphan = store.file("o/r", "main", "orphan", "v", "blob");
        fs::write(&orphan, "x").unwrap();
        fs::write(store.file("o/r", "main", "torn", "v", "json"), "{").unwrap();
        assert_eq!(found(&store, &main, "torn", &[]), None);
        add(&store, &main, "l", 1).unwrap();
        assert!(!orphan.exists());
        let work = folder.path().join("scratch");
        fs::create_dir(work.join("work-dead")).unwrap();
        fs::write(work.join("work-dead.lock"), "").unwrap();
        CacheStore::open(folder.path(), 10_000).unwrap();
        assert!(!work.join("work-dead").exists() && store.scratch().exists());
    }
}
