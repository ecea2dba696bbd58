//! Contents that git does not have at hand while it writes the files of a commit: what a partial clone left out,
//! and what LFS keeps elsewhere.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::git::{Git, GitError};

use super::PackError;
use super::files::{paths, to_path};

/// Time to fetch contents: ample for the largest.
const FETCH_TIMEOUT: Duration = Duration::from_secs(1800);

/// How a pointer to an LFS file begins: <https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md>.
const POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// A pointer is smaller than this; so says the same page.
const POINTER_BYTES: u64 = 1024;

/// How `git lfs install` sets git up.
pub(super) const LFS_FILTER: [(&str, &str); 4] = [
    ("clean", "git-lfs clean -- %f"),
    ("smudge", "git-lfs smudge -- %f"),
    ("process", "git-lfs filter-process"),
    ("required", "true"),
];

/// Lets a git command fetch, with settings of its own.
pub(super) type LetIn<'a> = &'a (dyn Fn(Git, &[(String, String)]) -> Git + Send + Sync);

/// Where they come from.
#[derive(Clone)]
pub(super) enum Contents<'a> {
    /// Nothing is missing.
    AtHand,
    /// LFS files lie in this folder of the host.
    Stored(PathBuf),
    /// A server has what is missing.
    Fetched(LetIn<'a>),
}

impl Contents<'_> {
    /// Makes a command that writes files able to get at them. On GitHub's runners the user's own settings decide
    /// nothing; here they say how to reach the server, and no more: attributes in a tree can't start the user's
    /// filters.
    pub(super) async fn supply(&self, git: Git, is_lfs: bool) -> Result<Git, PackError> {
        let own = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let mut settings = vec![own("core.autocrlf", "false"), own("core.attributesFile", "/dev/null")];
        let git = match self {
            Contents::AtHand | Contents::Stored(_) => {
                git.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1")
            }
            Contents::Fetched(_) => {
                settings.extend(filters_off().await?);
                git.timeout(FETCH_TIMEOUT)
            }
        };
        let is_lfs = is_lfs && !matches!(self, Contents::AtHand);
        if is_lfs {
            settings.extend(LFS_FILTER.map(|(key, value)| (format!("filter.lfs.{key}"), value.to_owned())));
        }
        if let Contents::Stored(folder) = self {
            settings.push(("lfs.storage".to_owned(), folder.display().to_string()));
            // What is not there is not fetched behind the user's back.
            settings.push(own("lfs.url", "file:///nowhere"));
        }
        let git = git.env("GIT_LFS_SKIP_SMUDGE", if is_lfs { "0" } else { "1" });
        Ok(match self {
            Contents::Fetched(let_in) => let_in(git, &settings),
            Contents::AtHand | Contents::Stored(_) => git.unseen_settings(&settings),
        })
    }
}

/// Settings that make every filter of the user do nothing.
async fn filters_off() -> Result<Vec<(String, String)>, PackError> {
    let ask = Git::new("config").args(["--name-only", "--null", "--get-regexp", r"^filter\."]);
    let names = match ask.output().await {
        Ok(names) => names,
        Err(GitError::Failed { .. }) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let drivers: BTreeSet<String> = paths(&names)
        .filter_map(|name| Some(String::from_utf8_lossy(name).rsplit_once('.')?.0.to_owned()))
        .collect();
    let off = |driver: &String| {
        [("clean", ""), ("smudge", ""), ("process", ""), ("required", "false")]
            .map(|(key, value)| (format!("{driver}.{key}"), value.to_owned()))
    };
    Ok(drivers.iter().flat_map(off).collect())
}

/// Whether git-lfs is there.
pub(super) async fn need_lfs() -> Result<(), PackError> {
    match Git::new("lfs").arg("version").output().await {
        Ok(_version) => Ok(()),
        Err(GitError::Failed { .. }) => Err(PackError::Refused(
            "'lfs: true' needs git-lfs on this host: install it (Debian, Ubuntu: apt-get install git-lfs), or leave \
             'lfs' out"
                .to_owned(),
        )),
        Err(error) => Err(error.into()),
    }
}

/// Refuses a working tree in which pointers stand for LFS files.
pub(super) async fn refuse_pointers(root: &Path) -> Result<(), PackError> {
    let listed = Git::new("ls-files").dir(root).args(["--cached", "-z", "--", ":(attr:filter=lfs)"]).output();
    let listed = listed.await?;
    let is_pointer = |path: &PathBuf| pointer(&root.join(path)).unwrap_or(false);
    match paths(&listed).map(to_path).find(is_pointer) {
        None => Ok(()),
        Some(path) => Err(PackError::Refused(format!(
            "'{}' is not there, only what LFS keeps in its place; run: git lfs pull",
            path.display()
        ))),
    }
}

fn pointer(file: &Path) -> io::Result<bool> {
    let metadata = fs::symlink_metadata(file)?;
    Ok(metadata.is_file() && metadata.len() < POINTER_BYTES && fs::read(file)?.starts_with(POINTER))
}
