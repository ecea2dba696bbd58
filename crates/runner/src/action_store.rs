//! Fetches remote actions into a cache that all runs share.
//!
//! `owner/repo@ref` becomes a commit, and each commit's tree lies unpacked under
//! `<data>/actions/trees/<commit>`. A commit that is there is never fetched again. Nothing
//! half-made is ever visible: a fetch works in a folder of its own and ends with one rename, so
//! what an interrupted fetch leaves behind is swept up by the next run. Locks (`flock`) keep two
//! runs from doing the same work, and keep a tree that a run uses from being evicted.

pub(crate) mod fetch;
mod mirror;
pub(crate) mod reference;
mod trees;

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use model::ActionRef;

pub use mirror::{MirrorTemplate, MirrorTemplateError};

use crate::{ActionStore, ActionStoreError, FetchedAction};
use fetch::{Fetch, RemoteError, RemoteErrorKind};
use reference::{ActionName, LastKnown};
use trees::Trees;

/// Where to fetch actions from, and where to keep them.
#[derive(Clone)]
pub struct ActionStoreConfig {
    /// `<data>/actions`; made where it is missing.
    pub root: PathBuf,
    /// Tried in order. Empty: GitHub alone. When given, GitHub is asked only if a template names it.
    pub mirrors: Vec<MirrorTemplate>,
    /// Use what the cache holds, and never the network.
    pub offline: bool,
    /// Told of what the user should know but what doesn't fail the job.
    pub warn: Arc<dyn Fn(String) + Send + Sync>,
}

impl ActionStoreConfig {
    /// Fetches from GitHub into `root`; warnings are dropped.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        ActionStoreConfig {
            root: root.into(),
            mirrors: Vec::new(),
            offline: false,
            warn: Arc::new(|_warning| {}),
        }
    }
}

/// The [`ActionStore`] that fetches by the `git` binary.
///
/// One store serves one run: a branch or tag is resolved once for its life, so that all jobs of the
/// run see the same commit, and the trees that it gave out are protected until it is dropped. Who runs several has one for
/// each of them ([`ActionStore::for_run`]).
pub struct GitActionStore {
    trees: Trees,
    last_known: LastKnown,
    mirrors: Vec<MirrorTemplate>,
    offline: bool,
    warn: Arc<dyn Fn(String) + Send + Sync>,
    resolved: Mutex<HashMap<(String, String), Answer>>,
}

/// Filled by the first job that asks; the others wait for it.
type Answer = Arc<tokio::sync::OnceCell<Resolved>>;

/// Why an action can't be had.
struct Failure {
    reason: String,
    /// As [`ActionStoreError::may_pass`].
    may_pass: bool,
}

impl Failure {
    fn lasting(reason: String) -> Failure {
        Failure { reason, may_pass: false }
    }

    /// No remote has helped. Where one of them gave no answer, it may have had it.
    fn of(failures: &[RemoteError]) -> Failure {
        let may_pass = failures.iter().any(|failure| failure.kind != RemoteErrorKind::Refused);
        Failure { reason: fetch::describe(failures), may_pass }
    }
}

/// What a reference meant when it was asked for.
#[derive(Clone, Debug)]
struct Resolved {
    commit: String,
    /// The full name of the branch or tag; `None` for a commit.
    full_ref: Option<String>,
    /// The place that gave the answer; `None` when it came from the cache.
    url: Option<String>,
}

impl GitActionStore {
    /// Opens the cache and sweeps up what interrupted fetches have left.
    ///
    /// # Errors
    /// When the folders can't be made or read.
    pub fn open(config: ActionStoreConfig) -> io::Result<Self> {
        let mirrors = if config.mirrors.is_empty() { vec![MirrorTemplate::github()] } else { config.mirrors };
        Ok(GitActionStore {
            trees: Trees::open(&config.root)?,
            last_known: LastKnown::open(config.root.join("refs"))?,
            mirrors,
            offline: config.offline,
            warn: config.warn,
            resolved: Mutex::default(),
        })
    }

    /// The commit that the reference means, asked for once.
    async fn resolve(&self, name: &ActionName) -> Result<Resolved, Failure> {
        if let Some(commit) = name.commit() {
            return Ok(Resolved { commit, full_ref: None, url: None });
        }
        let cell = {
            let mut resolved = self.resolved.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(resolved.entry((name.repository_key(), name.reference.clone())).or_default())
        };
        cell.get_or_try_init(|| self.ask(name)).await.cloned()
    }

    async fn ask(&self, name: &ActionName) -> Result<Resolved, Failure> {
        if self.offline {
            let hint = "run once without --offline to fetch it";
            let commit = self.last_known.read(name).ok_or_else(|| {
                let reference = &name.reference;
                Failure::lasting(format!(
                    "offline, and '{reference}' was never fetched on this machine; {hint}"
                ))
            })?;
            return Ok(Resolved { commit, full_ref: None, url: None });
        }
        let mut failures = Vec::new();
        for mirror in &self.mirrors {
            let url = mirror.url(&name.owner, &name.repo);
            match fetch::resolve(&url, &name.reference).await {
                Ok(Some((full_ref, commit))) => {
                    self.last_known.write(name, &commit);
                    return Ok(Resolved { commit, full_ref: Some(full_ref), url: Some(url) });
                }
                Ok(None) => failures.push(RemoteError::no_such_ref(&url, &name.reference)),
                Err(failure) => failures.push(failure),
            }
        }
        self.fall_back(name, &failures)
    }

    /// When no mirror could be reached, the commit of the last time will do, with a warning.
    fn fall_back(&self, name: &ActionName, failures: &[RemoteError]) -> Result<Resolved, Failure> {
        let failure = Failure::of(failures);
        let is_away = failures.iter().all(|failure| failure.kind == RemoteErrorKind::Unreachable);
        let known = self.last_known.read(name).filter(|commit| is_away && self.trees.holds(commit));
        let Some(commit) = known else { return Err(failure) };
        (self.warn)(format!("{name}: using commit {commit} of the last time, because {}", failure.reason));
        Ok(Resolved { commit, full_ref: None, url: None })
    }

    /// The tree of the commit: from the cache, or fetched.
    async fn tree(&self, name: &ActionName, resolved: &Resolved) -> Result<PathBuf, Failure> {
        let commit = &resolved.commit;
        let unusable = |error| Failure { reason: self.trees.describe(&error), may_pass: true };
        if let Some(tree) = self.trees.find(commit).map_err(unusable)? {
            return Ok(tree);
        }
        if self.offline {
            return Err(Failure::lasting(format!("offline, and commit {commit} is not in the cache")));
        }
        let claim = self.trees.claim(commit).await.map_err(unusable)?;
        // Another run may have fetched it while this one waited for the claim.
        if !claim.is_there() {
            let urls = match &resolved.url {
                Some(url) => vec![url.clone()],
                None => self.mirrors.iter().map(|mirror| mirror.url(&name.owner, &name.repo)).collect(),
            };
            let mut failures = Vec::new();
            for url in urls {
                let full_ref = resolved.full_ref.as_deref();
                match (Fetch { url: &url, commit, full_ref, folder: claim.folder() }).run().await {
                    Ok(()) => {
                        failures.clear();
                        break;
                    }
                    Err(failure) => failures.push(failure),
                }
            }
            if !failures.is_empty() {
                return Err(Failure::of(&failures));
            }
        }
        self.trees.publish(claim).await.map_err(unusable)
    }
}

#[async_trait]
impl ActionStore for GitActionStore {
    async fn fetch(&self, action: &ActionRef) -> Result<FetchedAction, ActionStoreError> {
        let fail =
            |Failure { reason, may_pass }| ActionStoreError { action: action.to_string(), reason, may_pass };
        let name = ActionName::new(action).map_err(Failure::lasting).map_err(fail)?;
        let resolved = self.resolve(&name).await.map_err(fail)?;
        let tree = self.tree(&name, &resolved).await.map_err(fail)?;
        Ok(FetchedAction { tree, commit: resolved.commit })
    }

    fn for_run(&self) -> Arc<dyn ActionStore> {
        Arc::new(GitActionStore {
            trees: self.trees.for_run(),
            last_known: self.last_known.clone(),
            mirrors: self.mirrors.clone(),
            offline: self.offline,
            warn: Arc::clone(&self.warn),
            resolved: Mutex::default(),
        })
    }
}
