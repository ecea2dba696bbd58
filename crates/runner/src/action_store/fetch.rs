//! Talks to a remote: what a reference means, and the tree of a commit.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use crate::git::{Git, GitError, last_line};

use super::trees::FetchFolder;

/// Time to list two references of a remote.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(30);

/// Time to fetch one commit; the largest actions ship some hundred megabytes.
const FETCH_TIMEOUT: Duration = Duration::from_secs(600);

/// Bytes of one action's unpacked tree.
const TREE_BYTES: u64 = 4 * 1024 * 1024 * 1024;

/// Files of one action's tree.
const TREE_ENTRIES: usize = 500_000;

/// A server that sends nothing for a minute is taken for dead. One that packs a large repository sends five bytes every
/// five seconds (<https://git-scm.com/docs/git-config#Documentation/git-config.txt-uploadpackkeepAlive>).
pub(crate) const TRANSFER_SETTINGS: [&str; 4] =
    ["protocol.version=2", "http.lowSpeedLimit=1", "http.lowSpeedTime=60", "fetch.writeCommitGraph=false"];

/// What git says when the remote has answered, and the answer is no.
const REFUSALS: [&str; 13] = [
    "not found",
    "does not exist",
    "does not appear to be a git repository",
    "Authentication failed",
    "could not read Username",
    "could not read Password",
    "Permission denied",
    "returned error: 401",
    "returned error: 403",
    "returned error: 404",
    "not our ref",
    "unadvertised object",
    "couldn't find remote ref",
];

/// Why one remote didn't help.
#[derive(Clone, Debug)]
pub(crate) struct RemoteError {
    url: String,
    reason: String,
    pub(super) kind: RemoteErrorKind,
}

/// How it didn't help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RemoteErrorKind {
    /// It has answered, and the answer is no.
    Refused,
    /// It gave no answer.
    Unreachable,
    /// What it gave could not be used on this host.
    Host,
}

impl RemoteError {
    pub(crate) fn from_git(url: &str, error: &GitError) -> Self {
        let reason = error.to_string();
        let is_refusal = REFUSALS.iter().any(|refusal| reason.contains(refusal));
        let kind = match error {
            GitError::TooMuch { .. } => RemoteErrorKind::Refused,
            GitError::Failed { .. } if is_refusal => RemoteErrorKind::Refused,
            GitError::Failed { .. } | GitError::TimedOut { .. } => RemoteErrorKind::Unreachable,
            GitError::Start(_) | GitError::Pipe { .. } => RemoteErrorKind::Host,
        };
        RemoteError { url: without_credentials(url), reason, kind }
    }

    /// What the remote has is not what is wanted.
    pub(crate) fn refused(url: &str, reason: String) -> Self {
        RemoteError { url: without_credentials(url), reason, kind: RemoteErrorKind::Refused }
    }

    /// A file of this host can't be used.
    fn on_host(url: &str, what: &str, error: &io::Error) -> Self {
        // Only `unpack` says so of itself: what is larger than is taken stays so.
        let kind = match error.kind() {
            io::ErrorKind::FileTooLarge if error.raw_os_error().is_none() => RemoteErrorKind::Refused,
            _ => RemoteErrorKind::Host,
        };
        RemoteError { url: without_credentials(url), reason: format!("{what}: {error}"), kind }
    }

    pub(crate) fn no_such_ref(url: &str, reference: &str) -> Self {
        let is_short = (7..40).contains(&reference.len()) && reference.bytes().all(|b| b.is_ascii_hexdigit());
        let hint = if is_short { "; a shortened commit is not supported, write the full one" } else { "" };
        RemoteError::refused(url, format!("it has no branch or tag '{reference}'{hint}"))
    }
}

/// One sentence for all remotes that were tried, with the way out.
pub(crate) fn describe(failures: &[RemoteError]) -> String {
    let told: Vec<String> =
        failures.iter().map(|failure| format!("{}: {}", failure.url, failure.reason)).collect();
    let told = told.join("; ");
    if failures.iter().any(|failure| failure.kind == RemoteErrorKind::Unreachable) {
        let way_out =
            "check the network, or name a mirror: --actions-mirror 'file:///srv/git/{owner}/{repo}'";
        return format!("{told} ({way_out})");
    }
    told
}

/// Asks what a branch or tag means: its full name and commit. A tag wins over a branch of the same
/// name, as on GitHub.
pub(super) async fn resolve(url: &str, reference: &str) -> Result<Option<(String, String)>, RemoteError> {
    let candidates = match reference.starts_with("refs/") {
        true => vec![reference.to_owned()],
        false => vec![format!("refs/tags/{reference}"), format!("refs/heads/{reference}")],
    };
    let peeled = candidates.iter().map(|name| format!("{name}^{{}}"));
    let listing = remote(url, Git::with_settings("ls-remote", &TRANSFER_SETTINGS))
        .timeout(RESOLVE_TIMEOUT)
        .args(["--quiet", "--", url])
        .args(candidates.iter().cloned().chain(peeled))
        .text()
        .await
        .map_err(|error| RemoteError::from_git(url, &error))?;
    let find = |wanted: &str| {
        let mut lines = listing.lines().filter_map(|line| line.split_once('\t'));
        lines.find(|(_commit, name)| *name == wanted).map(|(commit, _name)| commit.to_owned())
    };
    Ok(candidates.into_iter().find_map(|name| {
        let commit = find(&format!("{name}^{{}}")).or_else(|| find(&name))?;
        Some((name, commit))
    }))
}

/// Has git serve a fetch from this URL as [`upload_pack`] says.
pub(crate) fn remote(url: &str, git: Git) -> Git {
    git.args(upload_pack(url).map(|command| format!("--upload-pack={command}")))
}

/// A mirror in a folder may belong to another user. Git then refuses to read it, to guard against
/// settings in it that run programs; but it has been named by the user, and serving a fetch obeys none.
pub(crate) fn upload_pack(url: &str) -> Option<&'static str> {
    url.starts_with("file://").then_some("git -c safe.directory='*' upload-pack")
}

/// Fetching one commit from one remote into a folder that nobody else sees.
pub(super) struct Fetch<'a> {
    pub(super) url: &'a str,
    pub(super) commit: &'a str,
    /// The branch or tag, for servers that give out only those.
    pub(super) full_ref: Option<&'a str>,
    pub(super) folder: &'a FetchFolder,
}

impl Fetch<'_> {
    /// Leaves the tree in [`FetchFolder::tree`].
    pub(super) async fn run(&self) -> Result<(), RemoteError> {
        let told = |error: GitError| RemoteError::from_git(self.url, &error);
        let cleared = self.folder.clear();
        cleared.map_err(|error| RemoteError::on_host(self.url, "can't empty a folder", &error))?;
        let repository = self.folder.repository();
        let format = if self.commit.len() == 64 { "--object-format=sha256" } else { "--object-format=sha1" };
        Git::new("init")
            .args(["--quiet", "--bare", "--template=", format])
            .arg(&repository)
            .output()
            .await
            .map_err(told)?;
        self.fetch_objects(&repository).await.map_err(told)?;
        let (commit, folder) = (self.commit.to_owned(), self.folder.clone());
        let exported = tokio::task::spawn_blocking(move || export(&folder, &commit)).await;
        let exported = exported.unwrap_or_else(|panic| Err(io::Error::other(panic)));
        exported.map_err(|error| RemoteError::on_host(self.url, "can't unpack the commit", &error))
    }

    /// First the commit alone; then, for servers that don't know how, its branch; then everything.
    async fn fetch_objects(&self, repository: &Path) -> Result<(), GitError> {
        let fetch = |depth: &'static [&'static str], what: String| {
            remote(self.url, Git::with_settings("fetch", &TRANSFER_SETTINGS))
                .dir(repository)
                .timeout(FETCH_TIMEOUT)
                .args(["--quiet", "--no-tags", "--no-recurse-submodules"])
                .args(depth)
                .args(["--", self.url])
                .arg(what)
                .output()
        };
        let first = match fetch(&["--depth=1"], self.commit.to_owned()).await {
            Ok(_nothing) => return Ok(()),
            Err(error @ GitError::Failed { .. }) => error,
            Err(error) => return Err(error),
        };
        let told = first.to_string();
        let asks_for_branch =
            ["unadvertised", "not our ref", "dumb http"].iter().any(|why| told.contains(why));
        if !asks_for_branch {
            return Err(first);
        }
        match self.full_ref {
            Some(full_ref) => fetch(&[], full_ref.to_owned()).await?,
            None => fetch(&[], "+refs/*:refs/*".to_owned()).await?,
        };
        let has_commit = Git::new("cat-file").dir(repository).args(["-e", self.commit]).output().await;
        has_commit.map(|_nothing| ()).map_err(|_missing| first)
    }
}

/// `git archive` is what GitHub's own download of an action is: `export-ignore` is honoured.
fn export(folder: &FetchFolder, commit: &str) -> io::Result<()> {
    let mut child = Git::with_settings("archive", &["tar.umask=0022"])
        .dir(&folder.repository())
        .args(["--format=tar", commit])
        .into_std()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let unpacked = match child.stdout.take() {
        Some(stdout) => unpack(stdout, &folder.tree()),
        None => Ok(()),
    };
    let output = child.wait_with_output()?;
    if !output.status.success() {
        return Err(io::Error::other(last_line(&output.stderr, &output.status.to_string())));
    }
    unpacked
}

fn unpack(stream: impl io::Read, into: &Path) -> io::Result<()> {
    std::fs::create_dir_all(into)?;
    let mut archive = tar::Archive::new(stream);
    let (mut bytes, mut entries) = (0_u64, 0_usize);
    for entry in archive.entries()? {
        let mut entry = entry?;
        bytes = bytes.saturating_add(entry.size());
        entries += 1;
        if bytes > TREE_BYTES || entries > TREE_ENTRIES {
            let why = format!("it is larger than {TREE_BYTES} bytes or has more than {TREE_ENTRIES} files");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
        }
        entry.unpack_in(into)?;
    }
    // What follows the last entry is padding; git must get rid of it before it can end.
    io::copy(&mut archive.into_inner(), &mut io::sink())?;
    Ok(())
}

/// A URL as it may be shown: without user and password.
fn without_credentials(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let host = host.rsplit_once('@').map_or(host, |(_credentials, host)| host);
            format!("{scheme}://{host}{path}")
        }
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_of_a_mirror_are_not_shown() {
        assert_eq!(without_credentials("https://u:p@h/o/r"), "https://h/o/r");
        assert_eq!(without_credentials("file:///srv/a@b/r"), "file:///srv/a@b/r");
    }

    #[test]
    fn a_shortened_commit_is_explained() {
        let error = RemoteError::no_such_ref("https://h/o/r", "abcdef1");
        assert!(describe(&[error]).contains("write the full one"));
    }
}
