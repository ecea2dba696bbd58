//! A whole copy of the database, while everything goes on.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use super::connect;
use super::fault::{self, Fault};

/// Pages for each step. All of them: a copy in several steps begins anew whenever something is written in between.
const ALL_PAGES: i32 = -1;

/// Copies what is there now to a file that must not be there yet. Until the copy is whole and durable, it has
/// another name.
pub(super) fn write(connection: &Connection, to: &Path) -> Result<(), Fault> {
    let failed = |error: io::Error| Fault::from_io(&error, "write a copy of the database to", to);
    if to.try_exists().map_err(failed)? {
        return Err(failed(io::Error::other(
            "there is a file of that name, and copies are never written over",
        )));
    }
    let partial = Partial::make(to).map_err(failed)?;
    let copy = copy_pages(connection, &partial.path)
        .map_err(|error| Fault::Told(fault::in_words(&error, "write a copy of the database", to)))?;
    connect::check(&copy)?;
    drop(copy);
    partial.keep(to).map_err(failed)
}

fn copy_pages(connection: &Connection, to: &Path) -> rusqlite::Result<Connection> {
    let mut copy = Connection::open(to)?;
    let step = Backup::new(connection, &mut copy)?.step(ALL_PAGES)?;
    if step != StepResult::Done {
        return Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY),
            None,
        ));
    }
    // A copy is one file, which any SQLite opens.
    copy.pragma_update(None, "journal_mode", "delete")?;
    Ok(copy)
}

/// A file that is not whole yet, and goes if it never is.
struct Partial {
    path: PathBuf,
    is_kept: bool,
}

impl Partial {
    fn make(to: &Path) -> io::Result<Partial> {
        let mut path = to.as_os_str().to_owned();
        path.push(".partial");
        let path = PathBuf::from(path);
        connect::make_private(&path)?.set_len(0)?;
        Ok(Partial { path, is_kept: false })
    }

    fn keep(mut self, to: &Path) -> io::Result<()> {
        File::open(&self.path)?.sync_all()?;
        std::fs::rename(&self.path, to)?;
        self.is_kept = true;
        let folder = match to.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        File::open(folder)?.sync_all()
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.is_kept {
            // What is left is overwritten by the next try.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
