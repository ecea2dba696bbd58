//! The build that all stages share.
//!
//! Cargo unifies the features of dependencies over the packages that a command selects: another selection compiles the
//! same crates again. So every stage selects the whole workspace, and narrows down by target what is built of it.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::command::{cargo, check, runs};

/// Builds a program of the workspace. Returns where it lies: beside this one.
pub(crate) fn built(program: &str) -> Result<PathBuf> {
    check(&mut cargo(["build", "--workspace", "--bin", program]))?;
    let own = std::env::current_exe().context("where is xtask?")?;
    Ok(own.with_file_name(program))
}

/// A runner of tests, those that `of` narrows down to: nextest where it is installed.
pub(crate) fn tests(of: &[&str]) -> Command {
    let mut runner = if runs("cargo-nextest") { cargo(["nextest", "run"]) } else { cargo(["test"]) };
    runner.args(["--workspace", "--no-fail-fast"]).args(of);
    runner
}
