//! Packs files as a tar stream, with no more in memory than one buffer.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::archive_stream::ArchiveStream;

use super::files::{self, Listing};
use super::history::History;

/// Files that are packed together.
pub(super) struct Part {
    root: PathBuf,
    /// Folder in the archive.
    prefix: PathBuf,
    which: Which,
    _history: Option<Arc<History>>,
}

enum Which {
    Listed(Listing),
    Everything,
    Nothing,
}

impl Part {
    /// These files of a folder.
    pub(super) fn listed(root: &Path, listing: Listing) -> Self {
        Part { root: root.to_owned(), prefix: PathBuf::new(), which: Which::Listed(listing), _history: None }
    }

    /// Everything of a folder, under another name.
    pub(super) fn folder(root: PathBuf, name: &str) -> Self {
        Part { root, prefix: PathBuf::from(name), which: Which::Everything, _history: None }
    }

    /// The committed files.
    pub(super) fn held(history: Arc<History>) -> Self {
        let root = history.work_tree();
        Part { root, prefix: PathBuf::new(), which: Which::Everything, _history: Some(history) }
    }

    /// No files: keeps the history's folder until the stream has ended.
    pub(super) fn keep_alive(history: Arc<History>) -> Self {
        Part { which: Which::Nothing, ..Part::held(history) }
    }
}

/// Starts packing.
pub(super) fn stream(parts: Vec<Part>) -> ArchiveStream {
    ArchiveStream::packing(move |archive| parts.iter().try_for_each(|part| pack(archive, part)))
}

fn pack(archive: &mut tar::Builder<impl Write>, part: &Part) -> io::Result<()> {
    let everything;
    let listing = match &part.which {
        Which::Listed(listing) => listing,
        Which::Everything => {
            everything = files::below(&part.root).map_err(io::Error::other)?;
            &everything
        }
        Which::Nothing => return Ok(()),
    };
    let mut folders = HashSet::new();
    for path in listing {
        let parent = path.parent().unwrap_or(Path::new(""));
        if is_real_folder(&part.root, parent, &mut folders) {
            let named = |error: io::Error| {
                let full = part.root.join(path);
                io::Error::new(error.kind(), format!("can't pack {}: {error}", full.display()))
            };
            append(archive, &part.root.join(path), &part.prefix.join(path)).map_err(named)?;
        }
    }
    Ok(())
}

/// Whether the path leads to a folder without going through a link. Where a link has taken the place of
/// a folder, the files that git remembers below it are gone; what lies behind the link is not the tree's.
fn is_real_folder<'a>(root: &Path, path: &'a Path, known: &mut HashSet<&'a Path>) -> bool {
    if path.as_os_str().is_empty() || known.contains(path) {
        return true;
    }
    let parent_is_real = path.parent().is_none_or(|parent| is_real_folder(root, parent, known));
    let is_real =
        parent_is_real && root.join(path).symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
    if is_real {
        known.insert(path);
    }
    is_real
}

/// Adds one file, link, or folder. One that git lists but that is gone was deleted: it is left out.
fn append(archive: &mut tar::Builder<impl Write>, from: &Path, name: &Path) -> io::Result<()> {
    let metadata = match fs::symlink_metadata(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        metadata => metadata?,
    };
    let mut header = tar::Header::new_gnu();
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(0);
    header.set_mtime(modified(&metadata));
    header.set_mode(mode(&metadata));
    if metadata.is_symlink() {
        header.set_entry_type(tar::EntryType::Symlink);
        return archive.append_link(&mut header, name, fs::read_link(from)?);
    }
    if metadata.is_dir() {
        header.set_entry_type(tar::EntryType::Directory);
        return archive.append_data(&mut header, name, io::empty());
    }
    if !metadata.is_file() {
        return Ok(());
    }
    let file = File::open(from)?;
    let size = file.metadata()?.len();
    header.set_size(size);
    archive.append_data(&mut header, name, Exactly { file, left: size })
}

/// A clone has two modes only.
fn mode(metadata: &fs::Metadata) -> u32 {
    if metadata.is_dir() || metadata.permissions().mode() & 0o100 != 0 { 0o755 } else { 0o644 }
}

fn modified(metadata: &fs::Metadata) -> u64 {
    let time = metadata.modified().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    time.map_or(0, |since| since.as_secs())
}

/// Gives as many bytes as the header has promised, even if the file grows meanwhile.
struct Exactly {
    file: File,
    left: u64,
}

impl Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = (&self.file).take(self.left).read(buffer)?;
        self.left -= count as u64;
        if count == 0 && self.left > 0 && !buffer.is_empty() {
            return Err(io::Error::other("it became shorter while it was read"));
        }
        Ok(count)
    }
}
