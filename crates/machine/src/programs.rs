//! Where programs of the host are. We look ourselves: what starts with an environment of its own, without `PATH`,
//! would else be looked for elsewhere than what is asked for its version.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Where administrators' programs are, which an ordinary user's `PATH` may lack.
const SYSTEM_FOLDERS: [&str; 2] = ["/usr/sbin", "/sbin"];

/// The folders of `PATH`, and those of administrators.
pub(crate) fn folders() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain(SYSTEM_FOLDERS.map(PathBuf::from)).collect()
}

/// The first program of this name in these folders, as an absolute path.
pub(crate) fn find_in(folders: &[PathBuf], name: impl AsRef<Path>) -> Option<PathBuf> {
    let found = folders.iter().map(|folder| folder.join(&name)).find(|path| is_program(path))?;
    std::path::absolute(found).ok()
}

/// The first program of this name on this host, as an absolute path.
pub(crate) fn find(name: impl AsRef<Path>) -> Option<PathBuf> {
    find_in(&folders(), name)
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_first_file_that_can_be_run_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let folders = ["none", "folder", "text", "program", "later"].map(|name| folder.path().join(name));
        for (place, mode) in [("text/x", 0o644), ("program/x", 0o755), ("later/x", 0o755)] {
            let path = folder.path().join(place);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
        fs::create_dir_all(folder.path().join("folder/x")).unwrap();
        assert_eq!(find_in(&folders, "x"), Some(folder.path().join("program/x")));
        assert_eq!(find_in(&folders[..3], "x"), None);
    }
}
