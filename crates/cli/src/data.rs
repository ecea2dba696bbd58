//! The data folder: the one place where Hearth keeps anything.

use std::fs::Permissions;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use store::sqlite::DATABASE_FILE;

use crate::run::output::one_line;

/// Bits of a mode that are everybody's but the owner's.
const OTHERS: u32 = 0o077;

/// Bits of a mode that can be set.
const ALL: u32 = 0o7777;

/// What lies in a data folder: whoever makes more at its top adds it here and to docs/reference/data-folder.md.
const OWN: [&str; 29] = [
    "actions",
    "address",
    "admin-token",
    "caches",
    "checkouts",
    "github-hooks.json",
    DATABASE_FILE,
    "hearth.db-shm",
    "hearth.db-wal",
    "hearth.lock",
    "images",
    "kernels",
    "logs",
    "machines",
    "mirrors",
    "oidc-key.old.pem",
    "oidc-key.pem",
    "pools",
    "qemu-canary.json",
    "replaced",
    "restored.partial",
    "run-numbers",
    "runs",
    "secrets.key",
    "serve-machines.lock",
    "snapshots",
    "trees",
    "vms",
    // Every fresh ext4 has it.
    "lost+found",
];

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
        let Some(mode) = open_to_others(&self.root)? else { return Ok(false) };
        let root = self.root.display();
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

/// The mode of a data folder that others may look into, if they may.
///
/// # Errors
/// When it can't be taken from them, since more lies in it than Hearth's own: others may need what lies in `/tmp` or in
/// somebody's home.
pub(crate) fn open_to_others(root: &Path) -> Result<Option<u32>> {
    let shown = root.display();
    let look = || format!("can't see who may look into the data folder {shown}");
    let mode = std::fs::metadata(root).with_context(look)?.permissions().mode();
    if mode & OTHERS == 0 {
        return Ok(None);
    }
    // Whatever lies beside a database, an earlier life has used the folder.
    if !root.join(DATABASE_FILE).exists() {
        for entry in std::fs::read_dir(root).with_context(look)? {
            let name = entry.with_context(look)?.file_name();
            if !OWN.iter().any(|own| name == **own) {
                bail!(
                    "others may look into the data folder {shown}, which has more in it than Hearth's own ({}): name a \
                     folder of its own, or let nobody else in (chmod 700 {shown})",
                    one_line(&name.to_string_lossy())
                );
            }
        }
    }
    Ok(Some(mode))
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
    fn a_folder_that_other_commands_have_used_before_is_taken_from_others_too() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataFolder::open(Some(folder.path().to_owned())).unwrap();
        for own in OWN.iter().filter(|own| **own != DATABASE_FILE) {
            std::fs::write(data.root().join(own), "").unwrap();
        }
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        assert!(data.make_private().unwrap());
    }

    #[test]
    fn the_documentation_names_all_that_lies_in_the_folder() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/data-folder.md");
        let text = std::fs::read_to_string(path).unwrap();
        for own in OWN {
            assert!(
                text.contains(&format!("`{own}`")) || text.contains(&format!("`{own}/`")),
                "nothing about {own}"
            );
        }
    }

    #[test]
    fn a_folder_with_more_in_it_than_ours_is_left_as_it_is_and_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("letter.txt"), "").unwrap();
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let data = DataFolder::open(Some(folder.path().to_owned())).unwrap();
        let error = data.make_private().unwrap_err().to_string();
        assert!(error.contains("Hearth's own (letter.txt)") && error.contains("chmod 700"), "{error}");
        std::fs::write(folder.path().join(DATABASE_FILE), "").unwrap();
        assert!(data.make_private().unwrap(), "an earlier life has used it");
    }
}
