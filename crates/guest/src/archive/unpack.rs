//! Unpacking, without ever leaving the destination.
//!
//! Names are resolved by the kernel below an open directory (`openat2` with `RESOLVE_BENEATH`),
//! so a link that is put in the way meanwhile leads nowhere either.

use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::stat::{Mode, SFlag, UtimensatFlags, fchmod, fstatat, futimens, mkdirat, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{UnlinkatFlags, linkat, symlinkat, unlinkat};
use tar::{Archive, Entry, EntryType};

/// Why a tar stream could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// A member has no place below the destination.
    #[error("{member}: {reason}")]
    Refused {
        /// Name of the member.
        member: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The stream is broken, or a file could not be written.
    #[error("{member}: {source}")]
    Io {
        /// Name of the member; the destination when it is about none.
        member: String,
        /// What the system said.
        source: io::Error,
    },
}

/// Unpacks a tar stream below `dest`, which is made if it is not there.
///
/// Files and links replace what was there; directories are filled. Permission bits and times of
/// modification are kept, owners are not, and neither are the bits that change user or group.
///
/// # Errors
/// At the first member that is absolute, climbs out by `..`, through a symbolic link, or by a
/// hard link, or is a device or pipe; what was unpacked before stays. And on I/O errors.
pub fn unpack(dest: &Path, tar: impl Read) -> Result<(), UnpackError> {
    let broken = |source| UnpackError::Io { member: dest.display().to_string(), source };
    std::fs::create_dir_all(dest).map_err(broken)?;
    let root = openat(AT_FDCWD, dest, DIRECTORY, Mode::empty()).map_err(|error| broken(error.into()))?;
    let mut unpacker = Unpacker { root, parent: None, directories: Vec::new() };
    let mut archive = Archive::new(tar);
    for entry in archive.entries().map_err(broken)? {
        unpacker.member(&mut entry.map_err(broken)?)?;
    }
    unpacker.finish_directories()
}

/// A directory to look things up in, not to be read.
const DIRECTORY: OFlag = OFlag::O_PATH.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);

/// Permission bits that are kept.
const PERMISSIONS: u32 = 0o777;

struct Unpacker {
    root: OwnedFd,
    /// The directory of the last member: the next one is mostly in the same.
    parent: Option<(PathBuf, OwnedFd)>,
    /// Directories get their mode and time last: filling them needs the one and changes the other.
    directories: Vec<(PathBuf, Mode, TimeSpec)>,
}

/// What failed with a member, before it is known by name.
enum Failure {
    Refused(&'static str),
    Io(io::Error),
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        match errno {
            // What RESOLVE_BENEATH answers to a path that leads out.
            Errno::EXDEV => Self::Refused("leads out of the destination through a symbolic link"),
            Errno::ELOOP => Self::Refused("leads through a loop of symbolic links"),
            _ => Self::Io(errno.into()),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Failure {
    fn of(self, member: &Path) -> UnpackError {
        let member = member.display().to_string();
        match self {
            Self::Refused(reason) => UnpackError::Refused { member, reason },
            Self::Io(source) => UnpackError::Io { member, source },
        }
    }
}

impl Unpacker {
    fn member(&mut self, entry: &mut Entry<'_, impl Read>) -> Result<(), UnpackError> {
        let name = PathBuf::from(OsStr::from_bytes(&entry.path_bytes()));
        self.place(entry, &name).map_err(|failure| failure.of(&name))
    }

    fn place(&mut self, entry: &mut Entry<'_, impl Read>, name: &Path) -> Result<(), Failure> {
        let kind = entry.header().entry_type();
        if kind == EntryType::XGlobalHeader {
            return Ok(());
        }
        let path = inside(name).map_err(Failure::Refused)?;
        let mode = Mode::from_bits_truncate(entry.header().mode()? & PERMISSIONS);
        let time = TimeSpec::new(i64::try_from(entry.header().mtime()?).unwrap_or(0), 0);
        let Some(last) = path.file_name() else {
            // The destination itself, as `tar c .` has it.
            return if kind.is_dir() { Ok(()) } else { Err(Failure::Refused("has no name")) };
        };
        let last = last.to_owned();
        if kind.is_dir() {
            self.directory(&path, &last)?;
            self.directories.push((path, mode, time));
            return Ok(());
        }
        match kind {
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                file(self.parent_of(&path)?, &last, entry, mode, time)
            }
            EntryType::Symlink => {
                let target = link_target(entry)?;
                symlink(self.parent_of(&path)?, &last, &target, time)
            }
            EntryType::Link => {
                let target = inside(Path::new(&link_target(entry)?)).map_err(Failure::Refused)?;
                self.hard_link(&path, &last, &target)
            }
            _ => Err(Failure::Refused("is a device or a pipe")),
        }
    }

    /// The open directory that a member goes into; missing ones are made.
    fn parent_of(&mut self, path: &Path) -> Result<BorrowedFd<'_>, Failure> {
        let folder = path.parent().unwrap_or(Path::new(""));
        if folder.as_os_str().is_empty() {
            return Ok(self.root.as_fd());
        }
        if self.parent.as_ref().is_none_or(|(known, _)| known != folder) {
            let opened = self.open_making(folder)?;
            self.parent = Some((folder.to_owned(), opened));
        }
        self.parent.as_ref().map(|(_, opened)| opened.as_fd()).ok_or(Failure::Refused("has no folder"))
    }

    fn open_making(&self, folder: &Path) -> Result<OwnedFd, Failure> {
        match self.open(folder) {
            Err(Errno::ENOENT) => {}
            opened => return Ok(opened?),
        }
        let mut path = PathBuf::new();
        for part in folder {
            let at = if path.as_os_str().is_empty() { None } else { Some(self.open(&path)?) };
            let at = at.as_ref().map_or(self.root.as_fd(), AsFd::as_fd);
            match mkdirat(at, part, Mode::from_bits_truncate(0o755)) {
                Ok(()) | Err(Errno::EEXIST) => {}
                Err(error) => return Err(error.into()),
            }
            path.push(part);
        }
        Ok(self.open(folder)?)
    }

    /// Opens a directory below the destination.
    fn open(&self, folder: &Path) -> Result<OwnedFd, Errno> {
        let beneath = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS;
        let how = OpenHow::new().flags(DIRECTORY).resolve(beneath);
        loop {
            match openat2(&self.root, folder, how) {
                // Something was moved meanwhile, and the kernel could not be sure.
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                // No such call here (an old kernel, or a filter that does not know it).
                Err(Errno::ENOSYS | Errno::EPERM) => return self.open_by_hand(folder),
                opened => return opened,
            }
        }
    }

    /// As `open`, part by part. Stricter: no symbolic link is followed at all.
    fn open_by_hand(&self, folder: &Path) -> Result<OwnedFd, Errno> {
        let mut at = self.root.try_clone().map_err(|_| Errno::EMFILE)?;
        for part in folder {
            at = match openat(&at, part, DIRECTORY | OFlag::O_NOFOLLOW, Mode::empty()) {
                Err(Errno::ENOTDIR) if is_link(at.as_fd(), part) => return Err(Errno::EXDEV),
                opened => opened?,
            };
        }
        Ok(at)
    }

    fn directory(&mut self, path: &Path, last: &OsStr) -> Result<(), Failure> {
        let parent = self.parent_of(path)?;
        let make = || mkdirat(parent, last, Mode::from_bits_truncate(0o700));
        match make() {
            Err(Errno::EEXIST) => {}
            made => return Ok(made?),
        }
        let found = fstatat(parent, last, AtFlags::AT_SYMLINK_NOFOLLOW)?;
        if SFlag::from_bits_truncate(found.st_mode) & SFlag::S_IFMT == SFlag::S_IFDIR {
            return Ok(());
        }
        unlinkat(parent, last, UnlinkatFlags::NoRemoveDir)?;
        Ok(make()?)
    }

    fn hard_link(&mut self, path: &Path, last: &OsStr, target: &Path) -> Result<(), Failure> {
        let name = target.file_name().ok_or(Failure::Refused("links to nothing"))?;
        let folder = target.parent().unwrap_or(Path::new(""));
        let from = if folder.as_os_str().is_empty() { self.root.try_clone()? } else { self.open(folder)? };
        let parent = self.parent_of(path)?;
        clear(parent, last)?;
        Ok(linkat(&from, name, parent, last, AtFlags::empty())?)
    }

    fn finish_directories(&self) -> Result<(), UnpackError> {
        for (path, mode, time) in self.directories.iter().rev() {
            self.finish_directory(path, *mode, *time).map_err(|failure| failure.of(path))?;
        }
        Ok(())
    }

    fn finish_directory(&self, path: &Path, mode: Mode, time: TimeSpec) -> Result<(), Failure> {
        let folder = path.parent().unwrap_or(Path::new(""));
        let parent = if folder.as_os_str().is_empty() { self.root.try_clone()? } else { self.open(folder)? };
        let Some(last) = path.file_name() else { return Ok(()) };
        // A later member may have put a link here, whose target is none of ours.
        if is_link(parent.as_fd(), last) {
            return Ok(());
        }
        utimensat(&parent, last, &time, &time, UtimensatFlags::NoFollowSymlink)?;
        let opened = openat(
            &parent,
            last,
            OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK,
            Mode::empty(),
        )?;
        Ok(fchmod(&opened, mode)?)
    }
}

/// A member's path without `.`, if it stays below where it starts.
///
/// # Errors
/// What is wrong with it, to be said after its name.
pub fn inside(name: &Path) -> Result<PathBuf, &'static str> {
    let mut path = PathBuf::new();
    for component in name.components() {
        match component {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            Component::ParentDir => return Err("climbs out by `..`"),
            Component::RootDir | Component::Prefix(_) => return Err("is an absolute path"),
        }
    }
    Ok(path)
}

fn link_target(entry: &Entry<'_, impl Read>) -> Result<OsString, Failure> {
    let target = entry.link_name_bytes().ok_or(Failure::Refused("links to nothing"))?;
    Ok(OsStr::from_bytes(&target).to_owned())
}

fn file(
    parent: BorrowedFd<'_>,
    name: &OsStr,
    data: &mut impl Read,
    mode: Mode,
    time: TimeSpec,
) -> Result<(), Failure> {
    clear(parent, name)?;
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let mut file = File::from(openat(parent, name, flags, Mode::from_bits_truncate(0o600))?);
    io::copy(data, &mut file)?;
    fchmod(&file, mode)?;
    Ok(futimens(&file, &time, &time)?)
}

fn symlink(parent: BorrowedFd<'_>, name: &OsStr, target: &OsStr, time: TimeSpec) -> Result<(), Failure> {
    let target = CString::new(target.as_bytes()).map_err(|_| Failure::Refused("links to a name with NUL"))?;
    clear(parent, name)?;
    symlinkat(target.as_c_str(), parent, name)?;
    // Not every file system keeps times of links.
    let _ = utimensat(parent, name, &time, &time, UtimensatFlags::NoFollowSymlink);
    Ok(())
}

/// Makes way for a file or link. A directory is not removed for it.
fn clear(parent: BorrowedFd<'_>, name: &OsStr) -> Result<(), Failure> {
    match unlinkat(parent, name, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(Errno::EISDIR) => Err(Failure::Refused("would replace a directory")),
        Err(error) => Err(error.into()),
    }
}

fn is_link(parent: BorrowedFd<'_>, name: &OsStr) -> bool {
    fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW)
        .is_ok_and(|found| SFlag::from_bits_truncate(found.st_mode) & SFlag::S_IFMT == SFlag::S_IFLNK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_help_of_the_kernel_no_link_is_followed_at_all() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("real/deep")).unwrap();
        std::os::unix::fs::symlink("..", folder.path().join("real/out")).unwrap();
        let root = openat(AT_FDCWD, folder.path(), DIRECTORY, Mode::empty()).unwrap();
        let unpacker = Unpacker { root, parent: None, directories: Vec::new() };
        unpacker.open_by_hand(Path::new("real/deep")).unwrap();
        assert_eq!(unpacker.open_by_hand(Path::new("real/out")).unwrap_err(), Errno::EXDEV);
        assert_eq!(unpacker.open_by_hand(Path::new("real/out/real")).unwrap_err(), Errno::EXDEV);
        assert_eq!(unpacker.open_by_hand(Path::new("missing")).unwrap_err(), Errno::ENOENT);
    }
}
