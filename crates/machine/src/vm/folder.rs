//! The places of virtual machines on the host: `<data>/vms/<id>`, and beside it `<id>.lock`,
//! held locked by whoever runs the machine. A folder whose lock can be taken belongs to nobody.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::Snapshot;
use crate::image::scratch;
use crate::lock_file;
use crate::processes::{Life, wait_for_end};

/// How long a killed process has to be gone.
const KILL_DEADLINE: Duration = Duration::from_secs(10);
/// Where the processes of the machine are noted.
const PROCESSES: &str = "processes.json";
/// Where the id of the machine's image is noted.
const IMAGE: &str = "image";
/// Longest machine id: a host name's limit.
const MAX_ID: usize = 64;

/// The folder of one machine, locked. Dropping it removes it.
#[derive(Debug)]
pub(crate) struct Folder {
    data: PathBuf,
    path: PathBuf,
    lock_path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Takes and makes the place of a machine, removing what a dead one of the same id left.
    pub(crate) fn make(data: &Path, id: &str) -> io::Result<Folder> {
        check_id(id)?;
        let folder = Self::take(data, id)?.ok_or_else(|| {
            io::Error::new(io::ErrorKind::AlreadyExists, format!("machine {id} runs already"))
        })?;
        folder.bury()?;
        DirBuilder::new().mode(0o700).create(&folder.path)?;
        Ok(folder)
    }

    fn take(data: &Path, id: &str) -> io::Result<Option<Folder>> {
        let vms = data.join("vms");
        DirBuilder::new().recursive(true).mode(0o700).create(&vms)?;
        let lock_path = vms.join(format!("{id}.lock"));
        let Some(lock) = lock_file::take(&lock_path)? else { return Ok(None) };
        Ok(Some(Folder { data: data.to_owned(), path: vms.join(id), lock_path, _lock: lock }))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The data folder that it is in.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// Notes processes, for a later life to end them.
    pub(crate) fn note_processes(&self, pids: &[u32]) -> io::Result<()> {
        let lives: Vec<Life> = pids.iter().filter_map(|pid| Life::of(pid.cast_signed())).collect();
        fs::write(self.path.join(PROCESSES), serde_json::to_vec(&lives)?)
    }

    /// Notes the image that the machine is of: it is needed for as long as the machine lives.
    pub(crate) fn note_image(&self, id: &str) -> io::Result<()> {
        fs::write(self.path.join(IMAGE), id)
    }

    /// Ends what the noted processes are, and removes the folder. Whether there was one.
    fn bury(&self) -> io::Result<bool> {
        let noted = fs::read(self.path.join(PROCESSES)).unwrap_or_default();
        for life in serde_json::from_slice::<Vec<Life>>(&noted).unwrap_or_default() {
            if life.runs() {
                let _ = kill(Pid::from_raw(life.pid), Signal::SIGKILL);
                wait_for_end(life.pid, KILL_DEADLINE);
            }
        }
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            removed => removed.map(|()| true),
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What can't be removed now is, at the next start.
        let _ = fs::remove_dir_all(&self.path);
        let _ = fs::remove_file(&self.lock_path);
    }
}

/// The machines of this image that are alive, by id.
pub(crate) fn machines_of(data: &Path, image: &str) -> io::Result<Vec<String>> {
    let mut machines = Vec::new();
    let entries = match fs::read_dir(data.join("vms")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(machines),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let Ok(id) = entry.file_name().into_string() else { continue };
        let is_of = fs::read_to_string(entry.path().join(IMAGE)).is_ok_and(|noted| noted == image);
        if is_of && lock_file::is_held(&data.join("vms").join(format!("{id}.lock")))? {
            machines.push(id);
        }
    }
    machines.sort();
    Ok(machines)
}

/// Removes what dead machines left, and snapshots whose makers died. Says what it was.
pub(crate) fn reap(data: &Path) -> io::Result<Vec<String>> {
    let mut removed = reap_machines(data)?;
    // They hold the memory of a machine, or a part of it.
    match scratch::sweep(&Snapshot::all(data)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        swept => removed.extend((0..swept?).map(|_| "an unfinished snapshot".to_owned())),
    }
    Ok(removed)
}

fn reap_machines(data: &Path) -> io::Result<Vec<String>> {
    let mut removed = Vec::new();
    let entries = match fs::read_dir(data.join("vms")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(removed),
        entries => entries?,
    };
    for entry in entries {
        let name = entry?.file_name();
        let Some(name) = name.to_str() else { continue };
        let id = name.strip_suffix(".lock").unwrap_or(name);
        if check_id(id).is_err() {
            continue;
        }
        // Both the folder and its lock come by here; who comes first takes the other along.
        let buried = Folder::take(data, id).and_then(|folder| folder.map_or(Ok(false), |dead| dead.bury()));
        match buried {
            Ok(true) => removed.push(format!("virtual machine {id}")),
            Ok(false) => {}
            Err(error) => removed.push(format!("nothing of virtual machine {id}, which is dead: {error}")),
        }
    }
    Ok(removed)
}

/// An id becomes a folder's name and a host name.
fn check_id(id: &str) -> io::Result<()> {
    let plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    let named = id.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric()) && !id.ends_with(".lock");
    if plain && named && id.len() <= MAX_ID {
        return Ok(());
    }
    let rule = "letters, digits, `-`, `_` and `.`, beginning with a letter or digit";
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("the id {id:?} is not 1 to {MAX_ID} {rule}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dead_are_reaped_with_their_processes_and_the_living_are_not() {
        let data = tempfile::tempdir().unwrap();
        let living = Folder::make(data.path(), "living").unwrap();
        let dead = Folder::make(data.path(), "dead").unwrap();
        let mut left_behind = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        dead.note_processes(&[left_behind.id()]).unwrap();
        // As after SIGKILL: the lock is free, the folder is there.
        let copy = data.path().join("copy");
        fs::rename(dead.path(), &copy).unwrap();
        drop(dead);
        fs::rename(copy, data.path().join("vms/dead")).unwrap();
        assert_eq!(reap(data.path()).unwrap(), ["virtual machine dead"]);
        assert_eq!(left_behind.try_wait().unwrap().map(|status| status.success()), Some(false));
        assert_eq!(reap(data.path()).unwrap(), Vec::<String>::new());
        assert!(living.path().exists());
    }

    #[test]
    fn only_machines_that_live_and_are_of_an_image_need_it() {
        let data = tempfile::tempdir().unwrap();
        assert!(machines_of(data.path(), "one").unwrap().is_empty());
        let [living, other] = ["living", "other"].map(|id| Folder::make(data.path(), id).unwrap());
        living.note_image("one").unwrap();
        other.note_image("two").unwrap();
        let dead = data.path().join("vms/dead");
        fs::create_dir(&dead).unwrap();
        fs::write(dead.join(IMAGE), "one").unwrap();
        assert_eq!(machines_of(data.path(), "one").unwrap(), ["living"]);
        fs::write(data.path().join("vms/dead.lock"), "").unwrap();
        assert_eq!(machines_of(data.path(), "one").unwrap(), ["living"], "nobody holds the lock");
        drop(living);
        assert!(machines_of(data.path(), "one").unwrap().is_empty());
    }

    #[test]
    fn snapshots_that_were_never_finished_are_reaped_and_those_in_the_making_are_not() {
        let data = tempfile::tempdir().unwrap();
        let making = crate::Staging::begin(data.path(), &crate::SnapshotId("making".to_owned())).unwrap();
        // As after SIGKILL: nobody holds its lock.
        let half = Snapshot::all(data.path()).join(".new-half");
        fs::create_dir(&half).unwrap();
        fs::write(half.join("ram"), "secrets").unwrap();
        assert_eq!(reap(data.path()).unwrap(), ["an unfinished snapshot"]);
        assert!(!half.exists() && making.folder().exists());
    }

    #[test]
    fn a_machine_that_lives_cannot_be_made_twice_and_leaves_nothing() {
        let data = tempfile::tempdir().unwrap();
        let first = Folder::make(data.path(), "one").unwrap();
        let error = Folder::make(data.path(), "one").unwrap_err();
        assert!(error.to_string().contains("runs already"), "{error}");
        drop(first);
        assert_eq!(fs::read_dir(data.path().join("vms")).unwrap().count(), 0);
    }

    #[test]
    fn an_id_cannot_name_another_place() {
        let data = tempfile::tempdir().unwrap();
        for id in ["", "..", "a/b", ".hidden", "one.lock", &"x".repeat(65)] {
            assert!(Folder::make(data.path(), id).is_err(), "{id}");
        }
    }
}
