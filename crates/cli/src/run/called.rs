//! Brings in the reusable workflows that a workflow calls, from the folder or by git.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use model::ActionRef;
use runner::{ActionStore, file_of_tree};
use workflow::diagnostic::{Diagnostic, Severity, codes};
use workflow::plan::CalledWorkflows;
use workflow::resolve::{Limits, Missing, WorkflowRef, check_calls, missing};
use workflow::syntax::Workflow;

use super::workflows::{Sources, WorkflowFile};

/// Why called workflows can't be had.
pub(crate) enum LoadError {
    /// Files are not there or wrong: the user's to mend.
    Wrong(Vec<Diagnostic>),
    /// A repository can't be fetched, or a file can't be read.
    Unreachable(anyhow::Error),
}

/// The workflows that one calls.
#[derive(Default)]
pub(crate) struct Called {
    /// What they say.
    pub(crate) workflows: CalledWorkflows,
    /// Commits of those of other repositories, by the same keys.
    pub(crate) commits: BTreeMap<String, String>,
}

/// Loads what `workflow` calls, and what that calls, until nothing is missing. One file that is
/// missing or wrong does not hide the next.
pub(crate) async fn load(
    root: &Path,
    workflow: &Workflow,
    actions: &dyn ActionStore,
    sources: &mut Sources,
) -> Result<Called, LoadError> {
    let mut calls = Calls::default();
    loop {
        let wanted = calls.wanted(workflow);
        if wanted.is_empty() {
            break;
        }
        for one in wanted {
            let (tree, commit) =
                locate(root, &one.reference, actions).await.map_err(LoadError::Unreachable)?;
            calls.add(&one, &tree, sources).map_err(LoadError::Unreachable)?;
            calls.called.commits.extend(commit.map(|commit| (one.key, commit)));
        }
    }
    if calls.problems.is_empty() { Ok(calls.called) } else { Err(LoadError::Wrong(calls.check(workflow))) }
}

/// What is wrong with the calls of `file`, as far as the files of its own repository tell. Where
/// something else in `file` is wrong, those of its jobs are judged that are right themselves.
pub(crate) fn check_local(root: &Path, file: &WorkflowFile) -> anyhow::Result<Vec<Diagnostic>> {
    let is_whole = file.workflow.is_some();
    let right_jobs = || workflow::schema::read_calls(&file.path, &file.text).map(Arc::new);
    let Some(workflow) = file.workflow.clone().or_else(right_jobs) else { return Ok(Vec::new()) };
    let workflow = &*workflow;
    let mut calls = Calls::default();
    loop {
        let mut found = false;
        for one in calls.wanted(workflow) {
            let WorkflowRef::Local { .. } = &one.reference else { continue };
            found = true;
            calls.add(&one, root, &mut Sources::default())?;
        }
        if !found {
            break;
        }
    }
    let own = |problem: &Diagnostic| problem.span.as_ref().is_some_and(|span| *span.file == *file.path);
    // The permissions of a job may come from what is wrong.
    let known = |problem: &Diagnostic| is_whole || problem.code != codes::CALL_PERMISSIONS;
    Ok(calls.check(workflow).into_iter().filter(own).filter(known).collect())
}

/// The files that are called, as far as they have been looked at.
#[derive(Default)]
struct Calls {
    called: Called,
    /// Keys of those that are not there or wrong.
    failed: BTreeSet<String>,
    /// What is wrong with them.
    problems: Vec<Diagnostic>,
}

impl Calls {
    /// The files to look at next.
    fn wanted(&self, workflow: &Workflow) -> Vec<Missing> {
        let mut wanted = missing(workflow, &self.called.workflows);
        wanted.retain(|one| !self.failed.contains(&one.key));
        wanted
    }

    /// Reads the file, which is in this tree.
    fn add(&mut self, wanted: &Missing, tree: &Path, sources: &mut Sources) -> anyhow::Result<()> {
        let (WorkflowRef::Local { path } | WorkflowRef::Remote { path, .. }) = &wanted.reference;
        let Some(path) = file_of_tree(tree, Path::new(path)) else {
            self.problems.push(not_found(wanted));
            self.failed.insert(wanted.key.clone());
            return Ok(());
        };
        let file = WorkflowFile::read(&path, shown(&wanted.reference))?;
        sources.add(&file);
        match file.workflow.clone().filter(|_| !file.is_broken()) {
            Some(workflow) => drop(self.called.workflows.insert(wanted.key.clone(), workflow)),
            None => {
                self.problems.extend(file.diagnostics);
                self.failed.insert(wanted.key.clone());
            }
        }
        Ok(())
    }

    /// Everything that is wrong: the files, and the calls of those that are right.
    fn check(self, workflow: &Workflow) -> Vec<Diagnostic> {
        let mut problems = check_calls(workflow, &self.called.workflows, &Limits::default());
        problems.retain(|problem| problem.code != codes::CALL_NOT_FOUND);
        self.problems.into_iter().chain(problems).collect()
    }
}

/// The tree on this host that has the file, and the commit where it is of another repository.
async fn locate(
    root: &Path,
    reference: &WorkflowRef,
    actions: &dyn ActionStore,
) -> anyhow::Result<(PathBuf, Option<String>)> {
    match reference {
        WorkflowRef::Local { .. } => Ok((root.to_owned(), None)),
        WorkflowRef::Remote { owner, repo, path, reference } => {
            let action = ActionRef::Repository {
                owner: owner.clone(),
                repo: repo.clone(),
                path: String::new(),
                reference: reference.clone(),
            };
            let fetched = actions.fetch(&action).await.with_context(|| {
                format!("can't get the reusable workflow {owner}/{repo}/{path}@{reference}")
            })?;
            Ok((fetched.tree, Some(fetched.commit)))
        }
    }
}

fn not_found(wanted: &Missing) -> Diagnostic {
    Diagnostic {
        severity: Severity::Error,
        code: codes::CALL_NOT_FOUND,
        span: Some(wanted.span.clone()),
        message: format!("error parsing called workflow \"{}\": workflow was not found.", wanted.key),
        hint: Some("the file is looked for at this path in the repository that `uses` names".to_owned()),
    }
}

/// What the user knows the file as.
fn shown(reference: &WorkflowRef) -> String {
    match reference {
        WorkflowRef::Local { path } => path.clone(),
        remote @ WorkflowRef::Remote { .. } => remote.to_string(),
    }
}
