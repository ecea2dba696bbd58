//! The folder of mirrors, and fetching into it.
//!
//! ```text
//! <root>/<owner>/<name>.git    the mirror, names in lower case as the forge does not tell them apart
//! <root>/<owner>/<name>.lock   held by whoever fetches it
//! ```

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::Mutex as AsyncMutex;

use super::error::MirrorError;
use super::failure::{Failure, cause};
use super::lock::FileLock;
use super::mirror::{Mirror, failed};
use super::{Remote, Want};
use crate::commit::is_commit;
use crate::repository::RepositoryName;

/// How long a fetch may take: the first of a repository of several gigabytes takes some minutes.
const FETCH_TIMEOUT: Duration = Duration::from_secs(20 * 60);

/// Bytes that a fetch may say on its output, where it says nothing.
const MAX_SAID: usize = 64 * 1024;

/// Fetches of a mirror between two looks at whether it should be packed: each look is a process.
const FETCHES_BETWEEN_GC: u64 = 32;

/// What of a fetch is remembered that it has brought: commits of the deliveries that come in together.
const REMEMBERED: usize = 64;

/// Told of each fetch: whether it succeeded, and how long it took.
pub type FetchObserver = Arc<dyn Fn(bool, Duration) + Send + Sync>;

/// Mirrors of repositories below one folder. Clones share their knowledge of who is fetching.
#[derive(Clone)]
pub struct Mirrors {
    root: PathBuf,
    timeout: Duration,
    observer: Option<FetchObserver>,
    known: Arc<Mutex<HashMap<RepositoryName, Arc<AsyncMutex<Last>>>>>,
}

/// The last fetch of a mirror by this process.
#[derive(Debug, Default)]
struct Last {
    /// When it began, if it succeeded.
    began: Option<Instant>,
    /// What it is known to have brought besides branches and tags.
    has: Vec<Want>,
    /// How many there have been.
    count: u64,
}

impl Mirrors {
    /// Uses the mirrors in a folder, and makes it where there is none.
    pub fn open(root: PathBuf) -> Result<Mirrors, MirrorError> {
        fs::create_dir_all(&root).map_err(|source| MirrorError::Folder { path: root.clone(), source })?;
        Ok(Mirrors { root, timeout: FETCH_TIMEOUT, observer: None, known: Arc::default() })
    }

    /// Gives fetches this long instead of 20 minutes.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Mirrors {
        self.timeout = timeout;
        self
    }

    /// Tells this of each fetch.
    #[must_use]
    pub fn observed(mut self, observer: FetchObserver) -> Mirrors {
        self.observer = Some(observer);
        self
    }

    /// The mirror of a repository as it is, without asking its server; `None` before the first fetch, and where it is
    /// known to be damaged.
    pub fn get(&self, name: &str) -> Result<Option<Mirror>, MirrorError> {
        let name: RepositoryName = name.parse()?;
        let mirror = self.mirror(&name);
        let is_there = mirror.path().join("HEAD").exists() && !mirror.is_damaged();
        Ok(is_there.then_some(mirror))
    }

    /// Fetches what has changed: all branches and tags, and what is wanted besides.
    ///
    /// Fetches of one mirror wait for each other, those of other processes included, and one that has waited for a
    /// fetch begun after it was asked has nothing left to do. A damaged mirror is made anew. Safe to drop: git is
    /// killed, and the next fetch goes on from what it left.
    pub async fn fetch(&self, remote: &Remote, want: &[Want]) -> Result<Mirror, MirrorError> {
        self.fetch_since(remote, want, Instant::now()).await
    }

    /// The same, for whom it is enough to see the repository as it was at `since`: an earlier fetch that began after
    /// that, and brought what is wanted, serves it too.
    pub async fn fetch_since(
        &self,
        remote: &Remote,
        want: &[Want],
        since: Instant,
    ) -> Result<Mirror, MirrorError> {
        let name: RepositoryName = remote.name.parse()?;
        check_address(remote)?;
        let last = self.last(&name);
        let mut last = last.lock().await;
        let mirror = self.mirror(&name);
        if !mirror.is_damaged() && last.serves(since, want, &mirror).await {
            return Ok(mirror);
        }
        let _lock = self.lock(&mirror).await?;
        let began = Instant::now();
        let fetched = self.fetch_whole(&mirror, remote, want).await;
        if let Some(observer) = &self.observer {
            observer(fetched.is_ok(), began.elapsed());
        }
        fetched?;
        last.began = Some(began);
        last.has = want.to_vec();
        last.count += 1;
        if last.count.is_multiple_of(FETCHES_BETWEEN_GC) {
            // Only to save room and time; a mirror that can't be packed is as good as before.
            let _ = mirror.git(self.timeout, MAX_SAID).run(&["gc", "--auto", "--quiet"], b"").await;
        }
        Ok(mirror)
    }

    /// The mirrors that nobody has fetched since then. Blocks.
    pub fn unused(&self, since: SystemTime) -> io::Result<Vec<String>> {
        let mut unused = Vec::new();
        for owner in fs::read_dir(&self.root)? {
            let owner = owner?;
            if !owner.file_type()?.is_dir() {
                continue;
            }
            for mirror in fs::read_dir(owner.path())? {
                let path = mirror?.path();
                let (Some(owner), Some(name)) =
                    (owner.file_name().to_str().map(str::to_owned), path.file_stem())
                else {
                    continue;
                };
                // Every fetch takes the lock, also one that brings nothing.
                let fetched = fs::metadata(path.with_extension("lock")).and_then(|file| file.modified());
                if path.extension().is_some_and(|end| end == "git") && fetched.is_ok_and(|at| at < since) {
                    unused.push(format!("{owner}/{}", name.to_string_lossy()));
                }
            }
        }
        Ok(unused)
    }

    /// Throws a mirror away.
    pub async fn remove(&self, name: &str) -> Result<(), MirrorError> {
        let name: RepositoryName = name.parse()?;
        let last = self.last(&name);
        let mut last = last.lock().await;
        let mirror = self.mirror(&name);
        let _lock = self.lock(&mirror).await?;
        *last = Last::default();
        discard(&mirror).await
    }

    /// Fetches, and once more from nothing where the mirror turns out to be damaged.
    async fn fetch_whole(&self, mirror: &Mirror, remote: &Remote, want: &[Want]) -> Result<(), MirrorError> {
        let mut fetch = Fetch { mirror, remote, timeout: self.timeout, format: SHA1 };
        if mirror.is_damaged() {
            discard(mirror).await?;
        }
        match fetch.all(want).await {
            Err(MirrorError::Damaged { .. }) => {
                discard(mirror).await?;
                fetch.all(want).await
            }
            // Which hash a repository uses is seen only by asking it.
            Err(MirrorError::ObjectFormat { cause, .. }) => {
                discard(mirror).await?;
                fetch.format = if cause.ends_with(SHA256) { SHA256 } else { SHA1 };
                fetch.all(want).await
            }
            outcome => outcome,
        }
    }

    async fn lock(&self, mirror: &Mirror) -> Result<FileLock, MirrorError> {
        let path = mirror.path().with_extension("lock");
        let folder = path.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder).map_err(|source| folder_error(mirror, source))?;
        FileLock::of(path).await.map_err(|source| folder_error(mirror, source))
    }

    fn last(&self, name: &RepositoryName) -> Arc<AsyncMutex<Last>> {
        let key: RepositoryName = lower(name);
        let mut known = self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        known.entry(key).or_default().clone()
    }

    fn mirror(&self, name: &RepositoryName) -> Mirror {
        let key = lower(name);
        Mirror::new(name.clone(), self.root.join(key.owner()).join(format!("{}.git", key.name())))
    }
}

impl Last {
    /// Whether it began after `since` and brought all that is wanted.
    async fn serves(&mut self, since: Instant, want: &[Want], mirror: &Mirror) -> bool {
        let news: Vec<Want> = want.iter().filter(|one| !self.has.contains(one)).cloned().collect();
        let is_too_old = self.began.is_none_or(|began| began <= since);
        if is_too_old || news.iter().any(|one| one.pull().is_some()) {
            return false;
        }
        if !mirror.lacks(&news).await.is_ok_and(|missing| missing.is_empty()) {
            return false;
        }
        self.has.extend(news);
        self.has.drain(..self.has.len().saturating_sub(REMEMBERED));
        true
    }
}

impl Want {
    fn pull(&self) -> Option<u64> {
        match self {
            Want::Pull(number) => Some(*number),
            Want::Sha(_) | Want::Perhaps(_) => None,
        }
    }
}

/// The hashes that git names objects by. <https://git-scm.com/docs/hash-function-transition>
const SHA1: &str = "sha1";
const SHA256: &str = "sha256";

/// One fetch, by whoever has the lock.
struct Fetch<'a> {
    mirror: &'a Mirror,
    remote: &'a Remote,
    timeout: Duration,
    /// The hash by which objects of a new mirror are named.
    format: &'static str,
}

impl Fetch<'_> {
    async fn all(&self, want: &[Want]) -> Result<(), MirrorError> {
        if !self.mirror.path().join("HEAD").exists() {
            self.init().await?;
        }
        let mut specs = vec!["+refs/heads/*:refs/heads/*".to_owned(), "+refs/tags/*:refs/tags/*".to_owned()];
        // A pattern, unlike a name, may find nothing; and what it no longer finds is pruned.
        let pulls = want.iter().filter_map(Want::pull);
        specs.extend(pulls.map(|number| format!("+refs/pull/{number}/*:refs/pull/{number}/*")));
        match self.run(&specs).await {
            Err(Stopped { failure: Failure::Locked, .. }) => {
                on_disk(self.mirror, remove_locks).await?;
                self.run(&specs).await.map_err(|stopped| stopped.error)?;
            }
            outcome => outcome.map_err(|stopped| stopped.error)?,
        }
        for sha in self.mirror.lacks(want).await? {
            self.one(&sha, want.contains(&Want::Sha(sha.clone()))).await?;
        }
        Ok(())
    }

    /// A commit that no branch and no tag leads to.
    async fn one(&self, sha: &str, is_needed: bool) -> Result<(), MirrorError> {
        if !is_commit(sha) {
            return if is_needed { Err(self.mirror.lacks_commit(&format!("commit {sha}"))) } else { Ok(()) };
        }
        match self.run(&[format!("+{sha}:refs/hearth/{sha}")]).await {
            Err(Stopped { failure: Failure::NotThere, .. }) if is_needed => {
                Err(self.mirror.lacks_commit(&format!("commit {sha}")))
            }
            Err(Stopped { failure: Failure::NotThere, .. }) => Ok(()),
            outcome => outcome.map_err(|stopped| stopped.error),
        }
    }

    async fn init(&self) -> Result<(), MirrorError> {
        let folder = self.mirror.path();
        fs::create_dir_all(folder).map_err(|source| folder_error(self.mirror, source))?;
        let git = self.mirror.git(self.timeout, MAX_SAID);
        let format = format!("--object-format={}", self.format);
        let answer = git.run(&["init", "--quiet", "--bare", "--template=", &format], b"").await;
        self.mirror.checked("make a mirror of", self.timeout, answer).map(drop)
    }

    async fn run(&self, specs: &[String]) -> Result<(), Stopped> {
        let server = server_of(&self.remote.url);
        let mut git = self.mirror.git(self.timeout, MAX_SAID);
        git.auth = self.remote.auth.as_ref().map(|token| (server, token));
        // Quiet itself, it has the server say how far it is: see the settings of every git here.
        let flags = ["fetch", "--quiet", "--progress", "--prune", "--no-tags", "--force"];
        let mut args = [&flags[..], &["--no-write-fetch-head"]].concat();
        args.extend(["--end-of-options", &self.remote.url]);
        args.extend(specs.iter().map(String::as_str));
        let answer = git.run(&args, b"").await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(none) => {
                let error = self.mirror.no_answer("fetch", self.timeout, none);
                return Err(Stopped { failure: Failure::Other, error });
            }
        };
        if answer.success {
            return Ok(());
        }
        let (failure, cause) = (Failure::of(&answer.stderr), cause(&answer.stderr));
        Err(Stopped { failure, error: failed(self.mirror.name(), "fetch", failure, cause) })
    }
}

/// Why a fetch did not succeed.
struct Stopped {
    failure: Failure,
    error: MirrorError,
}

/// Whether an address is one that is fetched from, and shows no password.
fn check_address(remote: &Remote) -> Result<(), MirrorError> {
    let fault = |reason| Err(MirrorError::Address { repository: remote.name.clone(), reason });
    let Some((scheme, rest)) = remote.url.split_once("://") else {
        return fault("it has no scheme; write one like https://github.com/owner/name.git");
    };
    let authority = rest.split('/').next().unwrap_or_default();
    match scheme {
        "http" | "https" if authority.is_empty() => fault("it names no server"),
        "http" | "https" if authority.contains('@') => {
            fault("it has a user in it, and addresses are shown; give the token apart")
        }
        "ssh" if authority.starts_with('-') || authority.split('@').any(|part| part.starts_with('-')) => {
            fault("its server can't begin with '-'")
        }
        "http" | "https" | "ssh" | "file" => Ok(()),
        _ => fault("its scheme must be https, http, ssh, or file"),
    }
}

/// Scheme, host, and port of an address: whom a token is for.
fn server_of(url: &str) -> &str {
    let start = url.find("://").map_or(0, |place| place + 3);
    url[start..].find('/').map_or(url, |slash| &url[..start + slash + 1])
}

/// Throws a mirror away.
async fn discard(mirror: &Mirror) -> Result<(), MirrorError> {
    on_disk(mirror, move_and_remove).await
}

/// Does something with a mirror's files that may take a while.
async fn on_disk(mirror: &Mirror, work: fn(&Path) -> io::Result<()>) -> Result<(), MirrorError> {
    let folder = mirror.path().to_owned();
    let done = tokio::task::spawn_blocking(move || work(&folder)).await;
    done.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(|source| folder_error(mirror, source))
}

/// Moves a mirror out of the way before it is removed: half a mirror must never be taken for one.
fn move_and_remove(folder: &Path) -> io::Result<()> {
    let old = folder.with_extension("old");
    remove(&old)?;
    match fs::rename(folder, &old) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome.and_then(|()| remove(&old)),
    }
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

/// Removes the locks that a killed git left: while this process holds the mirror's own lock, no other is alive.
fn remove_locks(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            if entry.file_name() != "objects" {
                remove_locks(&path)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "lock") {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

fn folder_error(mirror: &Mirror, source: io::Error) -> MirrorError {
    MirrorError::Folder { path: mirror.path().to_owned(), source }
}

fn lower(name: &RepositoryName) -> RepositoryName {
    let lower = name.as_str().to_ascii_lowercase();
    lower.parse().unwrap_or_else(|_| name.clone())
}
