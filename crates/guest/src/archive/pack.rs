//! Packing.

use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::libc::{O_NOFOLLOW, O_NONBLOCK};
use tar::{Builder, EntryType, Header};

const PERMISSIONS: u32 = 0o7777;
/// Most that is read of a file that says it is empty, as those of `/proc` and `/sys` do.
const UNSAID_BYTES: u64 = 16 * 1024 * 1024;

/// Packs `root` as a tar stream: a file under its own name, a directory as all that is below
/// it. Names are relative, in order; links are packed as links; sockets, pipes, and devices are
/// left out. A file that changes meanwhile is cut or filled with zeros to the size it had.
/// One that is packed by itself and says that it is empty, as those of `/proc` do, is packed with what it holds.
///
/// # Errors
/// When a file can't be read (the message names it), or `to` can't be written.
pub fn pack(root: &Path, to: impl Write) -> io::Result<()> {
    let found = fs::metadata(root).map_err(|error| about(root, &error))?;
    if !found.is_dir() {
        let name = root.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        return pack_file_as(root, Path::new(name), to);
    }
    let mut tar = Builder::new(to);
    pack_below(&mut tar, root)?;
    tar.into_inner()?.flush()
}

/// Packs one file as a tar stream, under another name; otherwise as [`pack`] does.
///
/// # Errors
/// When the file can't be read (the message names it), or `to` can't be written.
pub fn pack_file_as(file: &Path, name: &Path, to: impl Write) -> io::Result<()> {
    let mut tar = Builder::new(to);
    pack_file(&mut tar, file, name, true)?;
    tar.into_inner()?.flush()
}

fn pack_below(tar: &mut Builder<impl Write>, root: &Path) -> io::Result<()> {
    let mut stack = listed(root, Path::new(""))?;
    while let Some(name) = stack.pop() {
        let path = root.join(&name);
        let found = match fs::symlink_metadata(&path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(about(&path, &error)),
        };
        if found.is_dir() {
            stack.extend(listed(&path, &name)?);
            let mut header = header_of(&found, EntryType::Directory);
            header.set_size(0);
            tar.append_data(&mut header, &name, io::empty())?;
        } else if found.is_symlink() {
            let target = fs::read_link(&path).map_err(|error| about(&path, &error))?;
            let mut header = header_of(&found, EntryType::Symlink);
            header.set_size(0);
            tar.append_link(&mut header, &name, target)?;
        } else if found.is_file() {
            pack_file(tar, &path, &name, false)?;
        }
    }
    Ok(())
}

/// The names in a directory, each after `prefix`, in reverse order.
fn listed(folder: &Path, prefix: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(|error| about(folder, &error))?;
    let mut names = entries
        .map(|entry| entry.map(|entry| prefix.join(entry.file_name())))
        .collect::<io::Result<Vec<_>>>()
        .map_err(|error| about(folder, &error))?;
    names.sort_unstable_by(|one, other| other.cmp(one));
    Ok(names)
}

fn pack_file(tar: &mut Builder<impl Write>, path: &Path, name: &Path, follow: bool) -> io::Result<()> {
    // Between the look and this it may have become a link or a pipe.
    let flags = O_NONBLOCK | if follow { 0 } else { O_NOFOLLOW };
    let mut file =
        File::options().read(true).custom_flags(flags).open(path).map_err(|error| about(path, &error))?;
    let found = file.metadata().map_err(|error| about(path, &error))?;
    if !found.is_file() {
        return Err(about(path, &io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")));
    }
    let mut header = header_of(&found, EntryType::Regular);
    let mut unsaid = Vec::new();
    if follow && found.len() == 0 {
        let read = Read::by_ref(&mut file).take(UNSAID_BYTES + 1).read_to_end(&mut unsaid);
        read.map_err(|error| about(path, &error))?;
        if unsaid.len() as u64 > UNSAID_BYTES {
            let reason = format!("says that it is empty, and holds more than {UNSAID_BYTES} bytes");
            return Err(about(path, &io::Error::other(reason)));
        }
    }
    let length = found.len().max(unsaid.len() as u64);
    header.set_size(length);
    let filled = unsaid.as_slice().chain(file).chain(io::repeat(0)).take(length);
    tar.append_data(&mut header, name, filled)
}

fn header_of(found: &Metadata, kind: EntryType) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(found.mode() & PERMISSIONS);
    header.set_mtime(u64::try_from(found.mtime()).unwrap_or(0));
    header
}

fn about(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
