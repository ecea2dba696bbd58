//! The host's repository, as far as a checkout must know it.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use crate::git::{Git, GitError};

use super::PackError;

/// A git repository around a folder.
pub(super) struct Repository {
    /// The folder that was asked for.
    pub(super) root: PathBuf,
    /// Where its files begin.
    top: PathBuf,
    /// `sha1` or `sha256`.
    pub(super) object_format: String,
    /// The repository's own list of commits whose parents it lacks, if it is a shallow clone.
    pub(super) shallow_file: PathBuf,
    /// URL of `origin` without credentials.
    pub(super) origin: Option<String>,
    /// What a partial clone was made with.
    pub(super) filter: Option<String>,
}

/// What `HEAD` of the job's clone is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Head {
    /// The full hash; `None` before the first commit.
    pub(super) commit: Option<String>,
    /// The branch that is checked out; `None`: detached.
    pub(super) branch: Option<String>,
    /// The tag that was asked for.
    pub(super) tag: Option<String>,
}

impl Repository {
    /// The repository that `root` lies in.
    pub(super) async fn find(root: &Path) -> Result<Option<Self>, PackError> {
        let ask = Git::new("rev-parse").dir(root).args([
            "--show-object-format",
            "--git-path",
            "shallow",
            "--show-toplevel",
        ]);
        let origin = Git::new("config").dir(root).args(["--get", "remote.origin.url"]);
        let (facts, origin) = tokio::join!(ask.output(), origin.text());
        let facts = match facts {
            Ok(facts) => facts,
            Err(GitError::Failed { reason, .. }) if reason.contains("not a git repository") => {
                return Ok(None);
            }
            Err(GitError::Failed { reason, .. }) if reason.contains("must be run in a work tree") => {
                // What lies there are git's own files: settings, which may hold credentials.
                let advice = "run Hearth where its files are, or in a clone that has some";
                return Err(PackError::Refused(format!(
                    "it is git's own folder, or a bare repository; {advice}"
                )));
            }
            Err(GitError::Failed { reason, .. }) if reason.contains("dubious ownership") => {
                let advice = format!("git config --global --add safe.directory '{}'", root.display());
                return Err(PackError::Refused(format!("{reason}; if you trust it: {advice}")));
            }
            Err(error) => return Err(error.into()),
        };
        // The top may hold newlines, so it comes last.
        let mut lines = facts.splitn(3, |&byte| byte == b'\n');
        let mut path = || {
            let line = lines.next().unwrap_or_default();
            PathBuf::from(OsString::from_vec(line.strip_suffix(b"\n").unwrap_or(line).to_vec()))
        };
        let object_format = path().display().to_string();
        let shallow_file = root.join(path());
        let origin = origin.ok().map(|url| without_credentials(&url));
        let (root, top) = (root.to_owned(), path());
        Ok(Some(Repository { root, top, object_format, shallow_file, origin, filter: None }))
    }

    /// A folder beside git's own files that all work trees of the repository share.
    fn shared(&self, name: &str) -> PathBuf {
        self.shallow_file.with_file_name(name)
    }

    /// Git's objects.
    pub(super) fn objects(&self) -> PathBuf {
        self.shared("objects")
    }

    /// Where LFS keeps its files.
    pub(super) fn lfs_storage(&self) -> PathBuf {
        self.shared("lfs")
    }

    /// Whether the folder is all of the repository, and not a folder in it.
    pub(super) fn is_whole(&self) -> bool {
        match (self.root.canonicalize(), self.top.canonicalize()) {
            (Ok(root), Ok(top)) => root == top,
            _ => false,
        }
    }

    /// What is checked out now in the repository that `root` lies in; nothing where there is none.
    pub(super) async fn head(root: &Path) -> Result<Head, PackError> {
        let branch = Git::new("symbolic-ref").dir(root).args(["--quiet", "HEAD"]);
        let (commit, branch) = tokio::join!(commit(root, "HEAD"), branch.text());
        let branch = branch.ok().and_then(|name| name.strip_prefix("refs/heads/").map(str::to_owned));
        Ok(Head { commit: commit?, branch, tag: None })
    }

    /// What the `ref` input means: like `actions/checkout`, a branch before a tag before a commit.
    pub(super) async fn resolve(&self, reference: &str, current: &Head) -> Result<Head, PackError> {
        // The merge commit of a pull request exists on GitHub only; here it is the working tree.
        let is_own = reference.is_empty() || reference == "HEAD" || reference.starts_with("refs/pull/");
        if is_own || current.commit.as_deref() == Some(reference) {
            return Ok(current.clone());
        }
        let name = reference.strip_prefix("refs/heads/").or(reference.strip_prefix("refs/tags/"));
        let (is_branch, is_tag) =
            (!reference.starts_with("refs/tags/"), !reference.starts_with("refs/heads/"));
        let name = name.unwrap_or(reference);
        if is_branch {
            for full in [format!("refs/heads/{name}"), format!("refs/remotes/origin/{name}")] {
                if let Some(commit) = commit(&self.root, &full).await? {
                    return Ok(Head { commit: Some(commit), branch: Some(name.to_owned()), tag: None });
                }
            }
        }
        if is_tag && let Some(commit) = commit(&self.root, &format!("refs/tags/{name}")).await? {
            return Ok(Head { commit: Some(commit), branch: None, tag: Some(name.to_owned()) });
        }
        let is_hash = [40, 64].contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_hash && let Some(commit) = commit(&self.root, name).await? {
            return Ok(Head { commit: Some(commit), branch: None, tag: None });
        }
        Err(PackError::Refused(format!(
            "the local repository has no branch, tag, or commit of this name; try: git fetch origin '{name}'"
        )))
    }
}

/// The commit of a full name, if there is one.
pub(super) async fn commit(root: &Path, name: &str) -> Result<Option<String>, PackError> {
    let ask = Git::new("rev-parse").dir(root).args(["--quiet", "--verify", "--end-of-options"]);
    match ask.arg(format!("{name}^{{commit}}")).text().await {
        Ok(commit) => Ok(Some(commit)),
        Err(GitError::Failed { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A remote's URL as a job may see it: no password, no token, no query.
fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let rest = rest.split(['?', '#']).next().unwrap_or(rest);
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (user, host) = host.rsplit_once('@').unwrap_or(("", host));
    // The user of ssh is part of the address (`git@`); that of https may be a token.
    match user.split(':').next() {
        Some(user) if scheme.ends_with("ssh") && !user.is_empty() => {
            format!("{scheme}://{user}@{host}{path}")
        }
        _ => format!("{scheme}://{host}{path}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remote_url_loses_its_credentials() {
        for (url, shown) in [
            ("https://ghp_token@github.com/o/r", "https://github.com/o/r"),
            ("https://user:pass@github.com/o/r.git", "https://github.com/o/r.git"),
            ("https://user:p@ss@github.com/o/r", "https://github.com/o/r"),
            ("https://github.com/o/r?access_token=x", "https://github.com/o/r"),
            ("ssh://git:secret@host:22/o/r", "ssh://git@host:22/o/r"),
            ("git@github.com:o/r.git", "git@github.com:o/r.git"),
            ("/srv/git/a@b", "/srv/git/a@b"),
        ] {
            assert_eq!(without_credentials(url), shown);
        }
    }
}
