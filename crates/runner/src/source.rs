//! Where `actions/checkout` takes its tree from: the working tree of the person who runs `hearth run`
//! ([`WorkTree`]), other repositories ([`RemoteRepositories`]), or the first of several ([`FirstOf`]).
//!
//! Of the working tree, a job sees what lies in the folder: committed or not, but nothing that git ignores. It also gets a
//! `.git` of its own, made for it from the objects that the requested depth needs, so that git works in
//! the job as it does after a clone. The host's `.git` itself is never copied: its settings may
//! hold credentials, its hooks programs, and its objects what was never pushed.

mod archive;
mod contents;
mod files;
mod first_of;
mod history;
mod remote;
mod repository;
mod sparse;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::io::AsyncRead;
use tokio::sync::OnceCell;

use crate::git::GitError;
use crate::{CheckoutRequest, SourceError, SourceProvider};
use archive::Part;
use contents::Contents;
pub use first_of::FirstOf;
use history::History;
pub use remote::RemoteRepositories;
pub(crate) use remote::{basic, server};
use repository::{Head, Repository};

/// A folder whose present state is what jobs check out.
///
/// Without a git repository, or where the folder is only a part of one, jobs get the files and no `.git`.
pub struct WorkTree {
    root: PathBuf,
    /// The `.git` folders made so far. The jobs of a matrix ask for the same one.
    histories: Mutex<HashMap<HistoryKey, Answer>>,
}

/// Filled by the first job that asks; the others wait for it.
type Answer = Arc<OnceCell<Arc<History>>>;

type HistoryKey = (Head, CheckoutRequest, bool);

/// Why a tree can't be packed.
#[derive(Debug, thiserror::Error)]
enum PackError {
    #[error(transparent)]
    Git(#[from] GitError),
    #[error("{operation} {}: {source}", path.display())]
    Io {
        operation: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{0}")]
    Refused(String),
}

impl PackError {
    fn io(operation: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> PackError {
        move |source| PackError::Io { operation, path: path.to_owned(), source }
    }
}

impl WorkTree {
    /// The tree below `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        WorkTree { root: root.into(), histories: Mutex::default() }
    }

    async fn parts(&self, request: &CheckoutRequest) -> Result<Vec<Part>, PackError> {
        // Each git process takes some milliseconds, so what can is asked at once.
        let (repository, current) = tokio::join!(Repository::find(&self.root), Repository::head(&self.root));
        let Some(repository) = repository? else {
            if !request.reference.is_empty() {
                let root = self.root.display();
                return Err(PackError::Refused(format!("{root} is not a git repository; leave 'ref' empty")));
            }
            let root = self.root.clone();
            let listing = tokio::task::spawn_blocking(move || files::below(&root)).await;
            let listing = listing.unwrap_or_else(|panic| Err(PackError::Refused(panic.to_string())))?;
            return Ok(vec![Part::listed(&self.root, listing)]);
        };
        if !repository.is_whole() {
            if request.lfs {
                contents::refuse_pointers(&self.root).await?;
            }
            return Ok(vec![Part::listed(&self.root, files::of_work_tree(&self.root, request).await?)]);
        }
        let current = current?;
        let head = repository.resolve(&request.reference, &current).await?;
        let is_current = head.commit == current.commit;
        match (request.lfs, is_current) {
            (true, true) => contents::refuse_pointers(&self.root).await?,
            (true, false) => contents::need_lfs().await?,
            (false, _) => {}
        }
        let history = self.history(&repository, &head, request, is_current);
        if !is_current {
            let history = history.await?;
            return Ok(vec![Part::folder(history.git_dir(), ".git"), Part::held(history)]);
        }
        let (history, mut listed) = tokio::try_join!(history, files::of_work_tree(&self.root, request))?;
        if !request.sparse_checkout.is_empty() {
            listed = sparse::select(&history, listed).await?;
        }
        let git = Part::folder(history.git_dir(), ".git");
        Ok(vec![Part::listed(&self.root, listed), git, Part::keep_alive(history)])
    }

    async fn history(
        &self,
        repository: &Repository,
        head: &Head,
        request: &CheckoutRequest,
        is_current: bool,
    ) -> Result<Arc<History>, PackError> {
        let cell = {
            let mut histories = self.histories.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(histories.entry((head.clone(), request.clone(), is_current)).or_default())
        };
        let is_stored = request.lfs && !is_current;
        let make = || async {
            let folder = tempfile::Builder::new().prefix("hearth-checkout-").tempdir();
            let folder = folder.map_err(PackError::io("make a folder in", &std::env::temp_dir()))?;
            let contents = match is_stored {
                true => Contents::Stored(repository.lfs_storage()),
                false => Contents::AtHand,
            };
            History::make(repository, head, request, is_current, &contents, folder).await.map(Arc::new)
        };
        cell.get_or_try_init(make).await.cloned().map_err(|error| match is_stored {
            true => PackError::Refused(format!(
                "{error}; if an LFS file is not on this host, run: git lfs fetch origin '{}'",
                request.reference
            )),
            false => error,
        })
    }
}

#[async_trait]
impl SourceProvider for WorkTree {
    async fn archive(
        &self,
        request: &CheckoutRequest,
    ) -> Result<Option<Box<dyn AsyncRead + Send + Unpin>>, SourceError> {
        if !request.repository.is_empty() {
            return Ok(None);
        }
        let parts = self.parts(request).await.map_err(|error| SourceError {
            what: match request.reference.as_str() {
                "" => self.root.display().to_string(),
                reference => format!("'{reference}' of {}", self.root.display()),
            },
            reason: error.to_string(),
        })?;
        Ok(Some(Box::new(archive::stream(parts))))
    }
}
