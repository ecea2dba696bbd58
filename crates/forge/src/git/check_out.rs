//! A commit's files in a folder, beside the mirror that has its objects.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use super::command::Git;
use super::{Mirror, MirrorError};

/// How long files may take to be written: those of the largest repositories, on a slow disk.
const CHECK_OUT_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// Bytes of the list of branches and tags: some hundred thousand of them.
const MAX_REFS: usize = 64 * 1024 * 1024;

/// Bytes that git may say of a checkout.
const MAX_SAID: usize = 64 * 1024;

/// Large files are fetched by whoever asks for them, with what lets them in.
const WITHOUT_LFS: [&str; 6] =
    ["-c", "filter.lfs.smudge=", "-c", "filter.lfs.process=", "-c", "filter.lfs.required=false"];

impl Mirror {
    /// Writes the files of a commit into `folder`, which must not exist, with a `.git` that borrows the mirror's
    /// objects: it is good for as long as the mirror is. What is checked out is the branch `reference`
    /// (`refs/heads/…`), or the bare commit for every other ref; `url` becomes its `origin`.
    ///
    /// # Errors
    /// The commit is not here, or the disk is full.
    pub async fn check_out(
        &self,
        sha: &str,
        reference: &str,
        url: &str,
        folder: &Path,
    ) -> Result<(), MirrorError> {
        let sha = self.known(sha)?;
        let listing = "--format=%(objectname) %(refname)";
        let args = ["for-each-ref", listing, "refs/heads", "refs/tags"];
        let refs = self.read("list the refs of", MAX_REFS, "the list of refs", &args, b"").await?;
        let refs = packed_refs(&String::from_utf8_lossy(&refs), sha, reference);
        let git_dir = folder.join(".git");
        let objects = self.path().join("objects");
        let made = make(&git_dir, &objects, (&head(sha, reference), sha.len() == 64), &refs, url);
        made.map_err(|source| MirrorError::Folder { path: folder.to_owned(), source })?;
        let git = Git { folder: &git_dir, timeout: CHECK_OUT_TIMEOUT, limit: MAX_SAID, auth: None };
        let work_tree = format!("--work-tree={}", folder.display());
        let reset = [work_tree.as_str(), "reset", "--quiet", "--hard", "--end-of-options", sha];
        let args: Vec<&str> = WITHOUT_LFS.into_iter().chain(reset).collect();
        let done = self.checked("check out", CHECK_OUT_TIMEOUT, git.run(&args, b"").await);
        self.judged(Some(sha), done).await.map(drop)
    }
}

fn head(sha: &str, reference: &str) -> String {
    match reference.strip_prefix("refs/heads/") {
        Some(_) => format!("ref: {reference}\n"),
        None => format!("{sha}\n"),
    }
}

/// The mirror's branches as those of `origin`, its tags, and the branch that is checked out.
fn packed_refs(listing: &str, sha: &str, reference: &str) -> String {
    let mut refs: Vec<(String, &str)> = listing
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(object, name)| match name.strip_prefix("refs/heads/") {
            Some(branch) => (format!("refs/remotes/origin/{branch}"), object),
            None => (name.to_owned(), object),
        })
        .collect();
    if reference.starts_with("refs/heads/") {
        refs.push((reference.to_owned(), sha));
    }
    refs.sort();
    let lines = refs.into_iter().map(|(name, object)| format!("{object} {name}\n"));
    std::iter::once("# pack-refs with: sorted\n".to_owned()).chain(lines).collect()
}

fn make(
    git_dir: &Path,
    objects: &Path,
    (head, is_sha256): (&str, bool),
    refs: &str,
    url: &str,
) -> io::Result<()> {
    for folder in ["objects/info", "refs"] {
        fs::create_dir_all(git_dir.join(folder))?;
    }
    let mut alternates = objects.as_os_str().as_bytes().to_vec();
    alternates.push(b'\n');
    fs::write(git_dir.join("objects/info/alternates"), alternates)?;
    let format = match is_sha256 {
        true => "\trepositoryformatversion = 1\n[extensions]\n\tobjectFormat = sha256\n",
        false => "\trepositoryformatversion = 0\n",
    };
    let quoted = url.replace('\\', "\\\\").replace('"', "\\\"");
    let config = format!(
        "[core]\n{format}[remote \"origin\"]\n\turl = \"{quoted}\"\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n"
    );
    fs::write(git_dir.join("config"), config)?;
    fs::write(git_dir.join("packed-refs"), refs)?;
    fs::write(git_dir.join("HEAD"), head)
}
