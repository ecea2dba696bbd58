//! Which workflow files a workflow calls, and whether it may call them so.
//!
//! The caller of this crate loads files; this module says which. Ask [`missing`], load what it
//! names, and ask again until nothing is missing.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use model::limits::{REUSABLE_WORKFLOW_DEPTH, RUN_JOBS};

use crate::plan::CalledWorkflows;
use crate::span::{Span, Spanned};
use crate::syntax::{JobWork, Workflow};

mod check;
mod permissions;

pub use check::{check_calls, too_deep};
pub use permissions::DefaultPermissions;
pub(crate) use permissions::{asked, of_forks, unasked, within};

/// Where a reusable workflow is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WorkflowRef {
    /// `./.github/workflows/x.yml` or `$/.github/workflows/x.yml`: in the repository of the run, at its commit.
    Local {
        /// Path from the root of the repository, without `./`.
        path: String,
    },
    /// `owner/repo/.github/workflows/x.yml@ref`.
    Remote {
        /// Owner of the repository.
        owner: String,
        /// Name of the repository.
        repo: String,
        /// Path from the root of that repository.
        path: String,
        /// Branch, tag, or commit.
        reference: String,
    },
}

/// Why the text of `uses` names no workflow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid value workflow reference '{uses}': {problem}")]
pub struct WorkflowRefError {
    uses: String,
    problem: &'static str,
}

/// Folder that every reusable workflow lies in, directly.
const FOLDER: &str = ".github/workflows/";

impl WorkflowRef {
    /// Reads the text of `uses`.
    ///
    /// # Errors
    /// It has neither of the two forms, or leads out of `.github/workflows`.
    pub fn parse(uses: &str) -> Result<WorkflowRef, WorkflowRefError> {
        let wrong = |problem| WorkflowRefError { uses: uses.to_owned(), problem };
        if let Some(path) = uses.strip_prefix("./").or_else(|| uses.strip_prefix("$/")) {
            if path.contains('@') {
                return Err(wrong("cannot specify version when calling local workflows"));
            }
            return check_path(path).map_err(wrong).map(|()| WorkflowRef::Local { path: path.to_owned() });
        }
        let (target, reference) = uses.rsplit_once('@').ok_or_else(|| wrong("no version specified"))?;
        let mut parts = target.splitn(3, '/');
        let (Some(owner), Some(repo), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(wrong("expected owner/repo/.github/workflows/file.yml@ref"));
        };
        if owner.is_empty() || repo.is_empty() || reference.is_empty() {
            return Err(wrong("expected owner/repo/.github/workflows/file.yml@ref"));
        }
        check_path(path).map_err(wrong)?;
        let [owner, repo, path, reference] = [owner, repo, path, reference].map(str::to_owned);
        Ok(WorkflowRef::Remote { owner, repo, path, reference })
    }

    /// What a call inside of the file `caller` means: a local path in a remote file is a path in
    /// that file's repository, at the same version.
    #[must_use]
    pub fn seen_from(self, caller: Option<&WorkflowRef>) -> WorkflowRef {
        match (self, caller) {
            (WorkflowRef::Local { path }, Some(WorkflowRef::Remote { owner, repo, reference, .. })) => {
                WorkflowRef::Remote {
                    owner: owner.clone(),
                    repo: repo.clone(),
                    path,
                    reference: reference.clone(),
                }
            }
            (own, _) => own,
        }
    }
}

impl std::fmt::Display for WorkflowRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            WorkflowRef::Local { path } => write!(f, "./{path}"),
            WorkflowRef::Remote { owner, repo, path, reference } => {
                write!(f, "{owner}/{repo}/{path}@{reference}")
            }
        }
    }
}

fn check_path(path: &str) -> Result<(), &'static str> {
    let Some(file) = path.strip_prefix(FOLDER) else {
        return Err("references to workflows must be rooted in '.github/workflows'");
    };
    if file.contains('/') {
        return Err("workflows must be defined at the top level of the .github/workflows/ directory");
    }
    if !(file.ends_with(".yml") || file.ends_with(".yaml")) {
        return Err("references to workflows must end in '.yml' or '.yaml'");
    }
    Ok(())
}

/// The key of [`CalledWorkflows`] for a `uses` in the file with the key `caller` (none for the run's own).
///
/// # Errors
/// The text names no workflow.
pub fn called_key(caller: Option<&str>, uses: &str) -> Result<String, WorkflowRefError> {
    let caller = caller.map(WorkflowRef::parse).transpose()?;
    Ok(WorkflowRef::parse(uses)?.seen_from(caller.as_ref()).to_string())
}

/// A workflow file that is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Where it is.
    pub reference: WorkflowRef,
    /// Its key among [`CalledWorkflows`].
    pub key: String,
    /// The `uses` that names it.
    pub span: Span,
}

/// Files that `workflow` calls, directly or through what is loaded already, and that are not
/// in `called`; each once, and none that lies deeper than calls may be nested. A `uses` that
/// names no workflow is left to [`check_calls`].
pub fn missing(workflow: &Workflow, called: &CalledWorkflows) -> Vec<Missing> {
    let mut found = reachable(workflow, called);
    // What is too much is refused by `check_calls`, not loaded.
    found.truncate(CALLED_FILES + 1);
    found.retain(|file| !called.contains_key(&file.key));
    found
}

/// Every file that is called, nearest first.
fn reachable(workflow: &Workflow, called: &CalledWorkflows) -> Vec<Missing> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    let mut open = VecDeque::from([(None, workflow, 1)]);
    while let Some((caller, workflow, depth)) = open.pop_front() {
        for uses in calls(workflow) {
            let Ok(reference) = WorkflowRef::parse(uses) else { continue };
            let reference = reference.seen_from(caller.as_ref());
            let key = reference.to_string();
            if !seen.insert(key.clone()) {
                continue;
            }
            if let Some(next) = called.get(&key).filter(|_| depth < REUSABLE_WORKFLOW_DEPTH) {
                open.push_back((Some(reference.clone()), Arc::as_ref(next), depth + 1));
            }
            found.push(Missing { reference, key, span: uses.span.clone() });
        }
    }
    found
}

/// What the jobs that are calls name.
fn calls(workflow: &Workflow) -> impl Iterator<Item = &Spanned<String>> {
    workflow.jobs.iter().filter_map(|job| match &job.work {
        JobWork::Call { uses, .. } => Some(uses),
        JobWork::Steps { .. } => None,
    })
}

/// Different files that one workflow may call, directly or not: GitHub's documented limit.
pub const CALLED_FILES: usize = 50;

/// Bounds of a tree of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Calls inside of calls.
    pub depth: usize,
    /// Different files.
    pub files: usize,
    /// Jobs of all files together, a file counted as often as it is called.
    pub jobs: usize,
    /// What the token may do where no file says anything.
    pub permissions: DefaultPermissions,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            files: CALLED_FILES,
            depth: REUSABLE_WORKFLOW_DEPTH - 1,
            jobs: RUN_JOBS,
            permissions: DefaultPermissions::default(),
        }
    }
}

#[cfg(test)]
mod tests;
