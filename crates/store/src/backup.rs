//! A copy of a data folder while it is used, and the way back.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::error::StoreError;
use crate::lock::{FolderLock, LOCK_FILE};
use crate::seal::KEY_FILE;
use crate::sqlite::{self, DATABASE_FILE};
use crate::store::Store;

/// Where a restore puts what was there before, below the data folder.
pub const REPLACED_FOLDER: &str = "replaced";

/// Writes a backup of the data folder `data` to the folder `to`, which must not be there yet: the database as it is
/// now, the key of the secrets if it lies there, and these `folders` (or files) of it, of which only what does not change
/// any more, or is only appended to, is of use. The store goes on meanwhile.
///
/// A backup is as secret as the data folder is.
///
/// # Errors
/// When it can't be written; what is there of it is named `…partial` then, and can be removed.
pub async fn write(store: &dyn Store, data: &Path, folders: &[&str], to: &Path) -> Result<(), StoreError> {
    let partial = begin(to)?;
    store.backup(&partial.join(DATABASE_FILE)).await?;
    let (data, folders) = (data.to_owned(), folders.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
    let target = to.to_owned();
    let copying = tokio::task::spawn_blocking(move || {
        let folders: Vec<&str> = folders.iter().map(String::as_str).collect();
        finish(&data, &folders, &partial, &target)
    });
    copying.await.unwrap_or_else(|ended| Err(failed("write the backup", to, &io::Error::other(ended))))
}

/// As [`write()`], by a process beside the one that has the data folder, which goes on; nobody needs to have it. Blocks.
///
/// # Errors
/// As of [`write()`], and [`StoreError::Missing`] when no server has ever used this folder.
pub fn write_beside(data: &Path, folders: &[&str], to: &Path) -> Result<(), StoreError> {
    let database = data.join(DATABASE_FILE);
    // SQLite would make an empty one.
    if !database.is_file() {
        return Err(StoreError::Missing(format!(
            "{DATABASE_FILE} in {}: no server has used it",
            data.display()
        )));
    }
    let partial = begin(to)?;
    sqlite::copy(&database, &partial.join(DATABASE_FILE))?;
    finish(data, folders, &partial, to)
}

/// The folder that becomes the backup once it is whole.
fn begin(to: &Path) -> Result<PathBuf, StoreError> {
    let failed = |error: io::Error| failed("write the backup", to, &error);
    if to.try_exists().map_err(failed)? {
        return Err(failed(io::Error::other("it is there already, and backups are never written over")));
    }
    let partial = beside(to, "partial");
    remove(&partial).map_err(failed)?;
    make_private(&partial).map_err(failed)?;
    Ok(partial)
}

/// Copies what lies beside the database, after it: what stands in it for a file finds that file, or goes.
fn finish(data: &Path, folders: &[&str], partial: &Path, to: &Path) -> Result<(), StoreError> {
    let told = |error: io::Error| failed("write the backup", to, &error);
    for name in folders.iter().chain(&[KEY_FILE]).filter(|name| data.join(name).exists()) {
        copy(&data.join(name), &partial.join(name)).map_err(told)?;
    }
    // What was removed since the database was copied, and what no backup has: caches, or all artifacts.
    sqlite::forget_missing(&partial.join(DATABASE_FILE), |file| partial.join(file).is_file())?;
    let published = sync(partial).and_then(|()| fs::rename(partial, to)).and_then(|()| sync_parent(to));
    published.map_err(told)
}

/// Puts a backup in the place of what is in the data folder, which nobody may be using. What was there before goes to
/// its folder [`REPLACED_FOLDER`], which must not be there yet. Blocks.
///
/// # Errors
/// [`StoreError::Taken`] when a server has the folder. Nothing has changed then, nor when the backup is damaged.
pub fn restore(from: &Path, data: &Path) -> Result<(), StoreError> {
    let failed = |error: io::Error| failed("restore the backup", from, &error);
    fs::create_dir_all(data).map_err(failed)?;
    let _lock = FolderLock::take(data, LOCK_FILE)?;
    let replaced = data.join(REPLACED_FOLDER);
    if replaced.try_exists().map_err(failed)? {
        let reason = format!("{} is there from an earlier restore; move it away first", replaced.display());
        return Err(failed(io::Error::other(reason)));
    }
    let names = names(from).map_err(failed)?;
    if !names.iter().any(|name| name == DATABASE_FILE) {
        return Err(failed(io::Error::other(format!("there is no {DATABASE_FILE} in it"))));
    }
    // Next to where it will be, so that the rest is a matter of renaming.
    let fresh = data.join("restored.partial");
    remove(&fresh).map_err(failed)?;
    make_private(&fresh).map_err(failed)?;
    for name in &names {
        copy(&from.join(name), &fresh.join(name)).map_err(failed)?;
    }
    sync(&fresh).map_err(failed)?;
    sqlite::examine(&fresh.join(DATABASE_FILE))?;
    exchange(data, &fresh, &replaced, &names).map_err(failed)
}

/// The database goes last and comes last: a crash in between leaves a folder without one, and both others.
fn exchange(data: &Path, fresh: &Path, replaced: &Path, names: &[String]) -> io::Result<()> {
    make_private(replaced)?;
    let logs = ["-wal", "-shm"].map(|end| format!("{DATABASE_FILE}{end}"));
    let mut names = names.to_vec();
    names.sort_by_key(|name| name == DATABASE_FILE);
    for name in logs.iter().chain(&names) {
        if data.join(name).try_exists()? {
            fs::rename(data.join(name), replaced.join(name))?;
        }
    }
    for name in &names {
        fs::rename(fresh.join(name), data.join(name))?;
    }
    fs::remove_dir(fresh)?;
    sync(data)
}

fn names(folder: &Path) -> io::Result<Vec<String>> {
    let name = |entry: io::Result<fs::DirEntry>| {
        let name = entry?.file_name();
        name.into_string().map_err(|name| io::Error::other(format!("{} is no name of ours", name.display())))
    };
    fs::read_dir(folder)?.map(name).collect()
}

/// Copies a file, or a folder with all that is in it, and makes it durable. What goes away meanwhile is left out.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if !from.is_dir() {
        return match fs::copy(from, to) {
            Ok(_) => File::open(to)?.sync_all(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        };
    }
    make_private(to)?;
    for entry in fs::read_dir(from)? {
        let name = entry?.file_name();
        copy(&from.join(&name), &to.join(&name))?;
    }
    sync(to)
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{end}"));
    PathBuf::from(name)
}

fn make_private(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if folder != Path::new("") => sync(folder),
        _ => sync(Path::new(".")),
    }
}

fn failed(operation: &str, path: &Path, error: &io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            StoreError::Full { what: path.display().to_string() }
        }
        _ => StoreError::Failed {
            operation: format!("{operation} {}", path.display()),
            reason: error.to_string(),
        },
    }
}
