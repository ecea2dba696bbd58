//! The machine's tree: a read-only root, what is written above it, and the kernel's own file systems.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

use nix::mount::{MsFlags, mount};

use super::settings::{Scratch, Settings};
use super::uevents::Uevents;
use super::{BootError, Doing};

/// Where the tree is put together, in the initial RAM disk.
const LOWER: &str = "/run/lower";
const SCRATCH: &str = "/run/scratch";
const ROOT: &str = "/run/root";

/// Mounts what the kernel shows of itself.
pub(super) fn kernel_file_systems() -> Result<(), BootError> {
    // Before the first of these nothing can be complained about.
    attach("devtmpfs", "/dev", "devtmpfs", MsFlags::MS_NOSUID, "mode=755")?;
    attach("proc", "/proc", "proc", HARMLESS, "")?;
    attach("sysfs", "/sys", "sysfs", HARMLESS, "")
}

/// Mounts the root with a layer for writes, and makes it the root of this process.
pub(super) fn enter_root(settings: &Settings, uevents: &Uevents) -> Result<(), BootError> {
    attach("tmpfs", "/run", "tmpfs", MsFlags::empty(), "mode=755")?;
    let root = settings.root.to_string_lossy();
    appear(&settings.root, uevents)?;
    attach(&root, LOWER, &settings.root_kind, MsFlags::MS_RDONLY, "")?;
    match &settings.scratch {
        Scratch::Memory { mib } => {
            attach("scratch", SCRATCH, "tmpfs", MsFlags::empty(), &format!("mode=755,size={mib}m"))?;
        }
        Scratch::Disk(disk) => {
            appear(disk, uevents)?;
            attach(&disk.to_string_lossy(), SCRATCH, "ext4", MsFlags::MS_NOATIME, "")?;
        }
    }
    let (upper, work) = (format!("{SCRATCH}/upper"), format!("{SCRATCH}/work"));
    for folder in [&upper, &work] {
        fs::create_dir_all(folder).doing(|| format!("making {folder}"))?;
    }
    // Nobody needs what was written after the machine's end: nothing is waited for to reach the disk.
    let layers = format!("lowerdir={LOWER},upperdir={upper},workdir={work},volatile");
    attach("root", ROOT, "overlay", MsFlags::empty(), &layers)?;
    switch_root().doing(|| "entering the root".to_owned())
}

/// Moves into the tree, and empties the initial RAM disk, which takes memory.
fn switch_root() -> io::Result<()> {
    for folder in ["/dev", "/proc", "/sys"] {
        let target = format!("{ROOT}{folder}");
        fs::create_dir_all(&target)?;
        mount(Some(folder), target.as_str(), None::<&str>, MsFlags::MS_MOVE, None::<&str>)?;
    }
    fs::remove_dir_all("/modules")?;
    fs::remove_file("/init")?;
    go_to(ROOT)?;
    mount(Some("."), "/", None::<&str>, MsFlags::MS_MOVE, None::<&str>)?;
    nix::unistd::chroot(".")?;
    go_to("/")
}

/// Mounts what programs expect beside the root's own files.
pub(super) fn job_file_systems() -> Result<(), BootError> {
    attach("devpts", "/dev/pts", "devpts", HARMLESS, "gid=5,mode=620,ptmxmode=666")?;
    attach("shm", "/dev/shm", "tmpfs", MsFlags::MS_NOSUID | MsFlags::MS_NODEV, "mode=1777")?;
    attach("run", "/run", "tmpfs", MsFlags::MS_NOSUID | MsFlags::MS_NODEV, "mode=755")?;
    attach("cgroup2", "/sys/fs/cgroup", "cgroup2", HARMLESS, "nsdelegate")?;
    for (link, target) in [("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")]
    {
        let link = Path::new("/dev").join(link);
        symlink(target, &link).doing(|| format!("making {}", link.display()))?;
    }
    Ok(())
}

const HARMLESS: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV).union(MsFlags::MS_NOEXEC);

fn attach(source: &str, target: &str, kind: &str, flags: MsFlags, options: &str) -> Result<(), BootError> {
    let doing = || format!("mounting {source} ({kind}) on {target}");
    fs::create_dir_all(target).doing(doing)?;
    mount(Some(source), target, Some(kind), flags, Some(options)).doing(doing)
}

/// Waits until there is a device.
fn appear(device: &Path, uevents: &Uevents) -> Result<(), BootError> {
    uevents.wait_for(|| device.exists().then_some(())).doing(|| format!("waiting for {}", device.display()))
}

#[expect(clippy::disallowed_methods, reason = "the machine's init has one thread yet, and changes its root")]
fn go_to(folder: &str) -> io::Result<()> {
    std::env::set_current_dir(folder)
}
