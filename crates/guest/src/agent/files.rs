//! Files of the machine. Everything here blocks.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use nix::libc::O_NONBLOCK;
use sha2::{Digest, Sha256};
use tonic::Status;

use super::blocking::Outgoing;
use super::refusal::Refusal;
use crate::bounds::{BATCH_BYTES, BATCH_ENTRIES, CHUNK_BYTES};
use crate::wire::{FileKind, FileStat, NewFile, WalkResponse};

/// Permission bits of a mode, those that change the user or group among them.
const PERMISSIONS: u32 = 0o7777;

type Result<T> = std::result::Result<T, Refusal>;

fn absolute(path: &str) -> Result<&Path> {
    if path.starts_with('/') && !path.contains('\0') {
        return Ok(Path::new(path));
    }
    Err(Refusal::invalid(path, "not an absolute path"))
}

/// Sends at most `limit` bytes of a file, and one more if it is longer.
pub(super) fn read(path: &str, limit: u64, mut to: Outgoing) -> Result<()> {
    let failed = |error| Refusal::io(path, &error);
    let mut file = open_to_read(absolute(path)?).map_err(failed)?.take(limit.saturating_add(1));
    io::copy(&mut file, &mut to).and_then(|_| to.flush()).map_err(failed)
}

/// Opens a regular file. A pipe would wait for a writer, a directory would fail only later.
fn open_to_read(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !kind.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    Ok(file)
}

/// Writes a file whole or not at all: beside its place first, then moved there.
pub(super) fn write(path: &str, mode: u32, data: &mut impl Read) -> Result<()> {
    let failed = |error| Refusal::io(path, &error);
    let target = absolute(path)?;
    let (Some(folder), Some(_)) = (target.parent(), target.file_name()) else {
        return Err(Refusal::invalid(path, "not a file's path"));
    };
    fs::create_dir_all(folder).map_err(failed)?;
    let beside = temporary_in(folder);
    let written = write_new(&beside, mode, data).and_then(|()| fs::rename(&beside, target));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written.map_err(failed)
}

fn temporary_in(folder: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    folder.join(format!(".hearth-{}-{count}", std::process::id()))
}

fn write_new(path: &Path, mode: u32, data: &mut impl Read) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        match data.read(&mut buffer)? {
            0 => break,
            length => file.write_all(&buffer[..length])?,
        }
    }
    file.set_permissions(fs::Permissions::from_mode(mode & PERMISSIONS))
}

/// Writes the few small files that a process wants to find when it starts.
pub(super) fn place(new: &[NewFile]) -> Result<()> {
    let mut made: Option<&Path> = None;
    for file in new {
        let failed = |error| Refusal::io(&file.path, &error);
        let target = absolute(&file.path)?;
        let folder = target.parent().ok_or_else(|| Refusal::invalid(&file.path, "not a file's path"))?;
        if made != Some(folder) {
            fs::create_dir_all(folder).map_err(failed)?;
            made = Some(folder);
        }
        let mode = file.mode & PERMISSIONS;
        let mut open = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(target)
            .map_err(failed)?;
        open.write_all(&file.data).map_err(failed)?;
    }
    Ok(())
}

/// How long these files are; zero where there is none.
pub(super) fn sizes(paths: &[String]) -> Vec<u64> {
    paths.iter().map(|path| fs::metadata(path).map_or(0, |found| found.len())).collect()
}

/// Makes a directory and its parents.
pub(super) fn make_dir(path: &str) -> Result<()> {
    fs::create_dir_all(absolute(path)?).map_err(|error| Refusal::io(path, &error))
}

/// Removes a file or tree, links as such. A directory that its owner may not write is made
/// writable first, as a job may leave such trees (Go's module cache).
pub(super) fn remove(path: &str) -> Result<()> {
    let target = absolute(path)?;
    let mut removed = remove_any(target);
    if removed.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied) {
        make_writable(target);
        removed = remove_any(target);
    }
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Refusal::io(path, &error)),
        _ => Ok(()),
    }
}

fn remove_any(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
}

/// Gives the owner all rights to the directories of a tree, as far as that is possible.
fn make_writable(folder: &Path) {
    const OWNER: u32 = 0o700;
    let Ok(found) = fs::symlink_metadata(folder) else { return };
    if !found.is_dir() {
        return;
    }
    let _ = fs::set_permissions(folder, fs::Permissions::from_mode(found.mode() & PERMISSIONS | OWNER));
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        make_writable(&entry.path());
    }
}

/// Looks at what a path leads to.
pub(super) fn stat(path: &str) -> Result<Option<FileStat>> {
    match fs::metadata(absolute(path)?) {
        Ok(found) => Ok(Some(describe(path.to_owned(), &found))),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(Refusal::io(path, &error)),
    }
}

fn describe(path: String, found: &fs::Metadata) -> FileStat {
    let kind = found.file_type();
    let kind = match () {
        () if kind.is_file() => FileKind::File,
        () if kind.is_dir() => FileKind::Directory,
        () if kind.is_symlink() => FileKind::Symlink,
        () => FileKind::Other,
    };
    FileStat { path, kind: kind.into(), size: found.len(), mode: found.mode() & PERMISSIONS }
}

/// Where a walk sends its entries.
pub(super) type Entries = tokio::sync::mpsc::Sender<std::result::Result<WalkResponse, Status>>;

/// Sends everything below `root`, parents first, by name; one entry more than `limit` at the most.
pub(super) fn walk(root: &str, limit: u64, to: &Entries) -> Result<()> {
    let top = absolute(root)?;
    let mut batch = Batch { entries: Vec::new(), bytes: 0, to };
    let mut left = limit.saturating_add(1);
    // Each entry is (path relative to the root, whether it is a directory); the last comes next.
    let mut stack = listed(top, "").map_err(|error| Refusal::io(root, &error))?;
    while let Some(path) = stack.pop() {
        let full = top.join(&path);
        let found = match fs::symlink_metadata(&full) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(Refusal::io(full.to_string_lossy(), &error)),
        };
        if found.is_dir() {
            match listed(&full, &path) {
                Ok(below) => stack.extend(below),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(Refusal::io(full.to_string_lossy(), &error)),
            }
        }
        batch.push(describe(path, &found))?;
        left -= 1;
        if left == 0 {
            break;
        }
    }
    batch.send()
}

/// The names in a directory, each after `prefix`, in reverse order of name.
fn listed(folder: &Path, prefix: &str) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        names.push(if prefix.is_empty() { name.into_owned() } else { format!("{prefix}/{name}") });
    }
    names.sort_unstable_by(|one, other| other.cmp(one));
    Ok(names)
}

/// Entries that travel in one message.
struct Batch<'a> {
    entries: Vec<FileStat>,
    bytes: usize,
    to: &'a Entries,
}

impl Batch<'_> {
    fn push(&mut self, entry: FileStat) -> Result<()> {
        self.bytes += entry.path.len();
        self.entries.push(entry);
        if self.entries.len() >= BATCH_ENTRIES || self.bytes >= BATCH_BYTES { self.send() } else { Ok(()) }
    }

    fn send(&mut self) -> Result<()> {
        self.bytes = 0;
        let entries = std::mem::take(&mut self.entries);
        let gone = |_| Refusal::io("", &io::ErrorKind::ConnectionAborted.into());
        self.to.blocking_send(Ok(WalkResponse { entries })).map_err(gone)
    }
}

/// SHA-256 of a file.
pub(super) fn digest(path: &str) -> Result<bytes::Bytes> {
    let failed = |error| Refusal::io(path, &error);
    let mut file = open_to_read(absolute(path)?).map_err(failed)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut buffer).map_err(failed)? {
            0 => return Ok(bytes::Bytes::copy_from_slice(&hasher.finalize())),
            length => hasher.update(&buffer[..length]),
        }
    }
}
