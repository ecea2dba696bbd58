//! Workflow files of a commit, and the files that they call.

use std::collections::BTreeMap;
use std::path::Path;

use forge::git::Mirror;
use model::ActionRef;
use runner::{ActionStore, file_of_tree};
use workflow::plan::CalledWorkflows;
use workflow::resolve::{WorkflowRef, missing};
use workflow::schema::decode;

use crate::recipe::{File, RecipeError};

/// Folder of workflows in a repository, as GitHub has it.
pub(crate) const FOLDER: &str = ".github/workflows";

/// Bytes of a workflow file: those of the longest that GitHub's parser takes, in its longest characters.
const FILE_BYTES: u64 = 4 * model::limits::WORKFLOW_FILE_CHARS as u64;

/// The called files of a workflow.
#[derive(Debug, Default)]
pub(crate) struct Called {
    pub(crate) files: BTreeMap<String, File>,
    pub(crate) commits: BTreeMap<String, String>,
}

/// Why called files can't be had.
#[derive(Debug)]
pub(crate) enum CallError {
    /// They are not there, or wrong: the user's to mend.
    Wrong(String),
    /// They can't be reached now.
    Unreachable(String),
}

/// All that `file` calls, and what that calls: local files are those of the commit `sha`.
pub(crate) async fn called(
    file: &File,
    mirror: &Mirror,
    sha: &str,
    actions: &dyn ActionStore,
) -> Result<Called, CallError> {
    let wrong = |RecipeError(problem)| CallError::Wrong(problem);
    let workflow = file.read().map_err(wrong)?;
    let (mut called, mut known) = (Called::default(), CalledWorkflows::new());
    loop {
        let wanted = missing(&workflow, &known);
        if wanted.is_empty() {
            return Ok(called);
        }
        for one in wanted {
            let (file, commit) = fetch(&one.reference, mirror, sha, actions).await?;
            known.insert(one.key.clone(), file.read().map_err(wrong)?);
            called.files.insert(one.key.clone(), file);
            called.commits.extend(commit.map(|commit| (one.key, commit)));
        }
    }
}

async fn fetch(
    reference: &WorkflowRef,
    mirror: &Mirror,
    sha: &str,
    actions: &dyn ActionStore,
) -> Result<(File, Option<String>), CallError> {
    match reference {
        WorkflowRef::Local { path } => {
            let found = mirror.file(sha, path).await;
            let bytes = found.map_err(|error| CallError::Unreachable(error.to_string()))?;
            let bytes = bytes.ok_or_else(|| not_found(path, sha))?;
            Ok((text(path, &bytes)?, None))
        }
        WorkflowRef::Remote { owner, repo, path, reference } => {
            let action = ActionRef::Repository {
                owner: owner.clone(),
                repo: repo.clone(),
                path: String::new(),
                reference: reference.clone(),
            };
            let shown = format!("{owner}/{repo}/{path}@{reference}");
            let fetched = actions.fetch(&action).await;
            let fetched = fetched.map_err(|error| match error.may_pass {
                true => CallError::Unreachable(format!(
                    "can't get the called workflow {shown} now: {}",
                    error.reason
                )),
                // One that is misspelt must not wait for an hour.
                false => CallError::Wrong(format!("can't get the called workflow {shown}: {}", error.reason)),
            })?;
            let file = file_of_tree(&fetched.tree, Path::new(path));
            let file = file.ok_or_else(|| not_found(&shown, &fetched.commit))?;
            let unreadable = |error| CallError::Unreachable(format!("can't read {shown}: {error}"));
            if tokio::fs::metadata(&file).await.map_err(unreadable)?.len() > FILE_BYTES {
                return Err(CallError::Wrong(format!("the called workflow {shown} is too large")));
            }
            let bytes = tokio::fs::read(&file).await.map_err(unreadable)?;
            Ok((text(&shown, &bytes)?, Some(fetched.commit)))
        }
    }
}

fn not_found(path: &str, commit: &str) -> CallError {
    CallError::Wrong(format!("the called workflow {path} is not there at commit {commit}"))
}

fn text(path: &str, bytes: &[u8]) -> Result<File, CallError> {
    match decode(path, bytes) {
        Ok(text) => Ok(File { path: path.to_owned(), text: text.to_owned() }),
        Err(problem) => Err(CallError::Wrong(problem.to_string())),
    }
}
