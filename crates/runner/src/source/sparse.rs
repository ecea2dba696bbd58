//! Sparse checkouts. Git itself decides which paths a pattern means, so that it means the same here.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::CheckoutRequest;

use super::PackError;
use super::files::{Listing, paths, to_path};
use super::history::History;

/// Writes the patterns to where git looks for them.
pub(super) fn write(git_dir: &Path, request: &CheckoutRequest) -> Result<(), PackError> {
    let text = match request.cone_mode {
        true => cone_patterns(&request.sparse_checkout),
        false => request.sparse_checkout.join("\n") + "\n",
    };
    let file = git_dir.join("info/sparse-checkout");
    fs::write(&file, text).map_err(PackError::io("write", &file))
}

/// The patterns that `git sparse-checkout set --cone` makes of a list of folders: the files at the top,
/// the files of each folder on the way, and everything below the folders that were named.
fn cone_patterns(folders: &[String]) -> String {
    let clean = |folder: &String| folder.trim_matches('/').to_owned();
    let named: BTreeSet<String> = folders.iter().map(clean).filter(|folder| !folder.is_empty()).collect();
    let mut on_the_way = BTreeSet::new();
    for folder in &named {
        let cuts = folder.match_indices('/').map(|(index, _slash)| folder[..index].to_owned());
        on_the_way.extend(cuts);
    }
    let mut text = "/*\n!/*/\n".to_owned();
    for folder in on_the_way.difference(&named) {
        let folder = escaped(folder);
        text += &format!("/{folder}/\n!/{folder}/*/\n");
    }
    for folder in &named {
        text += &format!("/{}/\n", escaped(folder));
    }
    text
}

fn escaped(folder: &str) -> String {
    let special = |c: char| matches!(c, '*' | '?' | '[' | '\\');
    folder.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
}

/// Those of the listed paths that the patterns include. `history` was made with the patterns.
pub(super) async fn select(history: &History, listed: Listing) -> Result<Listing, PackError> {
    let output = history.git("ls-files").args(["-t", "-z"]).output().await?;
    let (mut committed, mut included) = (HashSet::new(), HashSet::new());
    marked(&output, &mut committed, &mut included);
    let others: Vec<PathBuf> = listed.iter().filter(|path| !committed.contains(*path)).cloned().collect();
    if !others.is_empty() {
        let output = list_as_if_committed(history, &others).await?;
        marked(&output, &mut committed, &mut included);
    }
    Ok(listed.into_iter().filter(|path| included.contains(path)).collect())
}

/// Reads `ls-files -t`: `S` marks what a sparse checkout leaves out.
fn marked(output: &[u8], all: &mut HashSet<PathBuf>, included: &mut HashSet<PathBuf>) {
    for line in paths(output) {
        let Some((mark, path)) = line.split_at_checked(2) else { continue };
        all.insert(to_path(path));
        if mark != b"S " {
            included.insert(to_path(path));
        }
    }
}

/// Files that no commit has are put into a tree of their own, with any content, to see what git leaves out.
async fn list_as_if_committed(history: &History, others: &[PathBuf]) -> Result<Vec<u8>, PackError> {
    use std::os::unix::ffi::OsStrExt;
    // Other jobs may use the same history, so nothing is written into it.
    let scratch = tempfile::tempdir_in(history.scratch()).map_err(PackError::io("use", history.scratch()))?;
    let index = || scratch.path().join("index");
    let git = |subcommand: &str| {
        let git = history.git(subcommand).env("GIT_INDEX_FILE", index()).env("GIT_WORK_TREE", scratch.path());
        git.env("GIT_OBJECT_DIRECTORY", scratch.path())
    };
    let blob = git("hash-object").args(["-w", "--stdin"]).input(*b"").text().await?;
    let mut entries = Vec::new();
    for path in others {
        entries.extend_from_slice(format!("100644 {blob} 0\t").as_bytes());
        entries.extend_from_slice(path.as_os_str().as_bytes());
        entries.push(0);
    }
    git("update-index").args(["-z", "--add", "--index-info"]).input(entries).output().await?;
    let tree = git("write-tree").text().await?;
    fs::remove_file(index()).map_err(PackError::io("remove", &index()))?;
    git("read-tree").args(["-m", "-u", &tree]).output().await?;
    Ok(git("ls-files").args(["-t", "-z"]).output().await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cone_holds_the_files_on_the_way_and_all_below() {
        let patterns = cone_patterns(&["a/b/".to_owned(), "/c*".to_owned()]);
        assert_eq!(patterns, "/*\n!/*/\n/a/\n!/a/*/\n/a/b/\n/c\\*/\n");
    }
}
