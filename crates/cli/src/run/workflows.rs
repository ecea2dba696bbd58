//! Finds workflow files, reads them, and brings in the reusable workflows that they call.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use workflow::diagnostic::{Diagnostic, Severity};
use workflow::schema::decode;
use workflow::syntax::Workflow;

/// Folder of workflows in a repository, as GitHub has it.
pub(crate) const FOLDER: &str = ".github/workflows";

/// A workflow file that was read.
#[derive(Clone)]
pub(crate) struct WorkflowFile {
    /// Path relative to the repository's root, or as the user gave it.
    pub(crate) path: String,
    /// Its text.
    pub(crate) text: String,
    /// What it says, unless it is too wrong.
    pub(crate) workflow: Option<Arc<Workflow>>,
    /// What is wrong with it.
    pub(crate) diagnostics: Vec<Diagnostic>,
}

impl WorkflowFile {
    /// Reads the file at `path`; `shown` is what the user knows it as.
    pub(crate) fn read(path: &Path, shown: String) -> Result<WorkflowFile> {
        WorkflowFile::read_as(path, shown, WorkflowFile::parse)
    }

    /// Reads the file at `path` and lets `parse` make sense of its text.
    pub(crate) fn read_as(
        path: &Path,
        shown: String,
        parse: impl FnOnce(String, String) -> WorkflowFile,
    ) -> Result<WorkflowFile> {
        let bytes = bounded(path).with_context(|| format!("can't read the workflow {}", path.display()))?;
        Ok(match decode(&shown, &bytes) {
            Ok(text) => parse(shown.clone(), text.to_owned()),
            Err(problem) => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                WorkflowFile { path: shown.clone(), text, workflow: None, diagnostics: vec![problem] }
            }
        })
    }

    /// Parses the text of a workflow.
    pub(crate) fn parse(path: String, text: String) -> WorkflowFile {
        let (workflow, diagnostics) = workflow::schema::read_workflow(&path, &text, &Default::default());
        WorkflowFile { path, text, workflow: workflow.map(Arc::new), diagnostics }
    }

    /// Whether it can't be run.
    pub(crate) fn is_broken(&self) -> bool {
        self.workflow.is_none() || self.diagnostics.iter().any(|d| d.severity == Severity::Error)
    }

    /// What to call it: its `name`, or its path.
    pub(crate) fn title(&self) -> &str {
        match self.workflow.as_ref().and_then(|workflow| workflow.name.as_ref()) {
            Some(name) if !name.value.is_empty() => &name.value,
            _ => &self.path,
        }
    }
}

/// Bytes of a file that are looked at: those of a mebibyte of the longest characters, which is what a
/// workflow may have, and of two more.
const FILE_BYTES: u64 = 4 * (1024 * 1024 + 2);

/// The file, or so much of it as tells that it is too large.
fn bounded(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path)?.take(FILE_BYTES).read_to_end(&mut bytes)?;
    // The cut may go through a character.
    if read as u64 == FILE_BYTES
        && let Err(error) = std::str::from_utf8(&bytes)
        && error.error_len().is_none()
    {
        bytes.truncate(error.valid_up_to());
    }
    Ok(bytes)
}

/// All workflow files of a repository, by name.
pub(crate) fn discover(root: &Path) -> Result<Vec<WorkflowFile>> {
    yaml_files(&root.join(FOLDER))?
        .iter()
        .map(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            WorkflowFile::read(path, format!("{FOLDER}/{name}"))
        })
        .collect()
}

/// The YAML files of a folder, by name; none where it does not exist.
pub(crate) fn yaml_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("can't read {}", folder.display())),
    };
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("can't read {}", folder.display()))?.path();
        if path.extension().is_some_and(|extension| extension == "yml" || extension == "yaml")
            && path.is_file()
        {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// The workflows that the user named: by path, by file name, or by `name`.
pub(crate) fn select(root: &Path, wanted: &[String]) -> Result<Vec<WorkflowFile>> {
    let known = discover(root)?;
    wanted.iter().map(|name| select_one(root, &known, name)).collect()
}

fn select_one(root: &Path, known: &[WorkflowFile], wanted: &str) -> Result<WorkflowFile> {
    let matches: Vec<_> = known
        .iter()
        .filter(|file| {
            let name = file.path.rsplit('/').next().unwrap_or_default();
            let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
            [file.path.as_str(), name, stem, file.title()].contains(&wanted)
        })
        .collect();
    match matches.as_slice() {
        [one] => return Ok((*one).clone()),
        [] => {}
        several => {
            let paths: Vec<_> = several.iter().map(|file| file.path.as_str()).collect();
            bail!("{wanted:?} is the name of several workflows; give the path of one: {}", paths.join(", "));
        }
    }
    for candidate in [root.join(wanted), PathBuf::from(wanted)] {
        if candidate.is_file() {
            return WorkflowFile::read(&candidate, wanted.to_owned());
        }
    }
    let names: Vec<_> = known.iter().map(|file| format!("{} ({})", file.path, file.title())).collect();
    match names.as_slice() {
        [] => bail!("there is no workflow {wanted:?}: {} has no workflow files", root.join(FOLDER).display()),
        _ => bail!("there is no workflow {wanted:?}; the repository has: {}", names.join(", ")),
    }
}

/// The texts of files that diagnostics may point into.
#[derive(Default)]
pub(crate) struct Sources(BTreeMap<String, String>);

impl Sources {
    /// Remembers a file.
    pub(crate) fn add(&mut self, file: &WorkflowFile) {
        self.0.insert(file.path.clone(), file.text.clone());
    }

    /// The text of a file.
    pub(crate) fn text(&self, path: &str) -> Option<String> {
        self.0.get(path).cloned()
    }
}
