//! The data folder: the one place where Hearth keeps anything.

use std::fs::Permissions;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use store::sqlite::DATABASE_FILE;

/// Bits of a mode that are everybody's but the owner's.
const OTHERS: u32 = 0o077;

/// Bits of a mode that can be set.
const ALL: u32 = 0o7777;

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

    /// Takes the folder from everybody but its owner, where others could look in: repositories, logs, and artifacts in it
    /// are not for them. `true` if it had to be.
    pub(crate) fn make_private(&self) -> Result<bool> {
        let root = self.root.display();
        let look = || format!("can't see who may look into the data folder {root}");
        let mode = std::fs::metadata(&self.root).with_context(look)?.permissions().mode();
        if mode & OTHERS == 0 {
            return Ok(false);
        }
        // Others may need what lies in `/tmp` or in somebody's home. Every fresh ext4 has a `lost+found`.
        let mut entries = std::fs::read_dir(&self.root).with_context(look)?;
        let is_empty = entries.all(|entry| entry.is_ok_and(|entry| entry.file_name() == "lost+found"));
        let is_own = is_empty || self.root.join(DATABASE_FILE).exists();
        if !is_own {
            bail!(
                "others may look into the data folder {root}, which has more in it than Hearth's own: name a folder of its \
                 own, or let nobody else in (chmod 700 {root})"
            );
        }
        std::fs::set_permissions(&self.root, Permissions::from_mode(mode & !OTHERS & ALL)).with_context(|| {
            format!(
                "others may look into the data folder {root}, and it can't be taken from them: give it to the server's \
                 user (chown), or let nobody else in (chmod 700 {root})"
            )
        })?;
        Ok(true)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_others_could_look_into_is_taken_from_them() {
        let folder = tempfile::tempdir().unwrap();
        let mode = || std::fs::metadata(folder.path()).unwrap().permissions().mode() & 0o777;
        let data = DataFolder::open(Some(folder.path().to_owned())).unwrap();
        std::fs::create_dir(folder.path().join("lost+found")).unwrap();
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        assert!(data.make_private().unwrap());
        assert_eq!(mode(), 0o700);
        assert!(!data.make_private().unwrap(), "it is already");
    }

    #[test]
    fn a_folder_with_more_in_it_than_ours_is_left_as_it_is_and_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("letter.txt"), "").unwrap();
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let data = DataFolder::open(Some(folder.path().to_owned())).unwrap();
        let error = data.make_private().unwrap_err().to_string();
        assert!(error.contains("more in it than Hearth's own") && error.contains("chmod 700"), "{error}");
        std::fs::write(folder.path().join(DATABASE_FILE), "").unwrap();
        assert!(data.make_private().unwrap(), "an earlier life has used it");
    }
}
