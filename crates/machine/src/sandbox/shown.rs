//! Shows the host's folders in the tree of a machine: which of them, how, and what of them not.

use std::fs;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid, setfsgid, setfsuid};
use rustix::mount::UnmountFlags;

use super::mounted::{self, Kind, Piece};
use super::mounts::{self, Forbid, Marks};
use super::together::WHOLE;
use super::tree::{Builder, OWN, ROOT, SKELETON, inner};
use super::visible::{self, OwnFile};
use super::wire::{Doing, Failure};

/// Who reads the host's folders on behalf of a machine of root's: nobody.
const NOBODY: u32 = 65534;

/// What a machine has of its own below the host's folders, and what of them it doesn't see.
struct Changes {
    files: Vec<OwnFile>,
    hidden: Vec<PathBuf>,
}

impl Changes {
    fn has_file(&self, path: &Path) -> bool {
        self.files.iter().any(|file| Path::new(file.path) == path)
    }
}

/// An overlay to lay: where, over what.
struct Laid {
    name: String,
    /// What lies below its upper layer, the top first.
    lower: Vec<String>,
    /// A part of a folder, which can do without.
    part: bool,
}

impl Builder<'_> {
    /// Lays the root, and the host's folders on it: under overlays, or read-only.
    pub(super) fn mount_host(&mut self, shown: &[String], disk: &str) -> Result<(), Failure> {
        let layout = &self.config.layout;
        let files =
            visible::own_files(&self.config.id, &layout.home, self.config.host_network, self.owner.is_none());
        let changes = Changes { files, hidden: self.hidden() };
        let overlaid = if self.config.without.overlay {
            Err("switched off".to_owned())
        } else {
            let pieces = self.pieces(shown, &changes);
            let together = self.together(&pieces);
            match self.lay(&pieces, &together, &changes, disk)? {
                Err(_) if !together.is_empty() => self.lay(&pieces, &[], &changes, disk)?,
                laid => laid,
            }
        };
        if let Err(reason) = overlaid {
            self.notes.push(format!("no overlay ({reason}): /usr, /etc and /opt of the host are read-only, packages can't be installed, and what is written outside of the home and /tmp lies in memory"));
            mounts::bind_own(Path::new(SKELETON), Path::new(ROOT))
                .doing(|| "making the machine's root".to_owned())?;
            self.read_only(shown, &changes)?;
        }
        Ok(())
    }

    /// Lays overlays over the host's folders: one with the root for those of `together`, and one for each of
    /// the others. The inner error says why none is to be had here; then none is left.
    fn lay(
        &mut self,
        pieces: &[Piece],
        together: &[String],
        changes: &Changes,
        disk: &str,
    ) -> Result<Result<(), String>, Failure> {
        let apart = self.prepare(pieces, together, changes)?;
        let laid = self.overlays(&apart, together, changes, disk)?;
        if laid.is_ok() {
            self.fix(pieces, changes)?;
        }
        Ok(laid)
    }

    /// What is taken away below the shown folders.
    fn hidden(&self) -> Vec<PathBuf> {
        let mut hidden = visible::secrets();
        let data = self.data();
        hidden.extend(
            data.strip_prefix("/").map(Path::to_path_buf).ok().filter(|data| visible::is_shown(data)),
        );
        hidden
    }

    /// Finds out how each of the host's folders is shown here.
    fn pieces(&mut self, shown: &[String], changes: &Changes) -> Vec<Piece> {
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let names: Vec<&str> = shown.iter().map(String::as_str).collect();
        let (mounts, more) = mounted::below(&table, &names, &changes.hidden);
        if more > 0 {
            self.notes.push(format!("{more} of this host's mounts below /usr, /etc and /opt are not shown: there are more than the {} that a machine gets", mounts.len()));
        }
        let known =
            |path: &Path| changes.has_file(path) || changes.hidden.iter().any(|hidden| hidden == path);
        let kind = |path: &Path| if known(path) { None } else { kind_on_host(path) };
        mounted::pieces(&names, &mounts, self.users.is_none(), kind, |folder| {
            let entries = fs::read_dir(Path::new("/").join(folder)).into_iter().flatten();
            entries.filter_map(|entry| Some(folder.join(entry.ok()?.file_name()))).collect()
        })
    }

    /// Makes places for what is shown piece by piece, and fills the layers above the host's with what a
    /// machine has of its own, and without the secrets. Returns what overlays of their own there are to be.
    fn prepare(
        &mut self,
        pieces: &[Piece],
        together: &[String],
        changes: &Changes,
    ) -> Result<Vec<Laid>, Failure> {
        let skeleton = self.on(SKELETON);
        let mut folders: Vec<(&str, bool, String)> = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Whole(name) | Piece::Part(name) if together.contains(name) => {}
                Piece::Whole(name) => folders.push((name, false, self.lower(name, false))),
                Piece::Part(name) => {
                    skeleton.folders_to(Path::new(name))?;
                    folders.push((name, true, self.lower(name, true)));
                }
                // The host's own place for it is there.
                Piece::Fixed(path) if together.iter().any(|name| path.starts_with(name)) => {}
                Piece::Fixed(path) => {
                    skeleton.mount_point(path, kind_on_host(path) == Some(Kind::Folder))?;
                }
                Piece::Link(path) => skeleton.copy_link(path)?,
            }
        }
        let own = self.on(OWN);
        // As it is on the host, a folder is not the machine's, and nothing can be added to it.
        if folders.iter().any(|(_, _, lower)| lower.starts_with('/')) {
            for name in visible::ADDABLE
                .iter()
                .filter(|name| visible::on_host(Path::new(name)).is_some_and(|found| found.is_dir()))
            {
                own.folders_to(Path::new(name))?;
            }
        }
        let depth = |names: &mut dyn Iterator<Item = &str>, path: &Path| {
            names.filter(|name| path.starts_with(name)).map(str::len).max()
        };
        // How deep in folders with overlays of their own, and in those of the root's.
        let depths = |path: &Path| {
            let apart = depth(&mut folders.iter().map(|(name, ..)| *name), path);
            (apart, depth(&mut together.iter().map(String::as_str), path))
        };
        // Made within the machine, they would be made on the disk.
        for folder in self.config.layout.folders().map(|folder| inner(Path::new(folder))) {
            let (apart, roots) = depths(folder);
            if roots > apart {
                skeleton.folders_to(folder)?;
            }
        }
        for path in changes.hidden.iter().filter(|path| !changes.has_file(path)) {
            let (apart, roots) = depths(path);
            if roots > apart { skeleton.whiteout(path)? } else { own.whiteout(path)? }
        }
        for file in &changes.files {
            // What no overlay of its own holds is a file of the root's.
            let (apart, roots) = depths(Path::new(file.path));
            if apart > roots { own.write(file)? } else { skeleton.write(file)? }
        }
        let layers = |name: &str, lower| {
            let own = format!("{OWN}/{name}");
            let own = Path::new(&own).is_dir().then_some(own);
            own.into_iter().chain([lower]).collect()
        };
        let laid = folders.into_iter().map(|(name, part, lower)| Laid {
            name: name.to_owned(),
            lower: layers(name, lower),
            part,
        });
        Ok(laid.collect())
    }

    /// Lays the overlays.
    fn overlays(
        &mut self,
        apart: &[Laid],
        together: &[String],
        changes: &Changes,
        disk: &str,
    ) -> Result<Result<(), String>, Failure> {
        let mut laid: Vec<PathBuf> = Vec::new();
        let root = Laid { name: String::new(), lower: vec![SKELETON.to_owned()], part: false };
        for Laid { name, lower, part } in std::iter::once(&root).chain(apart) {
            let (upper, work) = self.upper_layers(name, disk)?;
            let target = Path::new(ROOT).join(name);
            let mounted = if name.is_empty() && !together.is_empty() {
                laid.push(WHOLE.into());
                self.overlay_together(together, (&upper, &work))
            } else {
                mounts::overlay(lower, Some((&upper, &work)), self.marks(), &target)
            };
            match mounted {
                Ok(()) => laid.push(target),
                Err(error) if *part => {
                    if self.show_read_only(Path::new(name), changes)? {
                        self.notes.push(format!(
                            "/{name} is read-only: no overlay can be laid over its file system ({error})"
                        ));
                    }
                }
                // Each folder may still be had by itself.
                Err(error) if visible::is_refusal(error) || (name.is_empty() && !together.is_empty()) => {
                    for target in laid.iter().rev() {
                        // The last one may not be there.
                        let _ = rustix::mount::unmount(target, UnmountFlags::DETACH);
                    }
                    return Ok(Err(format!("/{name}: {error}")));
                }
                Err(error) => return Err(Failure::new(format!("laying an overlay over /{name}"), error)),
            }
        }
        Ok(Ok(()))
    }

    fn marks(&self) -> Marks {
        if self.users.is_none() { Marks::Users } else { Marks::Trusted }
    }

    /// Shows what can't be changed.
    fn fix(&mut self, pieces: &[Piece], changes: &Changes) -> Result<(), Failure> {
        for piece in pieces {
            if let Piece::Fixed(path) = piece {
                self.show_read_only(path, changes)?;
            }
        }
        Ok(())
    }

    /// Shows one path of the host's with what is mounted in it, without its secrets. False where it can't be.
    fn show_read_only(&mut self, path: &Path, changes: &Changes) -> Result<bool, Failure> {
        let (source, target) = (Path::new("/").join(path), Path::new(ROOT).join(path));
        match mounts::bind(&source, &target, Forbid::WRITES) {
            Ok(()) => {}
            // It lies in a folder into which the job may not look either.
            Err(rustix::io::Errno::ACCESS | rustix::io::Errno::NOENT) => return Ok(false),
            Err(error) => {
                self.notes.push(format!("{} is not in the machine: {error}", source.display()));
                return Ok(false);
            }
        }
        for hidden in changes.hidden.iter().filter(|hidden| hidden.starts_with(path)) {
            self.cover(hidden, None)?;
        }
        for file in changes.files.iter().filter(|file| Path::new(file.path).starts_with(path)) {
            self.cover(Path::new(file.path), Some(file))?;
        }
        Ok(true)
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
    fn lower(&mut self, name: &str, part: bool) -> String {
        let host = format!("/{name}");
        match self.veiled(name, &host) {
            Ok(Some(veil)) => veil,
            Ok(None) => host,
            Err(error) => {
                let (of, files) =
                    if part { (format!("of {host}"), "its") } else { ("here".to_owned(), "the host's") };
                let note = format!(
                    "no id-mapped mounts {of} ({error}): {files} files belong to nobody and can't be changed by the job"
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
    pub(super) fn veiled(&self, name: &str, host: &str) -> rustix::io::Result<Option<String>> {
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
        let mounted = mounts::overlay(&[&lower, "empty"], None, Marks::Trusted, Path::new(&veil));
        setfsuid(Uid::from_raw(0));
        setfsgid(Gid::from_raw(0));
        mounted.map(|()| Some(veil))
    }

    /// Without overlays: the host's folders read-only, the machine's own files bound over them.
    fn read_only(&self, shown: &[String], changes: &Changes) -> Result<(), Failure> {
        for name in shown {
            if name == "opt" {
                // The tool cache is a folder of the machine's own beside the host's.
                self.bind_children(name)?;
                continue;
            }
            self.bind(&Path::new("/").join(name), &Path::new(ROOT).join(name), Forbid::WRITES)?;
        }
        for path in &changes.hidden {
            self.cover(path, None)?;
        }
        changes.files.iter().try_for_each(|file| self.cover(Path::new(file.path), Some(file)))
    }

    fn bind_children(&self, name: &str) -> Result<(), Failure> {
        for entry in fs::read_dir(Path::new("/").join(name)).into_iter().flatten().filter_map(Result::ok) {
            let path = Path::new(name).join(entry.file_name());
            let hearth = self.data().starts_with(entry.path());
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
            // Where it leads into `/run`, the file is there (see `run_folder`).
            Ok(_) if !stays && with.is_some() => Ok(()),
            Ok(_) if !stays => {
                Err(Failure::new(doing(), "it is a link; without overlays it can't be hidden"))
            }
            Ok(found) if found.is_dir() => mounts::tmpfs(&target, "size=4k,mode=000").doing(doing),
            Ok(_) => {
                let source = match with {
                    Some(file) => {
                        let own = self.on(OWN);
                        if !own.at(file.path).exists() {
                            own.write(file)?;
                        }
                        own.at(file.path)
                    }
                    None => {
                        fs::write("own/nothing", "").doing(doing)?;
                        PathBuf::from("own/nothing")
                    }
                };
                self.bind(&source, &target, Forbid::WRITES)
            }
        }
    }
}

/// What the host has at a path of a machine. Devices, pipes and sockets are not for machines.
fn kind_on_host(path: &Path) -> Option<Kind> {
    let kind = visible::on_host(path)?.file_type();
    if kind.is_dir() {
        Some(Kind::Folder)
    } else if kind.is_symlink() {
        Some(Kind::Link)
    } else {
        kind.is_file().then_some(Kind::File)
    }
}

/// A path as the name of one folder: no two paths have the same, and no option of a mount takes it apart.
pub(super) fn flat(name: &str) -> String {
    name.replace('%', "%25").replace('/', "%2F")
}
