//! Drivers by name, machine specs for jobs, and the hidden arguments under which this program is part of a machine.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use machine::host::HostDriver;
use machine::sandbox::{Exposures, KeeperProgram, SandboxDriver, default_exposures};
use machine::{AgentProgram, Driver};

use crate::args::DriverName;
use crate::data::DataFolder;

/// The driver of this name on this data folder.
pub(crate) fn driver(name: DriverName, data: &DataFolder) -> Result<Arc<dyn Driver>> {
    Ok(match name {
        DriverName::Sandbox => {
            let keeper = KeeperProgram::this().context("can't find this program to start machines with")?;
            Arc::new(SandboxDriver::new(data.root().to_owned(), keeper))
        }
        DriverName::Host => Arc::new(HostDriver::new(data.root(), AgentProgram::current_exe())),
    })
}

/// Plays the part in a machine that the first argument names, if it names one.
pub(crate) fn become_part_of_a_machine() -> Option<ExitCode> {
    machine::sandbox::run_if_asked().or_else(guest::agent::run_if_asked)
}

/// The user's own toolchains, where a driver would hide them.
pub(crate) fn toolchains(name: DriverName) -> Exposures {
    let path = std::env::var_os("PATH").unwrap_or_default();
    match (name, std::env::var_os("HOME")) {
        (DriverName::Sandbox, Some(home)) => default_exposures(&path, Path::new(&home)),
        _ => Exposures::default(),
    }
}

/// Labels of hosts that a Linux machine can't stand in for.
const FOREIGN_LABELS: [&str; 4] = ["windows", "macos", "windows-", "macos-"];

/// Why a job with these labels isn't run on a Linux host; `None` when it is.
pub(crate) fn foreign_label(labels: &[String], accepted: &[String]) -> Option<String> {
    let foreign = labels.iter().find(|label| {
        let lower = label.to_ascii_lowercase();
        let is_foreign = FOREIGN_LABELS.iter().any(|known| match known.strip_suffix('-') {
            Some(_) => lower.starts_with(known),
            None => lower == *known,
        });
        is_foreign && !accepted.iter().any(|one| one.eq_ignore_ascii_case(label))
    })?;
    Some(format!(
        "it wants {foreign}, and this host has Linux machines only (--accept-label {foreign} runs it all the same)"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_and_macos_jobs_are_not_run_on_linux_unless_accepted() {
        let labels = |text: &str| vec![text.to_owned()];
        assert!(foreign_label(&labels("Windows-2022"), &[]).is_some());
        assert!(foreign_label(&labels("macOS"), &[]).is_some());
        assert!(foreign_label(&labels("ubuntu-latest"), &[]).is_none());
        assert!(foreign_label(&labels("my-windows-tests"), &[]).is_none());
        assert!(foreign_label(&labels("windows-latest"), &labels("windows-latest")).is_none());
    }
}
