//! Builds the file tree of a machine on the stage.
//!
//! The stage is a folder of the machine's own, `<data>/machines/<id>/stage`, seen only by
//! the mount namespace that builds it. Root builds with the host's real privileges, so
//! that id-mapped mounts and trusted overlays are to be had; an ordinary user builds
//! inside of its user namespace. The job has not begun and all names here are Hearth's
//! or the host's: nothing hostile can be in the way yet.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::unistd::{Gid, Uid, setfsgid, setfsuid};
use rustix::mount::MountPropagationFlags;

use super::keeper::go_to;
use super::mounts::{self, Forbid};
use super::visible::{self, OwnFile};
use super::wire::{Doing, Failure, StageConfig};

/// The new root, in the stage.
pub(crate) const ROOT: &str = "root";
/// Who reads the host's folders on behalf of a machine of root's: nobody.
const NOBODY: u32 = 65534;
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

impl Builder<'_> {
    /// Builds the tree and leaves the stage as working directory. The caller has a mount namespace of its own.
    pub(crate) fn build(&mut self) -> Result<(), Failure> {
        self.take_stage()?;
        for folder in [ROOT, "upper", "work", "lower", "veil", "empty"] {
            self.folder(Path::new(folder), 0o755)?;
        }
        if self.users.is_some() {
            // Of another file system than the data folder, which may lie below a folder that
            // is shown: layers of an overlay must not lie in each other.
            mounts::tmpfs(Path::new("empty"), "size=4k,mode=755")
                .doing(|| "making an empty layer".to_owned())?;
        }
        for (folder, mode) in visible::OWN {
            self.folder(&Path::new(ROOT).join(folder), mode)?;
        }
        for (link, target) in visible::LINKS {
            self.link(link, target)?;
        }
        self.show_host()?;
        self.devices()?;
        self.exposures()?;
        self.processors();
        Ok(())
    }

    /// Makes the stage a mount of its own (of bounded size, if asked), and goes there.
    fn take_stage(&mut self) -> Result<(), Failure> {
        let doing = || "making the machine's file tree".to_owned();
        rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
            .doing(doing)?;
        match self.config.limits.disk_mib {
            Some(size) if size <= memory_mib() / DISK_IN_MEMORY => {
                mounts::tmpfs(self.stage, &format!("size={size}m,mode=755")).doing(doing)?;
            }
            bound => {
                if let Some(size) = bound {
                    self.notes.push(format!("disk bound of {size} MiB not enforced: it is more than a quarter of the memory, and the data folder's disk has no quota for it"));
                }
                mounts::own_mount(self.stage).doing(doing)?;
            }
        }
        go_to(self.stage).doing(doing)
    }

    /// Shows the host's folders, under overlays or read-only.
    fn show_host(&mut self) -> Result<(), Failure> {
        let mut shown = Vec::new();
        for name in visible::TOP.iter().chain(&visible::MERGED).chain(&visible::STATE) {
            let Some(found) = visible::on_host(Path::new(name)) else { continue };
            if found.is_symlink() {
                self.copy_link(name)?;
            } else if found.is_dir() {
                shown.push(*name);
            }
        }
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
            let lower: Vec<(&str, String)> = shown.iter().map(|name| (*name, self.lower(name))).collect();
            self.prepare_upper(&lower, &own, &hidden)?;
            self.overlays(&lower)?
        };
        if let Err(reason) = overlaid {
            self.notes.push(format!("no overlay ({reason}): /usr, /etc and /opt of the host are read-only, packages can't be installed"));
            self.read_only(&shown, &own, &hidden)?;
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

    /// Fills the upper layers with what a machine has of its own, and takes the secrets away.
    fn prepare_upper(
        &self,
        shown: &[(&str, String)],
        own: &[OwnFile],
        hidden: &[PathBuf],
    ) -> Result<(), Failure> {
        for (name, _) in shown {
            self.folders_to("upper", Path::new(name))?;
            self.folder(&Path::new("work").join(flat(name)), 0o755)?;
        }
        // As it is on the host, a folder is not the machine's, and nothing can be added to it.
        if shown.iter().any(|(_, lower)| lower.starts_with('/')) {
            for name in visible::ADDABLE
                .iter()
                .filter(|name| visible::on_host(Path::new(name)).is_some_and(|found| found.is_dir()))
            {
                self.folders_to("upper", Path::new(name))?;
            }
        }
        for path in
            hidden.iter().filter(|path| !own.iter().any(|file| Path::new(file.path) == path.as_path()))
        {
            if let Some(parent) = path.parent() {
                self.folders_to("upper", parent)?;
            }
            let at = Path::new("upper").join(path);
            mknod(&at, SFlag::S_IFCHR, Mode::empty(), makedev(0, 0))
                .doing(|| format!("hiding /{}", path.display()))?;
        }
        for file in own {
            if let Some(parent) = Path::new(file.path).parent() {
                self.folders_to("upper", parent)?;
            }
            self.write("upper", file)?;
        }
        Ok(())
    }

    /// Lays the overlays. The inner error says why none is to be had here; then none is left.
    fn overlays(&self, shown: &[(&str, String)]) -> Result<Result<(), String>, Failure> {
        let mut laid = Vec::new();
        for (name, lower) in shown {
            let target = Path::new(ROOT).join(name);
            self.folders_to(ROOT, Path::new(name))?;
            let layers = (format!("upper/{name}"), format!("work/{}", flat(name)));
            let layers = Some((layers.0.as_str(), layers.1.as_str()));
            match mounts::overlay(&[lower], layers, self.users.is_none(), &target) {
                Ok(()) => laid.push(target),
                Err(error) if visible::is_refusal(error) => {
                    for target in laid.iter().rev() {
                        rustix::mount::unmount(target, rustix::mount::UnmountFlags::DETACH)
                            .doing(|| "taking an overlay back".to_owned())?;
                    }
                    return Ok(Err(format!("/{name}: {error}")));
                }
                Err(error) => return Err(Failure::new(format!("laying an overlay over /{name}"), error)),
            }
        }
        Ok(Ok(()))
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
    fn read_only(&self, shown: &[&str], own: &[OwnFile], hidden: &[PathBuf]) -> Result<(), Failure> {
        for name in shown {
            if *name == "opt" {
                // The tool cache is a folder of the machine's own beside the host's.
                self.bind_children(name)?;
                continue;
            }
            self.folders_to(ROOT, Path::new(name))?;
            self.bind(&Path::new("/").join(name), &Path::new(ROOT).join(name), Forbid::WRITES)?;
        }
        self.folder(Path::new("own"), 0o755)?;
        for path in hidden {
            self.cover(path, None)?;
        }
        for file in own {
            if let Some(parent) = Path::new(file.path).parent() {
                self.folders_to("own", parent)?;
            }
            self.write("own", file)?;
            self.cover(Path::new(file.path), Some(file))?;
        }
        Ok(())
    }

    fn bind_children(&self, name: &str) -> Result<(), Failure> {
        self.folders_to(ROOT, Path::new(name))?;
        for entry in fs::read_dir(Path::new("/").join(name)).into_iter().flatten().filter_map(Result::ok) {
            let path = Path::new(name).join(entry.file_name());
            let hearth =
                fs::canonicalize(&self.config.data_dir).is_ok_and(|data| data.starts_with(entry.path()));
            if entry.file_type().is_ok_and(|kind| kind.is_dir())
                && entry.file_name() != "hostedtoolcache"
                && !hearth
            {
                self.folders_to(ROOT, &path)?;
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
                    Some(file) => Path::new("own").join(file.path),
                    None => {
                        fs::write("own/nothing", "").doing(doing)?;
                        PathBuf::from("own/nothing")
                    }
                };
                self.bind(&source, &target, Forbid::WRITES)
            }
        }
    }

    fn devices(&self) -> Result<(), Failure> {
        let doing = || "making /dev".to_owned();
        let options = self.owner.map(|owner| format!(",uid={owner},gid={owner}")).unwrap_or_default();
        mounts::tmpfs(&Path::new(ROOT).join("dev"), &format!("size=1m,mode=755{options}")).doing(doing)?;
        for device in visible::DEVICES {
            let at = Path::new(ROOT).join("dev").join(device);
            File::create(&at).doing(doing)?;
            self.bind(&Path::new("/dev").join(device), &at, Forbid::EXECUTION)?;
        }
        for (link, target) in visible::DEVICE_LINKS {
            self.link(link, target)?;
        }
        for folder in ["dev/pts", "dev/mqueue", "dev/shm"] {
            self.folder(&Path::new(ROOT).join(folder), 0o755)?;
        }
        mounts::tmpfs(&Path::new(ROOT).join("dev/shm"), "mode=1777").doing(doing)
    }

    fn exposures(&mut self) -> Result<(), Failure> {
        for path in super::exposures::outermost(&self.config.expose) {
            let inside = path.strip_prefix("/").unwrap_or(&path);
            if visible::is_shown(inside) {
                continue;
            }
            let Ok(found) = path.metadata() else {
                self.notes.push(format!("{} is not on this host and not in the machine", path.display()));
                continue;
            };
            let target = Path::new(ROOT).join(inside);
            if found.is_dir() {
                self.folders_to(ROOT, inside)?;
            } else {
                if let Some(parent) = inside.parent() {
                    self.folders_to(ROOT, parent)?;
                }
                File::create(&target).doing(|| format!("exposing {}", path.display()))?;
            }
            self.bind(&path, &target, Forbid::WRITES)?;
        }
        Ok(())
    }

    /// Shows the processors, where the host lets us: programs count them there.
    fn processors(&mut self) {
        for path in visible::SYS_READ {
            if visible::on_host(Path::new(path)).is_some() && self.folders_to(ROOT, Path::new(path)).is_ok() {
                // Programs have another way to count.
                let _ = self.bind(&Path::new("/").join(path), &Path::new(ROOT).join(path), Forbid::WRITES);
            }
        }
    }

    fn bind(&self, source: &Path, target: &Path, forbid: Forbid) -> Result<(), Failure> {
        mounts::bind(source, target, forbid).doing(|| format!("showing {} in the machine", source.display()))
    }

    /// Makes one folder; the keeper has no umask that could take from the mode.
    fn folder(&self, path: &Path, mode: u32) -> Result<(), Failure> {
        let made = match DirBuilder::new().mode(mode).create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
            made => made.and_then(|()| self.own(path)),
        };
        made.doing(|| format!("making the folder {}", path.display()))
    }

    /// Makes `path` and all above it, below `base`.
    fn folders_to(&self, base: &str, path: &Path) -> Result<(), Failure> {
        let mut whole = PathBuf::from(base);
        for part in path.components() {
            whole.push(part);
            self.folder(&whole, 0o755)?;
        }
        Ok(())
    }

    fn write(&self, base: &str, file: &OwnFile) -> Result<(), Failure> {
        let path = Path::new(base).join(file.path);
        let written = || -> io::Result<()> {
            let mut opened = File::options().write(true).create_new(true).mode(file.mode).open(&path)?;
            opened.write_all(file.text.as_bytes())?;
            self.own(&path)
        };
        written().doing(|| format!("writing the machine's /{}", file.path))
    }

    fn copy_link(&self, name: &str) -> Result<(), Failure> {
        let target =
            fs::read_link(Path::new("/").join(name)).doing(|| format!("reading the link /{name}"))?;
        if let Some(parent) = Path::new(name).parent() {
            self.folders_to(ROOT, parent)?;
        }
        self.link(name, target)
    }

    fn link(&self, name: &str, target: impl AsRef<Path>) -> Result<(), Failure> {
        let at = Path::new(ROOT).join(name);
        symlink(target, &at).and_then(|()| self.own(&at)).doing(|| format!("making the link /{name}"))
    }

    fn own(&self, path: &Path) -> io::Result<()> {
        self.owner.map_or(Ok(()), |owner| lchown(path, Some(owner), Some(owner)))
    }
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
