//! Other repositories than the run's own, as the source of `actions/checkout`.
//!
//! The host fetches what is asked for into a folder of its own, and from there makes the `.git` of the job
//! as for the working tree. So the job needs no network, and sees neither the mirror nor a token.

mod access;
mod target;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::AsyncRead;

use crate::action_store::MirrorTemplate;
use crate::action_store::fetch::{
    RemoteError, TRANSFER_FLAGS, TRANSFER_SETTINGS, describe, remote, upload_pack,
};
use crate::action_store::reference::{is_reference, is_repository_name};
use crate::git::{Git, GitError};
use crate::scratch::{self, Scratch};
use crate::{CheckoutRequest, SourceError, SourceProvider};

use super::PackError;
use super::archive::{self, Part};
use super::contents::{self, Contents};
use super::history::History;
use super::repository::{self, Head, Repository};
use access::Access;
pub(crate) use access::basic;
use target::Target;

/// Time to fetch a repository, or its submodules: ample for the whole history of the largest.
const FETCH_TIMEOUT: Duration = Duration::from_secs(1800);

/// The server that mirrors stand for.
const GITHUB: &str = "https://github.com";

/// Fetches `owner/repo` by the `git` binary, anew for each checkout, as on GitHub.
pub struct RemoteRepositories {
    root: PathBuf,
    mirrors: Vec<MirrorTemplate>,
    offline: bool,
    ssh_command: Option<String>,
}

/// A request whose names are safe to use.
struct Wanted<'a> {
    owner: &'a str,
    repo: &'a str,
    /// Scheme, host, and port.
    server: String,
    request: &'a CheckoutRequest,
    access: Access,
}

/// A clone of which the job's `.git` is made.
struct Fetched {
    /// Where it was fetched from.
    url: String,
    repository: Repository,
    head: Head,
}

impl RemoteRepositories {
    /// Works in `root`, which is made where it is missing and swept of what killed runs have left. The
    /// mirrors are tried in order; where there are none, GitHub is. `offline`: only mirrors in folders.
    ///
    /// # Errors
    /// When the folder can't be made or read.
    pub fn open(root: impl Into<PathBuf>, mirrors: Vec<MirrorTemplate>, offline: bool) -> io::Result<Self> {
        let root = root.into();
        fs::create_dir_all(&root)?;
        scratch::sweep(&root)?;
        let mirrors = if mirrors.is_empty() { vec![MirrorTemplate::github()] } else { mirrors };
        Ok(RemoteRepositories { root, mirrors, offline, ssh_command: None })
    }

    /// Calls this instead of `ssh` where a step gives a key, as `GIT_SSH_COMMAND` does: `ssh -F my-settings`.
    #[must_use]
    pub fn with_ssh_command(self, command: Option<String>) -> Self {
        RemoteRepositories { ssh_command: command.filter(|command| !command.trim().is_empty()), ..self }
    }

    async fn parts(&self, request: &CheckoutRequest) -> Result<Vec<Part>, PackError> {
        let wanted = Wanted::new(request, self.ssh_command.as_deref()).map_err(PackError::Refused)?;
        if request.lfs {
            contents::need_lfs().await?;
        }
        let folder = Scratch::new_in(&self.root).map_err(PackError::io("make a folder in", &self.root))?;
        let clone = folder.path().join("clone");
        let Fetched { url, repository, head } = self.fetch(&wanted, &clone).await?;
        let let_in = |git: Git, settings: &[(String, String)]| {
            let place = wanted.served_by(&url).into_iter().chain([lfs_place(&url)]);
            let settings: Vec<_> = place.chain(settings.iter().cloned()).collect();
            wanted.access.apply(git, &settings)
        };
        let contents = match request.lfs || repository.filter.is_some() {
            true => Contents::Fetched(&let_in),
            false => Contents::AtHand,
        };
        let history = History::make(&repository, &head, request, false, &contents, folder).await?;
        scratch::remove_tree(&clone).map_err(PackError::io("remove", &clone))?;
        if !request.submodules.is_empty() && history.work_tree().join(".gitmodules").exists() {
            if self.offline {
                return Err(PackError::Refused(
                    "its submodules come from the network, which this run may not use (--offline, --network none); \
                     leave 'submodules' out"
                        .to_owned(),
                ));
            }
            wanted.submodules(&history).await?;
        }
        let history = Arc::new(history);
        Ok(vec![Part::folder(history.git_dir(), ".git"), Part::held(history)])
    }

    async fn fetch(&self, wanted: &Wanted<'_>, clone: &Path) -> Result<Fetched, PackError> {
        let mut failures = Vec::new();
        for url in self.urls(wanted)? {
            scratch::remove_tree(clone).map_err(PackError::io("remove", clone))?;
            match wanted.fetch(&url, clone).await {
                Ok(fetched) => return Ok(fetched),
                Err(failure) => failures.push(failure),
            }
        }
        let told = describe(&failures);
        let hint = wanted.hint(&told);
        Err(PackError::Refused(told + hint))
    }

    /// Where to look. Mirrors stand for GitHub, not for another server that the step names.
    fn urls(&self, wanted: &Wanted<'_>) -> Result<Vec<String>, PackError> {
        let mut urls = match wanted.server.as_str() {
            GITHUB => self.mirrors.iter().map(|mirror| mirror.url(wanted.owner, wanted.repo)).collect(),
            _ => vec![wanted.address()],
        };
        for url in urls.iter_mut().filter(|url| **url == wanted.address()) {
            *url = wanted.url();
        }
        if self.offline {
            urls.retain(|url| url.starts_with("file://"));
        }
        if urls.is_empty() {
            return Err(PackError::Refused(
                "this run may not use the network (--offline, --network none), and no mirror in a folder is \
                 named: --actions-mirror 'file:///srv/git/{owner}/{repo}'"
                    .to_owned(),
            ));
        }
        Ok(urls)
    }
}

impl<'a> Wanted<'a> {
    fn new(request: &'a CheckoutRequest, ssh_command: Option<&str>) -> Result<Self, String> {
        let names = request.repository.split_once('/');
        let valid = |(owner, repo): &(&str, &str)| is_repository_name(owner) && is_repository_name(repo);
        let (owner, repo) = names.filter(valid).ok_or_else(|| {
            let allowed = "letters, digits, '-', '_', '.'";
            format!("'{}' is no repository: write owner/repo, each of {allowed}", request.repository)
        })?;
        if !request.reference.is_empty() && !is_reference(&request.reference) {
            return Err(format!("'{}' is not a branch, tag, or commit", request.reference));
        }
        let server = server(&request.server)?;
        let access = Access::new(request, &server, ssh_command)?;
        Ok(Wanted { owner, repo, server, request, access })
    }

    /// The address on the server that was asked for.
    fn address(&self) -> String {
        format!("{}/{}/{}", self.server, self.owner, self.repo)
    }

    /// The URL that the job's clone has, whichever mirror serves it.
    fn url(&self) -> String {
        match &self.request.ssh {
            Some(ssh) => ssh.url(&self.server, self.owner, self.repo),
            None => self.address(),
        }
    }

    /// Settings under which the URL of the job's clone leads to the one that serves it.
    fn served_by(&self, url: &str) -> Vec<(String, String)> {
        let mut settings = Vec::new();
        if url != self.url() {
            settings.push((format!("url.{url}.insteadOf"), self.url()));
        }
        settings.extend(
            upload_pack(url).map(|command| ("remote.origin.uploadpack".to_owned(), command.to_owned())),
        );
        settings
    }

    fn git(&self, url: &str, subcommand: &str) -> Git {
        remote(url, self.access.apply(Git::with_settings(subcommand, &TRANSFER_SETTINGS), &[]))
    }

    /// The way out, where git's words don't tell it.
    fn hint(&self, told: &str) -> &'static str {
        let says = |words: &[&str]| words.iter().any(|word| told.contains(word));
        if self.request.ssh.is_none() {
            return match says(&["could not read Username", "Authentication failed", "not found"]) {
                true => {
                    "; if it exists and is private, give the step 'token: ${{ secrets.NAME }}' of one who may read it"
                }
                false => "",
            };
        }
        if says(&["Load key"]) {
            return "; 'ssh-key' must be a whole private key without a passphrase, as ssh-keygen writes it";
        }
        if says(&["host key is known", "Host key verification failed", "HOST IDENTIFICATION HAS CHANGED"]) {
            return "; if you trust the server, give the step its key: 'ssh-known-hosts' with the lines of: ssh-keyscan HOST";
        }
        if says(&["Permission denied", "not found", "does not appear to be"]) {
            return "; the public half of 'ssh-key' must be a key of one who may read the repository";
        }
        ""
    }

    async fn fetch(&self, url: &str, clone: &Path) -> Result<Fetched, RemoteError> {
        let told = |error: GitError| RemoteError::from_git(url, &error);
        let failed = |reason: String| RemoteError::refused(url, reason);
        let target = self.resolve(url).await?;
        Git::new("init")
            .args(["--quiet", "--template=", &format!("--object-format={}", target.object_format())])
            .arg(clone)
            .output()
            .await
            .map_err(told)?;
        self.fetch_objects(url, clone, &target).await.map_err(told)?;
        let found = Repository::find(clone).await.map_err(|error| failed(error.to_string()))?;
        let mut repository = found.ok_or_else(|| failed("the clone is gone".to_owned()))?;
        repository.origin = Some(self.url());
        repository.filter = Some(self.request.filter.clone()).filter(|filter| !filter.is_empty());
        let commit =
            repository::commit(clone, &target.local()).await.map_err(|error| failed(error.to_string()))?;
        if commit.is_none() {
            return Err(failed(format!("it has no commit '{}'", self.request.reference)));
        }
        let head = Head { commit, branch: target.branch(), tag: target.tag() };
        Ok(Fetched { url: url.to_owned(), repository, head })
    }

    /// First as little as was asked for; then, for servers that don't know how, everything.
    async fn fetch_objects(&self, url: &str, clone: &Path, target: &Target) -> Result<(), GitError> {
        let filter = &self.request.filter;
        let filter = (!filter.is_empty()).then(|| format!("--filter={filter}"));
        // A partial clone has a name for where it gets the rest.
        let from = [("remote.origin.url".to_owned(), url.to_owned())];
        let fetch = |depth: Option<String>, what: Vec<String>| {
            let git = self.access.apply(Git::with_settings("fetch", &TRANSFER_SETTINGS), &from);
            remote(url, git)
                .dir(clone)
                .timeout(FETCH_TIMEOUT)
                .args(TRANSFER_FLAGS)
                .arg("--no-write-fetch-head")
                .args(depth)
                .args(filter.clone())
                .args(["--", "origin"])
                .args(what)
                .output()
        };
        let depth = self.request.fetch_depth;
        let limit = (depth > 0).then(|| format!("--depth={depth}"));
        let first = match fetch(limit, target.refspecs(depth == 0, self.request.fetch_tags)).await {
            Ok(_nothing) => return Ok(()),
            Err(error @ GitError::Failed { .. }) => error,
            Err(error) => return Err(error),
        };
        let told = first.to_string();
        if ["unadvertised", "not our ref", "dumb http"].iter().any(|why| told.contains(why)) {
            return fetch(None, target.all_refspecs()).await.map(|_nothing| ());
        }
        Err(first)
    }

    /// Puts the submodules beside the other files, from where they say they are. Git takes none from a
    /// folder of the host.
    async fn submodules(&self, history: &History) -> Result<(), PackError> {
        let (files, git_dir) = (history.work_tree(), history.git_dir());
        let inside = files.join(".git");
        let templates = history.scratch().join("no-templates");
        fs::create_dir(&templates).map_err(PackError::io("make", &templates))?;
        // With `.git` where the job will have it, the paths that git writes hold there as well.
        fs::rename(&git_dir, &inside).map_err(PackError::io("move", &git_dir))?;
        let depth = self.request.fetch_depth;
        let update = Git::with_settings("submodule", &TRANSFER_SETTINGS)
            .dir(&files)
            .timeout(FETCH_TIMEOUT)
            .env("GIT_TEMPLATE_DIR", templates)
            .args(["--quiet", "update", "--progress", "--init", "--force"])
            .args((depth > 0).then(|| format!("--depth={depth}")))
            .args((self.request.submodules == "recursive").then_some("--recursive"));
        let let_in = |git: Git, settings: &[(String, String)]| {
            let settings: Vec<_> = settings.iter().cloned().chain([lfs_place(&self.url())]).collect();
            self.access.apply(git, &settings)
        };
        let update = Contents::Fetched(&let_in).supply(update, self.request.lfs).await?;
        update.output().await?;
        fs::rename(&inside, &git_dir).map_err(PackError::io("move", &inside))
    }
}

/// A repository can say itself where its LFS files are (`.lfsconfig`). One from a mirror in a folder has them there,
/// so that a run without network stays without; any other has them in no folder of the host.
fn lfs_place(url: &str) -> (String, String) {
    if url.starts_with("file://") {
        return ("lfs.url".to_owned(), url.to_owned());
    }
    ("lfs.customtransfer.lfs-standalone-file.path".to_owned(), "false".to_owned())
}

/// Scheme, host, and port of `github-server-url`.
pub(crate) fn server(given: &str) -> Result<String, String> {
    if given.is_empty() {
        return Ok(GITHUB.to_owned());
    }
    let error = || format!("'github-server-url: {given}' is no address of a server: write https://host");
    let (scheme, rest) = given.split_once("://").ok_or_else(error)?;
    let scheme = scheme.to_ascii_lowercase();
    let host = rest.split('/').next().unwrap_or_default().to_ascii_lowercase();
    let allowed = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
    if !["http", "https"].contains(&scheme.as_str()) || host.is_empty() || !host.chars().all(allowed) {
        return Err(error());
    }
    Ok(format!("{scheme}://{host}"))
}

#[async_trait]
impl SourceProvider for RemoteRepositories {
    async fn archive(
        &self,
        request: &CheckoutRequest,
    ) -> Result<Option<Box<dyn AsyncRead + Send + Unpin>>, SourceError> {
        if request.repository.is_empty() {
            return Ok(None);
        }
        let parts = self.parts(request).await.map_err(|error| SourceError {
            what: match request.reference.as_str() {
                "" => request.repository.clone(),
                reference => format!("'{reference}' of {}", request.repository),
            },
            reason: error.to_string(),
        })?;
        Ok(Some(Box::new(archive::stream(parts))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_scheme_and_a_host() {
        assert_eq!(server("").unwrap(), GITHUB);
        assert_eq!(server("HTTPS://Git.example.com:8443/base").unwrap(), "https://git.example.com:8443");
        for wrong in
            ["git.example.com", "file:///srv", "https://", "https://me:pass@host", "ext::sh -c x://h"]
        {
            assert!(server(wrong).is_err(), "{wrong}");
        }
    }
}
