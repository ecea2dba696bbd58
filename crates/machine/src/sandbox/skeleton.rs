//! The folders, links and small files that a machine has of its own, on the stage.
//!
//! All of them lie in memory: making and removing some hundred of them on a disk is what
//! would take most of a machine's start and end.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use nix::sys::stat::{Mode, SFlag, makedev, mknod};

use super::visible::OwnFile;
use super::wire::{Doing, Failure};

/// A folder of the stage below which things are made.
#[derive(Clone, Copy)]
pub(super) struct Skeleton<'a> {
    /// The folder, relative to the stage.
    pub(super) base: &'a str,
    /// The host's id of inner root, where the builder is not that itself.
    pub(super) owner: Option<u32>,
}

impl Skeleton<'_> {
    /// Where `path` of the machine is.
    pub(super) fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        Path::new(self.base).join(path)
    }

    /// Makes one folder; the keeper has no umask that could take from the mode.
    pub(super) fn folder(&self, path: impl AsRef<Path>, mode: u32) -> Result<(), Failure> {
        let path = self.at(path);
        let made = match DirBuilder::new().mode(mode).create(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
            made => made.and_then(|()| self.own(&path)),
        };
        made.doing(|| format!("making the folder {}", path.display()))
    }

    /// Makes `path` and all above it, the base too.
    pub(super) fn folders_to(&self, path: &Path) -> Result<(), Failure> {
        if self.at(path).is_dir() {
            return Ok(());
        }
        let mut whole = PathBuf::new();
        self.folder(&whole, 0o755)?;
        for part in path.components() {
            whole.push(part);
            self.folder(&whole, 0o755)?;
        }
        Ok(())
    }

    /// Makes all folders above `path`.
    pub(super) fn folders_above(&self, path: &Path) -> Result<(), Failure> {
        path.parent().map_or(Ok(()), |parent| self.folders_to(parent))
    }

    /// Makes something that a mount can cover: a folder, or an empty file.
    pub(super) fn mount_point(&self, path: &Path, folder: bool) -> Result<(), Failure> {
        if folder {
            return self.folders_to(path);
        }
        self.folders_above(path)?;
        File::create(self.at(path)).map(drop).doing(|| format!("making a place for /{}", path.display()))
    }

    /// Writes a small file.
    pub(super) fn write(&self, file: &OwnFile) -> Result<(), Failure> {
        self.write_text(Path::new(file.path), file.mode, &file.text)
    }

    /// Writes a small file with this text.
    pub(super) fn write_text(&self, place: &Path, mode: u32, text: &str) -> Result<(), Failure> {
        self.folders_above(place)?;
        let path = self.at(place);
        let written = || -> io::Result<()> {
            let mut opened = File::options().write(true).create_new(true).mode(mode).open(&path)?;
            opened.write_all(text.as_bytes())?;
            self.own(&path)
        };
        written().doing(|| format!("writing the machine's /{}", place.display()))
    }

    /// Takes away what lower layers of an overlay have at `path`.
    pub(super) fn whiteout(&self, path: &Path) -> Result<(), Failure> {
        self.folders_above(path)?;
        mknod(&self.at(path), SFlag::S_IFCHR, Mode::empty(), makedev(0, 0))
            .doing(|| format!("hiding /{}", path.display()))
    }

    /// Makes a link as the host has it.
    pub(super) fn copy_link(&self, path: &Path) -> Result<(), Failure> {
        let target = fs::read_link(Path::new("/").join(path))
            .doing(|| format!("reading the link /{}", path.display()))?;
        self.folders_above(path)?;
        self.link(path, target)
    }

    /// Makes a link.
    pub(super) fn link(&self, name: impl AsRef<Path>, target: impl AsRef<Path>) -> Result<(), Failure> {
        let at = self.at(&name);
        let doing = || format!("making the link /{}", name.as_ref().display());
        symlink(target, &at).and_then(|()| self.own(&at)).doing(doing)
    }

    fn own(&self, path: &Path) -> io::Result<()> {
        self.owner.map_or(Ok(()), |owner| lchown(path, Some(owner), Some(owner)))
    }
}
