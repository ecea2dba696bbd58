//! Finished stages of a build.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::error::ImageError;
use super::super::hash;
use super::super::scratch::Scratch;
use super::Stage;

/// A stage is not used again after this: a build that was interrupted long ago would give old packages.
const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// Digits of a key in a folder's name: enough to tell the inputs of one day apart.
const DIGITS: usize = 24;

/// The folder of a stage with certain inputs, finished or not.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    parent: PathBuf,
    name: String,
    key: String,
}

impl Kept {
    pub(super) fn new(parent: &Path, stage: Stage, inputs: &[&str]) -> Self {
        let version = env!("CARGO_PKG_VERSION");
        let parts = [stage.name(), version].into_iter().chain(inputs.iter().copied());
        let key = hash::of_parts(parts.map(str::as_bytes));
        let name = format!("{}-{}", stage.name(), &key[..DIGITS]);
        Self { parent: parent.to_owned(), name, key }
    }

    /// What stands for all inputs.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    pub(super) fn folder(&self) -> PathBuf {
        self.parent.join(&self.name)
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    /// Only a finished stage has its name.
    pub(super) fn is_finished(&self) -> bool {
        self.folder().is_dir()
    }

    /// Does the work in a folder that gets its name at the end.
    pub(super) fn make(&self, work: impl FnOnce(&Path) -> Result<(), ImageError>) -> Result<(), ImageError> {
        let scratch = Scratch::new_in(&self.parent)?;
        work(scratch.path())?;
        let folder = self.folder();
        scratch.rename(&folder).map_err(ImageError::io("finishing", &folder))
    }
}

/// Removes stages that are too old to go on with.
pub(super) fn forget_old(parent: &Path) -> Result<(), ImageError> {
    forget(parent, |age| age > KEPT_FOR)
}

/// Removes all stages.
pub(super) fn forget_all(parent: &Path) -> Result<(), ImageError> {
    forget(parent, |_| true)
}

fn forget(parent: &Path, is_meant: impl Fn(Duration) -> bool) -> Result<(), ImageError> {
    let removed = (|| {
        for entry in fs::read_dir(parent)? {
            let entry = entry?;
            let name = entry.file_name();
            let is_stage = Stage::ALL.iter().any(|stage| {
                name.to_str()
                    .and_then(|name| name.strip_prefix(stage.name()))
                    .is_some_and(|rest| rest.starts_with('-'))
            });
            let age = entry.metadata()?.modified()?.elapsed().unwrap_or_default();
            if is_stage && is_meant(age) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        io::Result::Ok(())
    })();
    removed.map_err(ImageError::io("clearing", parent))
}
