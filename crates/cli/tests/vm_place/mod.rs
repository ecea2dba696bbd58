//! A repository and a data folder for tests that boot virtual machines.

#[path = "../../../machine/tests/lent/mod.rs"]
mod lent;

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use lent::borrow;

pub(crate) struct Place(tempfile::TempDir);

impl Place {
    /// A repository, and a data folder with the image of `HEARTH_VM_DATA`, where the test was asked for.
    pub(crate) fn new(workflow: &str) -> Option<Place> {
        let Some(lender) = std::env::var_os("HEARTH_VM_DATA").map(PathBuf::from) else {
            println!(
                "SKIPPED: HEARTH_VM_DATA names no data folder with an image; use cargo xtask test --only vm"
            );
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        borrow(&lender.join("images"), &folder.path().join("data/images"));
        let workflows = folder.path().join("repository/.github/workflows");
        fs::create_dir_all(&workflows).unwrap();
        fs::write(workflows.join("ci.yml"), workflow).unwrap();
        Some(Place(folder))
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    /// With programs in `bin` before the host's.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        // On a host that was made for the tests it lies elsewhere than where it was built.
        let program = std::env::var_os("HEARTH_TEST_PROGRAM");
        let mut command =
            Command::new(program.unwrap_or_else(|| OsString::from(env!("CARGO_BIN_EXE_hearth"))));
        command.args(words).current_dir(self.path("repository"));
        let mut path = self.path("bin").into_os_string();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap());
        command
            .env("PATH", path)
            .env("HEARTH_DATA", self.path("data"))
            .env("XDG_CONFIG_HOME", self.path("config"));
        command
    }

    pub(crate) fn hearth(&self, words: &[&str]) -> (Option<i32>, String) {
        let Output { status, stdout, stderr } = self.command(words).output().unwrap();
        let text = String::from_utf8_lossy(&stdout) + String::from_utf8_lossy(&stderr);
        (status.code(), text.into_owned())
    }
}
