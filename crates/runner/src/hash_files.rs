//! `hashFiles`: one digest for all files that patterns match.
//!
//! The SHA-256 of each file is hashed, in the order of a depth-first walk with sorted names, as
//! GitHub's runner does it; no match gives an empty text.

use std::cmp::Ordering;
use std::fmt::Write as _;

use guest::client::{FileKind, Guest, GuestError};
use indexmap::IndexSet;
use sha2::{Digest, Sha256};

use crate::glob::{Patterns, is_below};

/// Entries of a workspace that are looked at: far more than the largest known monorepos check out.
const WALK_ENTRIES: usize = 2_000_000;

/// Why there is no digest.
#[derive(Debug, thiserror::Error)]
pub enum HashFilesError {
    /// A pattern is wrong.
    #[error("hashFiles('{patterns}') failed. {reason}")]
    Pattern {
        /// All patterns.
        patterns: String,
        /// What is wrong.
        reason: String,
    },
    /// The machine could not be asked.
    #[error(transparent)]
    Machine(#[from] GuestError),
}

/// The digest of what `arguments` match in `workspace`.
pub async fn hash_files(
    guest: &Guest,
    workspace: &str,
    home: &str,
    arguments: &[String],
) -> Result<String, HashFilesError> {
    let wrong = |reason: String| HashFilesError::Pattern { patterns: arguments.join(", "), reason };
    let (follow, lines) = options(arguments).map_err(wrong)?;
    let patterns = Patterns::parse(lines.iter().map(String::as_str), workspace, home).map_err(wrong)?;
    let mut files = IndexSet::new();
    for root in patterns.search_paths() {
        let found = search(guest, root, workspace, follow).await?;
        files.extend(found.into_iter().filter(|file| is_below(file, workspace) && patterns.matches(file)));
    }
    if files.is_empty() {
        return Ok(String::new());
    }
    let digests = guest.digest(files.into_iter().collect()).await?;
    Ok(combine(&digests))
}

/// Whether links are followed, and the patterns.
fn options(arguments: &[String]) -> Result<(bool, &[String]), String> {
    match arguments.split_first() {
        Some((first, rest)) if first.eq_ignore_ascii_case("--follow-symbolic-links") => Ok((true, rest)),
        Some((first, _)) if first.starts_with("--") => {
            Err(format!("Invalid glob option {first}, avaliable option: '--follow-symbolic-links'."))
        }
        _ => Ok((false, arguments)),
    }
}

/// Absolute paths of all files below `root` that lie in the workspace, in order.
async fn search(
    guest: &Guest,
    root: &str,
    workspace: &str,
    follow: bool,
) -> Result<Vec<String>, HashFilesError> {
    // A pattern above the workspace can only match what is in it.
    let start = if is_below(workspace, root) { workspace } else { root };
    if start != workspace && !is_below(start, workspace) {
        return Ok(Vec::new());
    }
    let mut files = Vec::new();
    let mut folders = vec![start.to_owned()];
    let mut seen = Vec::new();
    while let Some(folder) = folders.pop() {
        let Some(stat) = guest.stat(&folder).await? else { continue };
        if stat.kind != FileKind::Directory {
            files.push(folder);
            continue;
        }
        if seen.contains(&folder) || seen.len() > MAX_LINKED_FOLDERS {
            continue;
        }
        seen.push(folder.clone());
        for entry in guest.walk(&folder, WALK_ENTRIES).await? {
            let path = format!("{}/{}", folder.trim_end_matches('/'), entry.path);
            match entry.kind {
                FileKind::File => files.push(path),
                FileKind::Symlink => match guest.stat(&path).await? {
                    Some(target) if target.kind == FileKind::File => files.push(path),
                    Some(target) if follow && target.kind == FileKind::Directory => folders.push(path),
                    _ => {}
                },
                FileKind::Directory | FileKind::Other => {}
            }
        }
    }
    files.sort_by(|a, b| by_segments(a, b));
    Ok(files)
}

/// Linked folders that are followed at most: links may go round in circles.
const MAX_LINKED_FOLDERS: usize = 1000;

fn by_segments(a: &str, b: &str) -> Ordering {
    a.split('/').map(str::as_bytes).cmp(b.split('/').map(str::as_bytes))
}

fn combine(digests: &[[u8; 32]]) -> String {
    let mut all = Sha256::new();
    for digest in digests {
        all.update(digest);
    }
    all.finalize().iter().fold(String::with_capacity(64), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_that_of_a_depth_first_walk() {
        let mut paths = ["/w/a.txt", "/w/a/b", "/w/B", "/w/a-b/c"];
        paths.sort_by(|a, b| by_segments(a, b));
        assert_eq!(paths, ["/w/B", "/w/a/b", "/w/a-b/c", "/w/a.txt"]);
    }

    #[test]
    fn the_digest_is_that_of_the_digests() {
        let one: [u8; 32] = Sha256::digest(b"x").into();
        let whole: [u8; 32] = Sha256::digest(one).into();
        let text: String = whole.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(combine(&[one]), text);
    }

    #[test]
    fn an_unknown_option_is_refused() {
        assert!(options(&["--nope".to_owned()]).is_err());
        let follow = ["--Follow-Symbolic-Links".to_owned(), "a".to_owned()];
        assert_eq!(options(&follow).unwrap(), (true, &follow[1..]));
    }
}
