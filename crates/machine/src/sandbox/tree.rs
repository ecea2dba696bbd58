//! Builds the file tree of a machine.
//!
//! Everything small is built in memory, on the *stage*: a tmpfs that only the mount
//! namespace of its builder sees. What may grow lies in the *disk*, a folder of the data
//! folder with a handful of entries.
//!
//! ```text
//! stage/top/skeleton  folders, links and files of the machine's own
//! stage/own/NAME      its own files below a folder of the host's that has an overlay of its own,
//!                     and what is hidden there
//! stage/lower/NAME    the host's folder with the machine's ids
//! stage/veil/NAME     the same, read on behalf of nobody
//! stage/root          the tree: an overlay of the skeleton, with the disk as its upper layer; in
//!                     it (see `together`) or over it, the host's folders; on it, binds
//! ```
//!
//! Root builds with the host's real privileges, so that id-mapped mounts and trusted
//! overlays are to be had; an ordinary user builds inside of its user namespace. The job
//! has not begun and all names here are Hearth's or the host's: nothing hostile can be in
//! the way yet.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rustix::fs::StatVfsMountFlags;
use rustix::mount::{MountFlags, MountPropagationFlags};

use super::keeper::go_to;
use super::mounts::{self, Forbid};
use super::skeleton::Skeleton;
use super::visible;
use super::wire::{Doing, Failure, StageConfig};

/// The new root, in the stage.
pub(crate) const ROOT: &str = "root";
/// The folder that has nothing but the skeleton in it.
pub(super) const TOP_LAYER: &str = "top";
/// The folders and links of the machine's own.
pub(super) const SKELETON: &str = "top/skeleton";
/// The machine's own files below folders of the host's.
pub(super) const OWN: &str = "own";
/// From the stage, the folder beside it that lies on the host's disk.
const BESIDE: &str = "../disk";
/// The same where it lies in the stage, since its size is bounded.
const WITHIN: &str = "disk";
/// Largest size of `/run`: many times what GitHub takes of a step's command files.
const RUN_MIB: u32 = 256;
/// Largest part of the host's memory that a disk bound may take.
const DISK_IN_MEMORY: u64 = 4;

/// Builds one machine's tree.
pub(crate) struct Builder<'a> {
    /// What is wanted.
    pub(crate) config: &'a StageConfig,
    /// The stage, absolute.
    pub(crate) stage: &'a Path,
    /// The host's id of inner root, where the builder is not that itself.
    pub(crate) owner: Option<u32>,
    /// The machine's user namespace, where the builder is the host's root.
    pub(crate) users: Option<&'a File>,
    /// What of the wall could not be built.
    pub(crate) notes: Vec<String>,
}

/// A folder of the machine's that lies on the disk itself, since much is written there.
struct Bulk {
    /// Where it is in the machine, without the leading `/`.
    path: PathBuf,
    /// Where it is on the disk.
    on_disk: &'static str,
    mode: u32,
}

impl Builder<'_> {
    /// Builds the tree and leaves the stage as working directory. The caller has a mount namespace of its own.
    pub(crate) fn build(&mut self) -> Result<(), Failure> {
        let disk = self.take_stage()?;
        for folder in [TOP_LAYER, SKELETON, ROOT, OWN, "upper", "work", "lower", "veil", "empty"] {
            self.stage_folder(folder)?;
        }
        self.on(disk).folder("", 0o755)?;
        let bulk = self.bulk();
        let exposed = self.exposed();
        let shown = self.lay_out(&bulk, &exposed)?;
        self.mount_host(&shown, disk)?;
        for folder in &bulk {
            self.on(disk).folder(folder.on_disk, folder.mode)?;
            let place = Path::new(disk).join(folder.on_disk);
            mounts::bind_own(&place, &Path::new(ROOT).join(&folder.path))
                .doing(|| format!("making the machine's /{}", folder.path.display()))?;
        }
        self.run_folder()?;
        self.devices()?;
        self.whole_proc();
        for path in &exposed {
            self.expose(path, &bulk, disk)?;
        }
        self.processors();
        Ok(())
    }

    /// Makes the stage a file system of its own in memory, goes there, and says where the disk is from there.
    fn take_stage(&mut self) -> Result<&'static str, Failure> {
        let doing = || "making the machine's file tree".to_owned();
        rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
            .doing(doing)?;
        let memory = memory_mib();
        let bound = self.config.limits.disk_mib;
        let bounded = bound.filter(|bound| *bound <= memory / DISK_IN_MEMORY);
        if let (Some(bound), None) = (bound, bounded) {
            self.notes.push(format!("disk bound of {bound} MiB not enforced: it is more than a quarter of the memory, and the data folder's disk has no quota for it"));
        }
        let size = bounded.unwrap_or(memory / DISK_IN_MEMORY).max(1);
        mounts::tmpfs(self.stage, &format!("size={size}m,mode=755")).doing(doing)?;
        go_to(self.stage).doing(doing)?;
        if bounded.is_some() {
            return Ok(WITHIN);
        }
        if forbids_execution("..") {
            self.notes.push("the data folder's file system is mounted noexec: no program that a job makes in its work folder, home or /tmp can be run; have the data folder elsewhere (--data)".to_owned());
        }
        Ok(BESIDE)
    }

    /// What is made below `base`.
    pub(super) fn on<'b>(&self, base: &'b str) -> Skeleton<'b> {
        Skeleton { base, owner: self.owner }
    }

    pub(super) fn stage_folder(&self, name: &str) -> Result<(), Failure> {
        self.on(".").folder(name, 0o755)
    }

    /// The folders that lie on the disk itself: the others get there through an overlay, which costs a little.
    fn bulk(&self) -> Vec<Bulk> {
        let layout = &self.config.layout;
        let (home, work) = (inner(Path::new(&layout.home)), inner(Path::new(&layout.work)));
        let mut bulk = vec![
            Bulk { path: "tmp".into(), on_disk: "tmp", mode: 0o1777 },
            Bulk { path: home.into(), on_disk: "home", mode: 0o755 },
        ];
        if !work.starts_with(home) {
            bulk.push(Bulk { path: work.into(), on_disk: "workspaces", mode: 0o755 });
        }
        bulk.retain(|folder| !visible::is_shown(&folder.path));
        bulk
    }

    /// Host folders and files that the machine sees beside the usual ones.
    fn exposed(&mut self) -> Vec<PathBuf> {
        let mut exposed = super::exposures::outermost(&self.config.expose);
        exposed.retain(|path| {
            let missing = !path.exists();
            if missing {
                self.notes.push(format!("{} is not on this host and not in the machine", path.display()));
            }
            !missing && !visible::is_shown(inner(path))
        });
        exposed
    }

    /// Makes all folders, links and places for mounts of the skeleton. Returns what of the host is shown.
    fn lay_out(&self, bulk: &[Bulk], exposed: &[PathBuf]) -> Result<Vec<String>, Failure> {
        let skeleton = self.on(SKELETON);
        for (folder, mode) in visible::OWN {
            skeleton.folder(folder, mode)?;
        }
        for (link, target) in visible::LINKS {
            skeleton.link(link, target)?;
        }
        let mut shown = Vec::new();
        for name in visible::TOP.iter().chain(&visible::MERGED).chain(&visible::STATE) {
            let Some(found) = visible::on_host(Path::new(name)) else { continue };
            if found.is_dir() {
                skeleton.folders_to(Path::new(name))?;
                shown.push((*name).to_owned());
            } else if found.is_symlink() {
                shown.extend(self.lay_out_link(name)?);
            }
        }
        // Some distributions keep it elsewhere; the link itself is in `/usr`.
        if let visible::Leads::Elsewhere(target) = visible::leads("usr/local", &self.data()) {
            skeleton.folders_to(Path::new(&target))?;
            shown.push(target);
        }
        for folder in bulk {
            skeleton.folders_to(&folder.path)?;
        }
        for path in exposed.iter().filter(|path| bulk_of(bulk, inner(path)).is_none()) {
            skeleton.mount_point(inner(path), path.is_dir())?;
        }
        for path in visible::SYS_READ.iter().filter(|path| visible::on_host(Path::new(path)).is_some()) {
            skeleton.folders_to(Path::new(path))?;
        }
        Ok(shown)
    }

    /// Makes what the host has as a link. Returns the folder that it leads to, if that has to be shown.
    fn lay_out_link(&self, name: &str) -> Result<Option<String>, Failure> {
        let skeleton = self.on(SKELETON);
        match visible::leads(name, &self.data()) {
            visible::Leads::Astray => skeleton.folders_to(Path::new(name)).map(|()| None),
            visible::Leads::Along => skeleton.copy_link(Path::new(name)).map(|()| None),
            visible::Leads::Elsewhere(target) => {
                skeleton.copy_link(Path::new(name))?;
                skeleton.folders_to(Path::new(&target))?;
                Ok(Some(target))
            }
        }
    }

    /// Hearth's data folder, links followed.
    pub(super) fn data(&self) -> PathBuf {
        fs::canonicalize(&self.config.data_dir).unwrap_or_else(|_| self.config.data_dir.clone())
    }

    fn run_folder(&self) -> Result<(), Failure> {
        let root = self.on(ROOT);
        mounts::tmpfs(&root.at("run"), &format!("size={RUN_MIB}m,mode=755{}", self.owned_by()))
            .doing(|| "making /run".to_owned())?;
        visible::RUN.iter().try_for_each(|(folder, mode)| root.folder(folder, *mode))?;
        // Programs look for the resolver's file where the host's link leads, too.
        match visible::in_run("etc/resolv.conf") {
            Some(path) => root.write_text(&path, 0o644, &visible::resolver(self.config.host_network)),
            None => Ok(()),
        }
    }

    /// The option of a tmpfs by which it belongs to the machine's root.
    fn owned_by(&self) -> String {
        self.owner.map(|owner| format!(",uid={owner},gid={owner}")).unwrap_or_default()
    }

    /// Has a whole `/proc` in sight while the machine gets its own: the kernel gives none to whoever sees
    /// only one that is covered in parts, as a container's is. It stays behind with the host's root.
    fn whole_proc(&self) {
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let (covered, _) = super::mounted::below(&table, &["proc"], &[]);
        if self.users.is_some() && !covered.is_empty() && self.stage_folder("proc").is_ok() {
            // Without it, the machine's own says what is missing.
            let _ = mounts::kernel("proc", Path::new("proc"), "", MountFlags::NODEV);
        }
    }

    fn devices(&self) -> Result<(), Failure> {
        let doing = || "making /dev".to_owned();
        mounts::tmpfs(&Path::new(ROOT).join("dev"), &format!("size=1m,mode=755{}", self.owned_by()))
            .doing(doing)?;
        let root = self.on(ROOT);
        for device in visible::DEVICES {
            let at = root.at("dev").join(device);
            File::create(&at).doing(doing)?;
            self.bind(&Path::new("/dev").join(device), &at, Forbid::EXECUTION)?;
        }
        for (link, target) in visible::DEVICE_LINKS {
            root.link(link, target)?;
        }
        for folder in ["dev/pts", "dev/mqueue", "dev/shm"] {
            root.folder(folder, 0o755)?;
        }
        mounts::tmpfs(&root.at("dev/shm"), "mode=1777").doing(doing)
    }

    fn expose(&self, path: &Path, bulk: &[Bulk], disk: &str) -> Result<(), Failure> {
        let target = inner(path);
        if let Some(folder) = bulk_of(bulk, target) {
            // That folder covers what the skeleton has there.
            let base = format!("{disk}/{}", folder.on_disk);
            let rest = target.strip_prefix(&folder.path).unwrap_or(target);
            self.on(&base).mount_point(rest, path.is_dir())?;
        }
        self.bind(path, &Path::new(ROOT).join(target), Forbid::WRITES)
    }

    /// Shows the processors, where the host lets us: programs count them there.
    fn processors(&self) {
        for path in visible::SYS_READ.iter().filter(|path| visible::on_host(Path::new(path)).is_some()) {
            // Programs have another way to count.
            let _ = self.bind(&Path::new("/").join(path), &Path::new(ROOT).join(path), Forbid::WRITES);
        }
    }

    pub(super) fn bind(&self, source: &Path, target: &Path, forbid: Forbid) -> Result<(), Failure> {
        mounts::bind(source, target, forbid).doing(|| format!("showing {} in the machine", source.display()))
    }
}

/// A path of the machine without its leading `/`.
pub(super) fn inner(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}

/// The folder on the disk in which `path` lies, if it is one of those.
fn bulk_of<'b>(bulk: &'b [Bulk], path: &Path) -> Option<&'b Bulk> {
    bulk.iter().find(|folder| path.starts_with(&folder.path))
}

fn forbids_execution(folder: &str) -> bool {
    rustix::fs::statvfs(folder).is_ok_and(|found| found.f_flag.contains(StatVfsMountFlags::NOEXEC))
}

fn memory_mib() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    total.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
}
