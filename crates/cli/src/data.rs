//! The data folder: the one place where Hearth keeps anything.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The data folder. Its parts are made when they are first used.
#[derive(Clone, Debug)]
pub(crate) struct DataFolder {
    root: PathBuf,
}

impl DataFolder {
    /// Opens the folder given or configured, or the user's own, making it (for its owner only) if needed.
    pub(crate) fn open(given: Option<PathBuf>) -> Result<DataFolder> {
        let root = match given {
            Some(path) => path,
            None => default_path()
                .context("no data folder: neither HOME nor XDG_DATA_HOME is set; name one with --data")?,
        };
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&root).with_context(|| {
            format!("can't make the data folder {}; name another with --data", root.display())
        })?;
        let root =
            root.canonicalize().with_context(|| format!("can't open the data folder {}", root.display()))?;
        Ok(DataFolder { root })
    }

    /// The folder itself.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Folder of one run.
    pub(crate) fn run(&self, run: model::RunId) -> PathBuf {
        self.root.join("runs").join(run.to_string())
    }

    /// Folder for the logs of one run.
    pub(crate) fn logs(&self, run: model::RunId) -> PathBuf {
        self.root.join("logs").join(run.to_string())
    }
}

/// The folder given, or the user's own, if it is there.
pub(crate) fn existing(given: Option<PathBuf>) -> Option<PathBuf> {
    given.or_else(default_path).filter(|path| path.is_dir())
}

fn default_path() -> Option<PathBuf> {
    let base = match std::env::var_os("XDG_DATA_HOME").filter(|value| !value.is_empty()) {
        Some(base) => PathBuf::from(base),
        None => {
            PathBuf::from(std::env::var_os("HOME").filter(|value| !value.is_empty())?).join(".local/share")
        }
    };
    Some(base.join("hearth"))
}
