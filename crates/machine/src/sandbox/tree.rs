//! Builds the file tree of a machine.
//!
//! Everything small is built in memory, on the *stage*: a tmpfs that only the mount
//! namespace of its builder sees. What may grow lies in the *disk*, a folder of the data
//! folder with a handful of entries.
//!
//! ```text
//! stage/skeleton      folders and links of the machine's own
//! stage/own/NAME      its own files below a folder of the host's, and what is hidden there
//! stage/lower/NAME    the host's folder with the machine's ids
//! stage/veil/NAME     the same, read on behalf of nobody
//! stage/root          the tree: an overlay of the skeleton, with the disk as its upper layer;
//!                     on it, one overlay for each of the host's folders, and binds
//! ```
//!
//! Root builds with the host's real privileges, so that id-mapped mounts and trusted
//! overlays are to be had; an ordinary user builds inside of its user namespace. The job
//! has not begun and all names here are Hearth's or the host's: nothing hostile can be in
//! the way yet.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid, setfsgid, setfsuid};
use rustix::mount::{MountPropagationFlags, UnmountFlags};

use super::keeper::go_to;
use super::mounts::{self, Forbid};
use super::skeleton::Skeleton;
use super::visible::{self, OwnFile};
use super::wire::{Doing, Failure, StageConfig};

/// The new root, in the stage.
pub(crate) const ROOT: &str = "root";
/// The folders and links of the machine's own.
const SKELETON: &str = "skeleton";
/// The machine's own files below folders of the host's.
const OWN: &str = "own";
/// From the stage, the folder beside it that lies on the host's disk.
const BESIDE: &str = "../disk";
/// The same where it lies in the stage, since its size is bounded.
const WITHIN: &str = "disk";
/// Who reads the host's folders on behalf of a machine of root's: nobody.
const NOBODY: u32 = 65534;
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

/// A folder of the host's that the machine sees.
struct Shown {
    name: &'static str,
    /// The lower layer: the folder itself, or as the machine may see it.
    lower: String,
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
        for folder in [SKELETON, ROOT, OWN, "upper", "work", "lower", "veil", "empty"] {
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
        Ok(if bounded.is_some() { WITHIN } else { BESIDE })
    }

    /// What is made below `base`.
    fn on<'b>(&self, base: &'b str) -> Skeleton<'b> {
        Skeleton { base, owner: self.owner }
    }

    fn stage_folder(&self, name: &str) -> Result<(), Failure> {
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
    fn lay_out(&self, bulk: &[Bulk], exposed: &[PathBuf]) -> Result<Vec<&'static str>, Failure> {
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
            if found.is_symlink() {
                skeleton.copy_link(name)?;
            } else if found.is_dir() {
                skeleton.folders_to(Path::new(name))?;
                shown.push(*name);
            }
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

    /// Lays the root, and the host's folders on it: under overlays, or read-only.
    fn mount_host(&mut self, shown: &[&'static str], disk: &str) -> Result<(), Failure> {
        let own = visible::own_files(
            &self.config.id,
            &self.config.layout.home,
            self.config.host_network,
            self.owner.is_none(),
        );
        let hidden = self.hidden();
        let overlaid = if self.config.without.overlay {
            Err("switched off".to_owned())
        } else {
            let shown: Vec<Shown> =
                shown.iter().map(|name| Shown { name, lower: self.lower(name) }).collect();
            self.prepare_own(&shown, &own, &hidden)?;
            self.overlays(&shown, disk)?
        };
        if let Err(reason) = overlaid {
            self.notes.push(format!("no overlay ({reason}): /usr, /etc and /opt of the host are read-only, packages can't be installed, and what is written outside of the home and /tmp lies in memory"));
            mounts::bind_own(Path::new(SKELETON), Path::new(ROOT))
                .doing(|| "making the machine's root".to_owned())?;
            self.read_only(shown, &own, &hidden)?;
        }
        Ok(())
    }

    /// What is taken away below the shown folders.
    fn hidden(&self) -> Vec<PathBuf> {
        let mut hidden = visible::secrets();
        let data = fs::canonicalize(&self.config.data_dir).unwrap_or_else(|_| self.config.data_dir.clone());
        hidden.extend(
            data.strip_prefix("/").map(Path::to_path_buf).ok().filter(|data| visible::is_shown(data)),
        );
        hidden
    }

    /// Fills the layers above the host's with what a machine has of its own, and takes the secrets away.
    fn prepare_own(&self, shown: &[Shown], files: &[OwnFile], hidden: &[PathBuf]) -> Result<(), Failure> {
        let own = self.on(OWN);
        // As it is on the host, a folder is not the machine's, and nothing can be added to it.
        if shown.iter().any(|folder| folder.lower.starts_with('/')) {
            for name in visible::ADDABLE
                .iter()
                .filter(|name| visible::on_host(Path::new(name)).is_some_and(|found| found.is_dir()))
            {
                own.folders_to(Path::new(name))?;
            }
        }
        for path in
            hidden.iter().filter(|path| !files.iter().any(|file| Path::new(file.path) == path.as_path()))
        {
            own.whiteout(path)?;
        }
        files.iter().try_for_each(|file| own.write(file))
    }

    /// Lays the overlays. The inner error says why none is to be had here; then none is left.
    fn overlays(&self, shown: &[Shown], disk: &str) -> Result<Result<(), String>, Failure> {
        let mut laid: Vec<PathBuf> = Vec::new();
        let root = [("", vec![SKELETON.to_owned()])];
        let folders = shown.iter().map(|folder| (folder.name, self.lower_layers(folder)));
        for (name, lower) in root.into_iter().chain(folders) {
            let (upper, work) = self.upper_layers(name, disk)?;
            let target = Path::new(ROOT).join(name);
            match mounts::overlay(&lower, Some((&upper, &work)), self.users.is_none(), &target) {
                Ok(()) => laid.push(target),
                Err(error) if visible::is_refusal(error) => {
                    for target in laid.iter().rev() {
                        rustix::mount::unmount(target, UnmountFlags::DETACH)
                            .doing(|| "taking an overlay back".to_owned())?;
                    }
                    return Ok(Err(format!("/{name}: {error}")));
                }
                Err(error) => return Err(Failure::new(format!("laying an overlay over /{name}"), error)),
            }
        }
        Ok(Ok(()))
    }

    /// What lies below a folder's upper layer, the top first.
    fn lower_layers(&self, folder: &Shown) -> Vec<String> {
        let own = format!("{OWN}/{}", folder.name);
        let own = Path::new(&own).is_dir().then_some(own);
        own.into_iter().chain([folder.lower.clone()]).collect()
    }

    /// Makes a folder's upper layer, and the folder that its overlay works in.
    ///
    /// What package tools note is small and goes into memory, except where the overlay would need
    /// attributes of files that an older kernel's tmpfs does not give to an ordinary user.
    fn upper_layers(&self, name: &str, disk: &str) -> Result<(String, String), Failure> {
        let flat = if name.is_empty() { ROOT.to_owned() } else { flat(name) };
        let small = name == "etc" || visible::STATE.contains(&name);
        let (upper, work) = if small && self.users.is_some() {
            (format!("upper/{flat}"), format!("work/{flat}"))
        } else {
            (format!("{disk}/{flat}"), format!("{disk}/{flat}.work"))
        };
        self.stage_folder(&upper)?;
        self.stage_folder(&work)?;
        Ok((upper, work))
    }

    /// The lower layer for one of the host's folders: mapped if it can be, else the folder itself.
    fn lower(&mut self, name: &str) -> String {
        let host = format!("/{name}");
        match self.veiled(name, &host) {
            Ok(Some(veil)) => veil,
            Ok(None) => host,
            Err(error) => {
                let note = format!(
                    "no id-mapped mounts here ({error}): the host's files belong to nobody and can't be changed by the job"
                );
                if !self.notes.contains(&note) {
                    self.notes.push(note);
                }
                host
            }
        }
    }

    /// The host's folder as a machine of root's may see it: owned by the machine's ids,
    /// and read on behalf of nobody, so that the kernel shows only what everyone may read.
    ///
    /// Two mounts make it: an id-mapped one, and an overlay without an upper layer whose
    /// mounter has no rights over files. `None` where the builder is not the host's root.
    fn veiled(&self, name: &str, host: &str) -> rustix::io::Result<Option<String>> {
        let Some(users) = self.users else { return Ok(None) };
        if self.config.without.idmap {
            return Err(rustix::io::Errno::NOSYS);
        }
        let (lower, veil) = (format!("lower/{}", flat(name)), format!("veil/{}", flat(name)));
        for folder in [&lower, &veil] {
            fs::create_dir(folder)
                .map_err(|error| rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::IO))?;
        }
        mounts::bind_mapped(Path::new(host), Path::new(&lower), users)?;
        if visible::STATE.contains(&name) {
            // Package tools must write files there that not everyone reads, their locks among them.
            return Ok(Some(lower));
        }
        // With the file system ids of nobody, the kernel takes the rights over files away too.
        setfsgid(Gid::from_raw(NOBODY));
        setfsuid(Uid::from_raw(NOBODY));
        let mounted = mounts::overlay(&[&lower, "empty"], None, false, Path::new(&veil));
        setfsuid(Uid::from_raw(0));
        setfsgid(Gid::from_raw(0));
        mounted.map(|()| Some(veil))
    }

    /// Without overlays: the host's folders read-only, the machine's own files bound over them.
    fn read_only(&self, shown: &[&str], files: &[OwnFile], hidden: &[PathBuf]) -> Result<(), Failure> {
        for name in shown {
            if *name == "opt" {
                // The tool cache is a folder of the machine's own beside the host's.
                self.bind_children(name)?;
                continue;
            }
            self.bind(&Path::new("/").join(name), &Path::new(ROOT).join(name), Forbid::WRITES)?;
        }
        let own = self.on(OWN);
        for path in hidden {
            self.cover(path, None)?;
        }
        for file in files {
            if !own.at(file.path).exists() {
                own.write(file)?;
            }
            self.cover(Path::new(file.path), Some(file))?;
        }
        Ok(())
    }

    fn bind_children(&self, name: &str) -> Result<(), Failure> {
        for entry in fs::read_dir(Path::new("/").join(name)).into_iter().flatten().filter_map(Result::ok) {
            let path = Path::new(name).join(entry.file_name());
            let hearth =
                fs::canonicalize(&self.config.data_dir).is_ok_and(|data| data.starts_with(entry.path()));
            if entry.file_type().is_ok_and(|kind| kind.is_dir())
                && entry.file_name() != "hostedtoolcache"
                && !hearth
            {
                self.on(ROOT).folders_to(&path)?;
                self.bind(&entry.path(), &Path::new(ROOT).join(&path), Forbid::WRITES)?;
            }
        }
        Ok(())
    }

    /// Puts a file of the machine's own, or nothing, in front of what the host shows at `path`.
    fn cover(&self, path: &Path, with: Option<&OwnFile>) -> Result<(), Failure> {
        let target = Path::new(ROOT).join(path);
        // A link could lead the mount out of the stage.
        let real = fs::canonicalize(&target).ok();
        let stays = real.is_some_and(|real| fs::canonicalize(ROOT).is_ok_and(|root| real == root.join(path)));
        let doing = || format!("covering /{}", path.display());
        match target.symlink_metadata() {
            Err(_) => Ok(()),
            Ok(_) if !stays && with.is_some() => Ok(()),
            Ok(_) if !stays => {
                Err(Failure::new(doing(), "it is a link; without overlays it can't be hidden"))
            }
            Ok(found) if found.is_dir() => mounts::tmpfs(&target, "size=4k,mode=000").doing(doing),
            Ok(_) => {
                let source = match with {
                    Some(file) => Path::new(OWN).join(file.path),
                    None => {
                        fs::write("own/nothing", "").doing(doing)?;
                        PathBuf::from("own/nothing")
                    }
                };
                self.bind(&source, &target, Forbid::WRITES)
            }
        }
    }

    fn run_folder(&self) -> Result<(), Failure> {
        let root = self.on(ROOT);
        mounts::tmpfs(&root.at("run"), &format!("size={RUN_MIB}m,mode=755{}", self.owned_by()))
            .doing(|| "making /run".to_owned())?;
        visible::RUN.iter().try_for_each(|(folder, mode)| root.folder(folder, *mode))
    }

    /// The option of a tmpfs by which it belongs to the machine's root.
    fn owned_by(&self) -> String {
        self.owner.map(|owner| format!(",uid={owner},gid={owner}")).unwrap_or_default()
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

    fn bind(&self, source: &Path, target: &Path, forbid: Forbid) -> Result<(), Failure> {
        mounts::bind(source, target, forbid).doing(|| format!("showing {} in the machine", source.display()))
    }
}

/// A path of the machine without its leading `/`.
fn inner(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}

/// The folder on the disk in which `path` lies, if it is one of those.
fn bulk_of<'b>(bulk: &'b [Bulk], path: &Path) -> Option<&'b Bulk> {
    bulk.iter().find(|folder| path.starts_with(&folder.path))
}

/// A path as the name of one folder.
fn flat(name: &str) -> String {
    name.replace('/', "-")
}

fn memory_mib() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    total.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
}
