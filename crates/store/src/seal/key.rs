//! The key and its file.

use std::fmt;
use std::fs::{File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use age::secrecy::ExposeSecret;
use age::x25519::Identity;

use super::SealError;

/// Its usual name below the data folder.
pub const KEY_FILE: &str = "secrets.key";

/// Longest key file that is read; one with comments is a quarter of a kilobyte.
const KEY_FILE_BYTES: u64 = 16 * 1024;

/// Permissions that a key file must not have.
const OTHERS: u32 = 0o077;

/// The key that seals secrets and opens them. `Debug` never shows it.
#[derive(Clone)]
pub struct SealKey {
    identity: Identity,
    path: PathBuf,
}

impl SealKey {
    /// Reads the key in this file, of the form that `age-keygen` writes, or makes one if there is no such file.
    ///
    /// # Errors
    /// When the file can't be read or made, others may read it, or there is no key in it.
    pub fn load_or_make(path: &Path) -> Result<SealKey, SealError> {
        let failed =
            |operation| move |source| SealError::KeyFile { operation, path: path.to_owned(), source };
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let identity = Identity::generate();
                write(path, &identity).map_err(failed("make"))?;
                return Ok(SealKey { identity, path: path.to_owned() });
            }
            opened => opened.map_err(failed("read"))?,
        };
        if file.metadata().map_err(failed("read"))?.permissions().mode() & OTHERS != 0 {
            return Err(SealError::KeyIsOpen { path: path.to_owned() });
        }
        let mut text = String::new();
        file.take(KEY_FILE_BYTES).read_to_string(&mut text).map_err(failed("read"))?;
        let key = text.lines().find_map(|line| line.trim().parse().ok());
        let identity = key.ok_or_else(|| SealError::NoKey { path: path.to_owned() })?;
        Ok(SealKey { identity, path: path.to_owned() })
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn identity(&self) -> &Identity {
        &self.identity
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealKey").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Writes it whole or not at all: half a key would lock every secret away.
fn write(path: &Path, identity: &Identity) -> io::Result<()> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let mut file = File::options().create(true).truncate(true).write(true).mode(0o600).open(&partial)?;
    // One that was left there may have others.
    file.set_permissions(Permissions::from_mode(0o600))?;
    writeln!(file, "# Opens the secrets of this Hearth. Keep a copy elsewhere: without it they are lost.")?;
    writeln!(file, "# public key: {}", identity.to_public())?;
    writeln!(file, "{}", identity.to_string().expose_secret())?;
    file.sync_all()?;
    std::fs::rename(&partial, path)?;
    match path.parent() {
        Some(folder) if folder != Path::new("") => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}
