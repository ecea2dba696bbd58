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

/// Most that one action may unpack to: some hundred times the usual ones.
const LARGEST_TREE: TreeBound = TreeBound { bytes: 4 * 1024 * 1024 * 1024, entries: 500_000 };

/// A server that sends nothing for a minute is taken for dead. One that packs a large repository keeps the connection
/// alive with five bytes every five seconds, which curl counts as nothing: [`TRANSFER_FLAGS`] have it say more
/// (<https://git-scm.com/docs/git-config#Documentation/git-config.txt-uploadpackkeepAlive>).
pub(crate) const TRANSFER_SETTINGS: [&str; 4] =
    ["protocol.version=2", "http.lowSpeedLimit=1", "http.lowSpeedTime=60", "fetch.writeCommitGraph=false"];

/// Arguments of every fetch: quiet itself, it has the server say how far it is, some dozen bytes a second.
pub(crate) const TRANSFER_FLAGS: [&str; 4] =
    ["--quiet", "--progress", "--no-tags", "--no-recurse-submodules"];

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

/// How much a tree may have.
#[derive(Clone, Copy, Debug)]
struct TreeBound {
    bytes: u64,
    /// Files and folders.
    entries: usize,
}

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
        let kind = match is_too_large(error) {
            // It stays so.
            true => RemoteErrorKind::Refused,
            false => RemoteErrorKind::Host,
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
        let exported = tokio::task::spawn_blocking(move || export(&folder, &commit, LARGEST_TREE)).await;
        let exported = exported.unwrap_or_else(|panic| Err(io::Error::other(panic)));
        exported.map_err(|error| RemoteError::on_host(self.url, "can't unpack the commit", &error))
    }

    /// First the commit alone; then, for servers that don't know how, its branch; then everything.
    async fn fetch_objects(&self, repository: &Path) -> Result<(), GitError> {
        let fetch = |depth: &'static [&'static str], what: String| {
            remote(self.url, Git::with_settings("fetch", &TRANSFER_SETTINGS))
                .dir(repository)
                .timeout(FETCH_TIMEOUT)
                .args(TRANSFER_FLAGS)
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
fn export(folder: &FetchFolder, commit: &str, bound: TreeBound) -> io::Result<()> {
    let mut child = Git::with_settings("archive", &["tar.umask=0022"])
        .dir(&folder.repository())
        .args(["--format=tar", commit])
        .into_std()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let unpacked = match child.stdout.take() {
        Some(stdout) => unpack(stdout, &folder.tree(), bound),
        None => Ok(()),
    };
    let output = child.wait_with_output()?;
    match unpacked {
        // Git dies of its pipe, which `unpack` closes when it fails, and says nothing of that.
        Err(error) if is_too_large(&error) || output.stderr.is_empty() => Err(error),
        _ if !output.status.success() => {
            Err(io::Error::other(last_line(&output.stderr, &output.status.to_string())))
        }
        unpacked => unpacked,
    }
}

/// Whether that is what [`unpack`] says of a tree that is larger than is taken; the system says it of its own files.
fn is_too_large(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::FileTooLarge && error.raw_os_error().is_none()
}

fn unpack(stream: impl io::Read, into: &Path, bound: TreeBound) -> io::Result<()> {
    std::fs::create_dir_all(into)?;
    let mut archive = tar::Archive::new(stream);
    let (mut bytes, mut entries) = (0_u64, 0_usize);
    for entry in archive.entries()? {
        let mut entry = entry?;
        bytes = bytes.saturating_add(entry.size());
        entries += 1;
        if bytes > bound.bytes || entries > bound.entries {
            let TreeBound { bytes, entries } = bound;
            let why = format!("it is larger than {bytes} bytes or has more than {entries} files");
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
    fn an_action_that_is_too_large_is_told_as_that_and_not_fetched_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let fetched = FetchFolder::at(folder.path());
        let git = |args: &[&str]| {
            let author = ["-c", "user.name=mona", "-c", "user.email=mona@example.com"];
            let mut git = std::process::Command::new("git");
            let output = git.args(author).args(args).current_dir(folder.path()).output().expect("git");
            assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        };
        git(&["init", "-q", "work"]);
        // More than a pipe holds, so that git still writes when its reader has had enough.
        for name in ["a", "b"] {
            std::fs::write(folder.path().join("work").join(name), "x".repeat(4 << 20)).expect("written");
        }
        git(&["-C", "work", "add", "-A"]);
        git(&["-C", "work", "commit", "-q", "-m", "Add much"]);
        let commit = git(&["-C", "work", "rev-parse", "HEAD"]);
        git(&["clone", "-q", "--bare", "work", "repository"]);

        let bound = TreeBound { bytes: 1 << 20, entries: 10 };
        let error = export(&fetched, &commit, bound).expect_err("it is too large");
        let error = RemoteError::on_host("https://h/o/r", "can't unpack the commit", &error);
        assert_eq!(error.kind, RemoteErrorKind::Refused, "{}", error.reason);
        let why = "can't unpack the commit: it is larger than 1048576 bytes or has more than 10 files";
        assert_eq!(error.reason, why);
        export(&fetched, &commit, LARGEST_TREE).expect("it is not too large for that");
    }

    #[test]
    fn a_server_that_packs_is_asked_how_far_it_is_so_that_it_is_not_silent() {
        let folder = tempfile::tempdir().expect("a folder");
        let git = |args: &[&str]| {
            let author = ["-c", "user.name=mona", "-c", "user.email=mona@example.com"];
            let mut git = std::process::Command::new("git");
            let output = git.args(author).args(args).current_dir(folder.path()).output().expect("git");
            assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        };
        git(&["init", "-q", "work"]);
        git(&["-C", "work", "commit", "-q", "--allow-empty", "-m", "Begin"]);
        git(&["init", "-q", "--bare", "mine"]);
        let url = format!("file://{}", folder.path().join("work").display());
        let fetch = remote(&url, Git::with_settings("fetch", &TRANSFER_SETTINGS))
            .dir(&folder.path().join("mine"))
            .args(TRANSFER_FLAGS)
            .args(["--", &url, "HEAD"]);
        let output = fetch.into_std().output().expect("git");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.contains("remote: Enumerating objects"), "{said}");
    }

    #[test]
    fn a_shortened_commit_is_explained() {
        let error = RemoteError::no_such_ref("https://h/o/r", "abcdef1");
        assert!(describe(&[error]).contains("write the full one"));
    }
}
