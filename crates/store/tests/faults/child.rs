//! This test binary, started once more as a process of its own.

use std::path::Path;
use std::process::Command;

/// Where a child is told its folder.
const FOLDER: &str = "HEARTH_TEST_STORE_FOLDER";

/// The folder, if this is a child.
pub(crate) fn folder() -> Option<std::path::PathBuf> {
    std::env::var_os(FOLDER).map(Into::into)
}

/// Runs this test of this binary with a folder.
pub(crate) fn command(test: &str, folder: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    command.args([test, "--exact", "--nocapture"]).env(FOLDER, folder);
    command
}

/// Runs this test of this binary with a folder on a disk of its own that has so many MiB.
pub(crate) fn on_small_disk(test: &str, folder: &Path, mib: u32) -> Command {
    let script = format!(r#"mount -t tmpfs -o size={mib}m none "$1" && shift && exec "$@""#);
    let mut command = Command::new("unshare");
    if !is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--mount", "sh", "-c", &script, "sh"]).arg(folder);
    command.arg(std::env::current_exe().expect("this test"));
    command.args([test, "--exact", "--nocapture"]).env(FOLDER, folder);
    command
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}
