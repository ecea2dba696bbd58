//! The folder in which a Firecracker works, and the files that it finds there.

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::vmm::{Bars, Vmm, vm_id};
use crate::MachineSpec;
use crate::vm::folder::Folder;
use crate::vm::spawn::Spawner;
use crate::vm::{Doing, Failure};

const PLACING: &str = "placing its files";

/// Everybody may read: the folders above let nobody in.
const READ_ONLY: u32 = 0o444;

/// A machine's folder, before its Firecracker is started.
#[derive(Debug)]
pub(super) struct Place {
    /// What Firecracker takes for its working folder, or for `/`.
    pub(super) root: PathBuf,
    /// What could not be had.
    pub(super) notes: Vec<String>,
    firecracker: PathBuf,
    bars: Option<Bars>,
    folder: Folder,
}

impl Place {
    /// Without bars: Firecracker runs as the user who started Hearth.
    pub(super) fn open(folder: Folder, firecracker: PathBuf, notes: Vec<String>) -> Self {
        Self { root: folder.path().to_owned(), notes, firecracker, bars: None, folder }
    }

    /// With bars: the folder is the jail's root.
    pub(super) fn barred(folder: Folder, firecracker: PathBuf, bars: Bars) -> Result<Self, Failure> {
        let root = bars.jail.root();
        // The jailer gives the root to the jail's user; the folder above is ours alone.
        fs::DirBuilder::new().recursive(true).mode(0o755).create(&root).doing("making its jail")?;
        Ok(Self { root, notes: Vec::new(), firecracker, bars: Some(bars), folder })
    }

    /// Brings a file that nobody changes: the same file, where the file system can have it twice.
    pub(super) fn bring(&self, from: &Path, name: &str) -> Result<(), Failure> {
        let to = self.root.join(name);
        let brought = share(from, &to);
        brought.map_err(|error| {
            Failure::new(PLACING, format!("{} as {}: {error}", from.display(), to.display()))
        })
    }

    /// Gives a file in the folder to Firecracker's user.
    pub(super) fn give(&self, name: &str) -> Result<(), Failure> {
        let Some(bars) = &self.bars else { return Ok(()) };
        let path = self.root.join(name);
        std::os::unix::fs::chown(&path, Some(bars.jail.uid), Some(bars.jail.uid)).doing(PLACING)
    }

    /// Who Firecracker will be.
    pub(super) fn user(&self) -> u32 {
        let own = || rustix::process::geteuid().as_raw();
        self.bars.as_ref().map_or_else(own, |bars| bars.jail.uid)
    }

    /// Starts Firecracker here, in a network namespace of its own if one is given.
    pub(super) async fn start(
        self,
        spawner: Spawner,
        spec: &MachineSpec,
        namespace: Option<OwnedFd>,
    ) -> Result<Vmm, Failure> {
        debug_assert!(self.bars.as_ref().is_none_or(|bars| bars.jail.id == vm_id(&spec.id)));
        let Self { root, firecracker, bars, folder, .. } = self;
        Vmm::start(&spawner, &spec.id, &firecracker, bars, &root, folder, namespace).await
    }
}

/// Makes `from` appear as `to`, by a second name or as a copy.
fn share(from: &Path, to: &Path) -> io::Result<()> {
    let mode = fs::metadata(from)?.permissions().mode();
    if mode & READ_ONLY != READ_ONLY {
        fs::set_permissions(from, Permissions::from_mode(mode | READ_ONLY))?;
    }
    match fs::hard_link(from, to) {
        Ok(()) => Ok(()),
        // Another file system, or one without such names.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        Err(_) => fs::copy(from, to).map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_shared_and_readable_by_the_jails_user() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("image"), folder.path().join("root"));
        fs::write(&from, "the root").unwrap();
        fs::set_permissions(&from, Permissions::from_mode(0o600)).unwrap();
        share(&from, &to).unwrap();
        assert_eq!(fs::read_to_string(&to).unwrap(), "the root");
        assert_eq!(fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o644);
        assert!(share(&from, &to).is_err());
        assert!(share(&folder.path().join("gone"), &folder.path().join("x")).is_err());
    }
}
