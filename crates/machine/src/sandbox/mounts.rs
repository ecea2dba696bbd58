//! The few mount operations of which a machine's file tree is made.
//!
//! All paths are relative to the stage, the folder in which the builder works, unless
//! they name something of the host. Nothing here runs after the job has begun.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use nix::libc;
use rustix::fs::CWD;
use rustix::io;
use rustix::mount::{MountFlags, MoveMountFlags, OpenTreeFlags};

/// What a mount forbids.
#[derive(Clone, Copy)]
pub(crate) struct Forbid {
    pub(crate) writes: bool,
    pub(crate) devices: bool,
    pub(crate) execution: bool,
}

impl Forbid {
    /// A host folder: read and run, nothing else.
    pub(crate) const WRITES: Forbid = Forbid { writes: true, devices: true, execution: false };
    /// A device node: a device, and not a program.
    pub(crate) const EXECUTION: Forbid = Forbid { writes: false, devices: false, execution: true };

    /// As `mount_setattr(2)` wants it; setuid bits never count inside of a machine.
    fn attributes(self) -> u64 {
        let mut bits = libc::MOUNT_ATTR_NOSUID;
        for (forbidden, bit) in [
            (self.writes, libc::MOUNT_ATTR_RDONLY),
            (self.devices, libc::MOUNT_ATTR_NODEV),
            (self.execution, libc::MOUNT_ATTR_NOEXEC),
        ] {
            if forbidden {
                bits |= bit;
            }
        }
        bits
    }
}

/// Shows `source` (with what is mounted below it) at `target`.
pub(crate) fn bind(source: &Path, target: &Path, forbid: Forbid) -> io::Result<()> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    let tree = rustix::mount::open_tree(CWD, source, flags)?;
    set_attributes(&tree, forbid.attributes(), None, libc::AT_RECURSIVE)?;
    attach(&tree, target)
}

/// Shows `source` (without what is mounted below it) read-only at `target`, its ids
/// mapped by the user namespace `users`.
pub(crate) fn bind_mapped(source: &Path, target: &Path, users: &File) -> io::Result<()> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let tree = rustix::mount::open_tree(CWD, source, flags)?;
    let bits = Forbid::WRITES.attributes() | libc::MOUNT_ATTR_IDMAP;
    set_attributes(&tree, bits, Some(users), 0)?;
    attach(&tree, target)
}

/// Shows a folder of the machine's own at `target`, without setuid programs or devices.
pub(crate) fn bind_own(source: &Path, target: &Path) -> io::Result<()> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let tree = rustix::mount::open_tree(CWD, source, flags)?;
    set_attributes(&tree, libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV, None, 0)?;
    attach(&tree, target)
}

/// Makes the folder `at` a mount of its own, without setuid programs or devices, and returns it as a file.
pub(crate) fn own_mount(at: &Path) -> io::Result<OwnedFd> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    let tree = rustix::mount::open_tree(CWD, at, flags)?;
    // Not for what is mounted below: among it are the machine's devices.
    set_attributes(&tree, libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV, None, 0)?;
    attach(&tree, at)?;
    Ok(tree)
}

fn attach(tree: &OwnedFd, target: &Path) -> io::Result<()> {
    rustix::mount::move_mount(tree, "", CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}

/// `mount_setattr(2)` on a tree that is open: no library offers it.
#[expect(unsafe_code, reason = "mount_setattr has no safe wrapper in rustix or nix")]
fn set_attributes(tree: &OwnedFd, set: u64, users: Option<&File>, flags: libc::c_int) -> io::Result<()> {
    let attributes = libc::mount_attr {
        attr_set: set,
        attr_clr: 0,
        propagation: 0,
        userns_fd: users.map_or(0, |users| users.as_raw_fd() as u64),
    };
    // SAFETY: the path is a NUL-terminated literal, `attributes` is a live `mount_attr` of
    // the size passed, and both descriptors are borrowed for the whole call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_fd().as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    if result == 0 {
        return Ok(());
    }
    let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO);
    Err(io::Errno::from_raw_os_error(errno))
}

/// Where an overlay finds its own marks of files, and what they may say.
#[derive(Clone, Copy)]
pub(crate) enum Marks {
    /// Attributes that a user namespace may write.
    Users,
    /// Attributes that only the host's root may write.
    Trusted,
    /// The same; folders of the layers may point to others in the layers below.
    Pointing,
}

/// Mounts an overlay at `target`.
///
/// `lower` are the layers, the first on top; `layers` are the upper and the work folder,
/// none for an overlay that only reads.
pub(crate) fn overlay(
    lower: &[impl AsRef<str>],
    layers: Option<(&str, &str)>,
    marks: Marks,
    target: &Path,
) -> io::Result<()> {
    let mut options = String::from("lowerdir=");
    for (index, layer) in lower.iter().enumerate() {
        if index > 0 {
            options.push(':');
        }
        options.push_str(layer.as_ref());
    }
    if let Some((upper, work)) = layers {
        options.push_str(&format!(",upperdir={upper},workdir={work}"));
    }
    options.push_str(match marks {
        Marks::Users => ",userxattr",
        Marks::Trusted => "",
        Marks::Pointing => ",redirect_dir=follow",
    });
    // The upper layer dies with the machine, so nothing of it need reach the disk.
    let fast = if layers.is_some() { format!("{options},volatile") } else { options.clone() };
    match filesystem("overlay", target, &fast) {
        Err(io::Errno::INVAL) => filesystem("overlay", target, &options),
        done => done,
    }
}

/// Mounts a tmpfs.
pub(crate) fn tmpfs(target: &Path, options: &str) -> io::Result<()> {
    filesystem("tmpfs", target, options)
}

fn filesystem(kind: &str, target: &Path, options: &str) -> io::Result<()> {
    let options = std::ffi::CString::new(options).map_err(|_| io::Errno::INVAL)?;
    rustix::mount::mount(kind, target, kind, MountFlags::NOSUID | MountFlags::NODEV, options.as_c_str())
}

/// Mounts a file system of the kernel's own, in which nothing can be run.
pub(crate) fn kernel(kind: &str, target: &Path, options: &str, flags: MountFlags) -> io::Result<()> {
    let options = std::ffi::CString::new(options).map_err(|_| io::Errno::INVAL)?;
    rustix::mount::mount(
        kind,
        target,
        kind,
        MountFlags::NOSUID | MountFlags::NOEXEC | flags,
        options.as_c_str(),
    )
}
