//! The disk that a machine writes to: a sparse file with an empty file system.

use std::fs::File;
use std::io;
use std::path::Path;

use tokio::process::Command;

use crate::programs;

/// The smallest disk: below, ext4 has hardly room for itself.
const LEAST_MIB: u64 = 16;

/// Makes `path` a disk of this size. `None`: this host can't make file systems.
pub(crate) async fn make(path: &Path, mib: u64) -> io::Result<Option<()>> {
    let Some(program) = programs::find("mke2fs") else {
        return Ok(None);
    };
    File::create_new(path)?.set_len(mib.max(LEAST_MIB).saturating_mul(1024 * 1024))?;
    let mut command = Command::new(&program);
    // A machine's disk is never mounted twice: nothing has to survive its end.
    command.args(["-q", "-F", "-t", "ext4", "-m", "0", "-O", "^has_journal,^resize_inode"]);
    command
        .args(["-E", "lazy_itable_init=1,nodiscard,root_owner=0:0"])
        .arg(path)
        .env_clear()
        .kill_on_drop(true);
    let made = command.output().await?;
    if made.status.success() {
        return Ok(Some(()));
    }
    let said = String::from_utf8_lossy(&made.stderr).trim().to_owned();
    Err(io::Error::other(format!("{}: {said} ({})", program.display(), made.status)))
}
