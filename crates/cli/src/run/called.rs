//! Brings in the reusable workflows that a workflow calls, from the folder or by git.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use model::ActionRef;
use runner::ActionStore;
use workflow::diagnostic::{Diagnostic, Severity};
use workflow::plan::CalledWorkflows;
use workflow::resolve::{Missing, WorkflowRef, missing};
use workflow::syntax::Workflow;

use super::workflows::{Sources, WorkflowFile};

/// Why called workflows can't be had.
pub(crate) enum LoadError {
    /// A file is not there or wrong: the user's to mend.
    Wrong(Vec<Diagnostic>),
    /// A repository can't be fetched.
    Unreachable(anyhow::Error),
}

/// Loads what `workflow` calls, and what that calls, until nothing is missing.
pub(crate) async fn load(
    root: &Path,
    workflow: &Workflow,
    actions: &dyn ActionStore,
    sources: &mut Sources,
) -> Result<CalledWorkflows, LoadError> {
    let mut called = CalledWorkflows::new();
    loop {
        let wanted = missing(workflow, &called);
        if wanted.is_empty() {
            return Ok(called);
        }
        for one in wanted {
            let path = locate(root, &one.reference, actions).await.map_err(LoadError::Unreachable)?;
            let file = read(&path, &one)?;
            sources.add(&file);
            let Some(parsed) = file.workflow.clone().filter(|_| !file.is_broken()) else {
                return Err(LoadError::Wrong(file.diagnostics));
            };
            called.insert(one.key, parsed);
        }
    }
}

/// The file on this host.
async fn locate(root: &Path, reference: &WorkflowRef, actions: &dyn ActionStore) -> anyhow::Result<PathBuf> {
    match reference {
        WorkflowRef::Local { path } => Ok(root.join(path)),
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
            Ok(fetched.tree.join(path))
        }
    }
}

fn read(path: &Path, wanted: &Missing) -> Result<WorkflowFile, LoadError> {
    // A link would lead out of a fetched repository; GitHub follows none either.
    let is_file = path.symlink_metadata().is_ok_and(|metadata| metadata.is_file());
    if !is_file {
        return Err(LoadError::Wrong(vec![Diagnostic {
            severity: Severity::Error,
            code: "called-workflow-not-found",
            span: Some(wanted.span.clone()),
            message: format!("workflow was not found: {}", wanted.key),
            hint: Some("the file is looked for at this path in the repository that `uses` names".to_owned()),
        }]));
    }
    WorkflowFile::read(path, shown(&wanted.reference)).map_err(|error| LoadError::Unreachable(anyhow!(error)))
}

/// What the user knows the file as.
fn shown(reference: &WorkflowRef) -> String {
    match reference {
        WorkflowRef::Local { path } => path.clone(),
        remote @ WorkflowRef::Remote { .. } => remote.to_string(),
    }
}
