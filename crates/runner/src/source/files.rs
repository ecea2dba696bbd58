//! Which files of a folder belong to the tree.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use crate::CheckoutRequest;
use crate::git::Git;

use super::PackError;

/// Paths relative to the folder, each once, parents before children.
pub(super) type Listing = BTreeSet<PathBuf>;

/// Tracked files and those that are neither tracked nor ignored, with those of submodules if asked for.
pub(super) async fn of_work_tree(root: &Path, request: &CheckoutRequest) -> Result<Listing, PackError> {
    let mut listing = Listing::new();
    let mut repositories = vec![(PathBuf::new(), 0)];
    while let Some((below, depth)) = repositories.pop() {
        for path in list(&root.join(&below)).await? {
            let path = below.join(path);
            let is_folder = root.join(&path).symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
            let wanted = match request.submodules.as_str() {
                "recursive" => true,
                "true" => depth == 0,
                _ => false,
            };
            if is_folder && wanted {
                if !root.join(&path).join(".git").exists() {
                    let advice = "run: git submodule update --init --recursive";
                    let path = path.display();
                    return Err(PackError::Refused(format!("submodule '{path}' is not there; {advice}")));
                }
                repositories.push((path.clone(), depth + 1));
            }
            listing.insert(path);
        }
    }
    Ok(listing)
}

/// What git lists; of folders only those of submodules.
async fn list(folder: &Path) -> Result<Vec<PathBuf>, PackError> {
    let listed = Git::new("ls-files")
        .dir(folder)
        .args(["--cached", "--others", "--exclude-standard", "-z"])
        .output()
        .await?;
    // A slash at the end: a repository that is neither tracked nor a submodule.
    Ok(paths(&listed).filter(|path| !path.ends_with(b"/")).map(to_path).collect())
}

/// The paths of output that ends each with a zero byte.
pub(super) fn paths(output: &[u8]) -> impl Iterator<Item = &[u8]> {
    output.split(|&byte| byte == 0).filter(|path| !path.is_empty())
}

/// A path as git writes it.
pub(super) fn to_path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsString::from_vec(bytes.to_vec()))
}

/// Everything in a folder that is no repository.
pub(super) fn below(root: &Path) -> Result<Listing, PackError> {
    let mut listing = Listing::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let full = root.join(&folder);
        for entry in fs::read_dir(&full).map_err(PackError::io("read", &full))? {
            let entry = entry.map_err(PackError::io("read", &full))?;
            let path = folder.join(entry.file_name());
            let kind = entry.file_type().map_err(PackError::io("read", &entry.path()))?;
            if kind.is_dir() {
                folders.push(path.clone());
            }
            if kind.is_dir() || kind.is_file() || kind.is_symlink() {
                listing.insert(path);
            }
        }
    }
    Ok(listing)
}
