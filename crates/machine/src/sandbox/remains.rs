//! What a machine leaves on the host's disk, and its removal.
//!
//! A machine has the folder `<data>/machines/<id>` and, beside it, the file `<id>.lock`,
//! held locked by its keeper for as long as it lives. A folder whose lock can be taken
//! belongs to nobody; one that has none is another driver's. The file names the control groups of the
//! machine.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::cgroup::Groups;
use crate::lock_file;

/// Names of folders that wait for their removal; nothing else stands in a machine's own folder under such a name.
const MOVED: &str = "removed-";

/// The folder of one machine, locked.
#[derive(Debug)]
pub(crate) struct Remains {
    folder: PathBuf,
    lock_path: PathBuf,
    lock: File,
}

impl Remains {
    /// Takes the place of machine `id`. `None`: another process has it.
    pub(crate) fn take(data: &Path, id: &str) -> io::Result<Option<Remains>> {
        let machines = machines(data);
        if !machines.is_dir() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&machines)?;
            spread(&machines);
        }
        let lock_path = machines.join(format!("{id}.lock"));
        let Some(lock) = lock_file::take(&lock_path)? else { return Ok(None) };
        Ok(Some(Remains { folder: machines.join(id), lock_path, lock }))
    }

    /// The machine's folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the machine's tree is built.
    pub(crate) fn stage(&self) -> PathBuf {
        self.folder.join("stage")
    }

    /// Makes the folder and the stage, for this user's eyes only.
    pub(crate) fn make(&self) -> io::Result<()> {
        fs::DirBuilder::new().mode(0o700).create(&self.folder)?;
        let stage = self.stage();
        fs::create_dir(&stage)?;
        // The folder above keeps others out; the stage itself is entered by the machine's ids.
        fs::set_permissions(&stage, Permissions::from_mode(0o755))
    }

    /// Notes the groups for a later life.
    pub(crate) fn record_groups(&mut self, groups: &Groups) -> io::Result<()> {
        self.lock.set_len(0)?;
        self.lock.write_all(groups.record().as_bytes())
    }

    /// Removes the folder with all in it, the groups that it names, and the lock.
    pub(crate) fn remove(self) -> io::Result<()> {
        if let Ok(record) = fs::read_to_string(&self.lock_path) {
            Groups::from_record(&record).remove();
        }
        remove_tree(&self.folder)?;
        fs::remove_file(&self.lock_path)
    }
}

/// Removes what dead machines left. Says what it was.
pub(crate) fn reap(data: &Path) -> io::Result<Vec<String>> {
    let mut removed = Vec::new();
    let entries = match fs::read_dir(machines(data)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(removed),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        // A folder that has no lock is another driver's, whose machine may live.
        let Some(id) = name.to_str().and_then(|name| name.strip_suffix(".lock")) else { continue };
        match bury(data, id) {
            Ok(true) => removed.push(format!("machine {id}")),
            Ok(false) => {}
            // Somebody else's, it may be: no reason not to start machines of our own.
            Err(error) => removed.push(format!("nothing of machine {id}, which is dead: {error}")),
        }
    }
    Ok(removed)
}

/// Removes what is left of one machine, if it is dead. Whether there was anything.
fn bury(data: &Path, id: &str) -> io::Result<bool> {
    let Some(remains) = Remains::take(data, id)? else { return Ok(false) };
    let was_there = remains.folder.exists();
    remains.remove()?;
    Ok(was_there)
}

fn machines(data: &Path) -> PathBuf {
    data.join("machines")
}

/// Tells the file system that the folders below `folder` have nothing to do with each other.
///
/// Ext4 then spreads them over the disk. Else each machine's files are made where those of the last machines
/// were removed, and without a journal ext4 searches past each of these again and again for minutes.
fn spread(folder: &Path) {
    let flagged = || -> io::Result<()> {
        let folder = File::open(folder)?;
        let flags = rustix::fs::ioctl_getflags(&folder)?;
        Ok(rustix::fs::ioctl_setflags(&folder, flags | rustix::fs::IFlags::TOPDIR)?)
    };
    // Other file systems know no such flag, and need none.
    let _ = flagged();
}

/// Removes a tree that a job made. Its processes must be dead.
///
/// Jobs make folders without permissions and trees deeper than any path or stack: each
/// folder that isn't empty is first moved up to the top, so every path here is short.
fn remove_tree(top: &Path) -> io::Result<()> {
    match fs::symlink_metadata(top) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    let mut waiting = Vec::new();
    let mut moved = 0_u64;
    empty(top, top, &mut moved, &mut waiting)?;
    while let Some(folder) = waiting.pop() {
        empty(&folder, top, &mut moved, &mut waiting)?;
        fs::remove_dir(&folder)?;
    }
    fs::remove_dir(top)
}

/// Empties one folder: files go, folders that aren't empty move to the top and wait there.
fn empty(folder: &Path, top: &Path, moved: &mut u64, waiting: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if !entry.file_type()?.is_dir() {
            fs::remove_file(&path)?;
        } else if fs::remove_dir(&path).is_err() {
            fs::set_permissions(&path, Permissions::from_mode(0o700))?;
            if folder == top {
                waiting.push(path);
                continue;
            }
            let up = free_name(top, moved);
            fs::rename(&path, &up)?;
            waiting.push(up);
        }
    }
    Ok(())
}

/// A name at the top that nothing has: an interrupted removal leaves some taken.
fn free_name(top: &Path, moved: &mut u64) -> PathBuf {
    loop {
        let name = top.join(format!("{MOVED}{moved}"));
        *moved += 1;
        if fs::symlink_metadata(&name).is_err() {
            return name;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_deeper_than_any_path_and_without_permissions_is_removed() {
        let data = tempfile::tempdir().expect("a folder");
        let remains = Remains::take(data.path(), "deep").expect("taken").expect("free");
        remains.make().expect("made");
        let mut at = remains.stage();
        for _ in 0..300 {
            // Built from the inside out, since no path reaches the bottom in the end.
            at = remains.stage().join("outer");
            if remains.stage().join("inner").exists() {
                fs::create_dir(&at).expect("a folder");
                fs::rename(remains.stage().join("inner"), at.join("a-name-long-enough-to-matter"))
                    .expect("moved");
                fs::rename(&at, remains.stage().join("inner")).expect("moved");
            } else {
                fs::create_dir(remains.stage().join("inner")).expect("a folder");
            }
        }
        drop(at);
        let shut = remains.stage().join("shut");
        fs::create_dir_all(shut.join("inside")).expect("a folder");
        fs::set_permissions(&shut, Permissions::from_mode(0o000)).expect("shut");
        let folder = remains.folder().to_path_buf();
        remains.remove().expect("removed");
        assert!(!folder.exists());
        assert_eq!(fs::read_dir(data.path().join("machines")).expect("a folder").count(), 0);
    }

    #[test]
    fn the_dead_are_reaped_and_the_living_are_not() {
        let data = tempfile::tempdir().expect("a folder");
        let living = Remains::take(data.path(), "living").expect("taken").expect("free");
        living.make().expect("made");
        let dead = Remains::take(data.path(), "dead").expect("taken").expect("free");
        dead.make().expect("made");
        drop(dead);
        assert_eq!(reap(data.path()).expect("reaped"), ["machine dead"]);
        assert_eq!(reap(data.path()).expect("reaped again"), Vec::<String>::new());
        assert!(living.folder().exists());
    }

    #[test]
    fn machines_of_another_driver_are_not_reaped() {
        let data = tempfile::tempdir().expect("a folder");
        let work = machines(data.path()).join("of-another-driver/work");
        fs::create_dir_all(&work).expect("a folder");
        assert_eq!(reap(data.path()).expect("reaped"), Vec::<String>::new());
        assert!(work.is_dir());
    }

    #[test]
    fn a_machine_that_lives_cannot_be_taken_twice() {
        let data = tempfile::tempdir().expect("a folder");
        let _first = Remains::take(data.path(), "one").expect("taken").expect("free");
        assert!(Remains::take(data.path(), "one").expect("asked").is_none());
    }
}
