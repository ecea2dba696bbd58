//! Snapshots of machines that are folders: copies of the folders.

use std::fs;
use std::io;
use std::path::Path;

use crate::Snapshot;

/// Writes the manifest of a snapshot beside its files, as drivers of machines do.
pub(super) fn describe(snapshot: &Snapshot) -> io::Result<()> {
    fs::write(snapshot.folder.join("manifest.json"), serde_json::to_vec(snapshot)?)
}

/// Copies a tree of folders, files, and links.
pub(super) fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, to) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            copy_tree(&entry.path(), &to)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(entry.path())?, to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

/// Puts the tree `from` where `to` is.
pub(super) fn replace_tree(from: &Path, to: &Path) -> io::Result<()> {
    match fs::remove_dir_all(to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    copy_tree(from, to)
}
