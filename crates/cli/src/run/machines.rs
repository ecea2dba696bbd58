//! Drivers by name, machine specs for jobs, and the hidden arguments under which this program is part of a machine.

use std::ffi::OsStr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Result, anyhow};
use machine::firecracker::api::{RateLimiter, TokenBucket};
use machine::firecracker::{self, FirecrackerDriver};
use machine::host::HostDriver;
use machine::qemu::QemuDriver;
use machine::sandbox::{Exposures, KeeperProgram, SandboxDriver, default_exposures};
use machine::templates::Templates;
use machine::{AgentProgram, Driver, MachineSpec};

use crate::args::DriverName;
use crate::config::{Config, FirecrackerConfig, LimitConfig};
use crate::data::DataFolder;

/// The driver of this name on this data folder.
pub(crate) fn driver(name: DriverName, data: &DataFolder, config: &Config) -> Result<Arc<dyn Driver>> {
    Ok(match name {
        DriverName::Sandbox => {
            Arc::new(SandboxDriver::new(data.root().to_owned(), KeeperProgram::current_exe()))
        }
        DriverName::Host => Arc::new(HostDriver::new(data.root(), AgentProgram::current_exe())),
        // It works on any host, and without root.
        DriverName::Vm | DriverName::Qemu => Arc::new(QemuDriver::new(data.root())),
        DriverName::Firecracker => Arc::new(firecracker(data, config)),
    })
}

/// The driver of this name for such machines; for `vm`, the best that can be expected to run them here. Then it
/// comes with a word on why it is not the stronger one, if it isn't.
pub(crate) async fn best(
    name: DriverName,
    spec: &MachineSpec,
    data: &DataFolder,
    config: &Config,
) -> Result<(Arc<dyn Driver>, Option<String>)> {
    if name != DriverName::Vm {
        return Ok((driver(name, data, config)?, None));
    }
    let firecracker = firecracker(data, config);
    match firecracker.expect_to_run(spec, Path::new("/")).await {
        Ok(_) => Ok((Arc::new(firecracker), None)),
        Err(reason) => {
            let note = format!("machines run in QEMU; Firecracker can't be used here: {reason}");
            Ok((driver(DriverName::Qemu, data, config)?, Some(note)))
        }
    }
}

fn firecracker(data: &DataFolder, config: &Config) -> FirecrackerDriver {
    let FirecrackerConfig { binary, jailer, disk_limit, network_limit, metadata } =
        config.firecracker.clone();
    let options = firecracker::Options {
        firecracker: binary,
        jailer,
        disk_limit: disk_limit.map(limit),
        network_limit: network_limit.map(limit),
        metadata: metadata.map(Into::into),
        ..Default::default()
    };
    FirecrackerDriver::new(data.root(), options)
}

fn limit(limit: LimitConfig) -> RateLimiter {
    let mib = |mib: NonZeroU32| TokenBucket::per_second(u64::from(mib.get()) << 20);
    let ops = |ops: NonZeroU32| TokenBucket::per_second(u64::from(ops.get()));
    RateLimiter { bandwidth: limit.mib_per_second.map(mib), ops: limit.operations_per_second.map(ops) }
}

/// The same driver, whose machines go on from snapshots of fresh ones where it has snapshots.
pub(crate) fn from_templates(driver: Arc<dyn Driver>, data: &DataFolder) -> Arc<dyn Driver> {
    if driver.capabilities().snapshots { Arc::new(Templates::new(driver, data.root())) } else { driver }
}

/// The driver that calls itself so.
pub(crate) fn named(name: &str) -> Result<DriverName> {
    <DriverName as clap::ValueEnum>::from_str(name, false)
        .map_err(|_| anyhow!("this version of Hearth has no driver called {name}"))
}

/// Why machines of this driver can't be kept, if so.
pub(crate) fn cannot_keep(driver: &dyn Driver) -> Option<String> {
    (!driver.capabilities().snapshots).then(|| {
        format!(
            "--debug-on-failure: machines of the driver {} can't be snapshotted, so none can be kept; use --machine \
             qemu (`hearth doctor` says whether it works here), or --keep for the work folder alone",
            driver.name()
        )
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
        (DriverName::Sandbox, Some(home)) => {
            let mut exposures = default_exposures(&path, Path::new(&home));
            exposures.env.push(("PATH".to_owned(), search_path(&path, &exposures.paths)));
            exposures
        }
        _ => Exposures::default(),
    }
}

/// Folders that every sandbox shows, and in which a search path may look.
const SHOWN: [&str; 5] = ["/usr", "/bin", "/sbin", "/opt", "/snap"];

/// Where a machine always looks for programs, after the user's own folders.
const STANDARD_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The user's search path, less what a machine does not show.
fn search_path(path: &OsStr, exposed: &[PathBuf]) -> String {
    let shown = |entry: &PathBuf| {
        SHOWN.iter().any(|root| entry.starts_with(root)) || exposed.iter().any(|root| entry.starts_with(root))
    };
    let standard = STANDARD_PATH.split(':').map(PathBuf::from);
    let mut kept: Vec<String> = Vec::new();
    for entry in std::env::split_paths(path).filter(shown).chain(standard) {
        let entry = entry.display().to_string();
        if !kept.contains(&entry) {
            kept.push(entry);
        }
    }
    kept.join(":")
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
    fn the_search_path_of_a_job_has_what_the_machine_shows_and_the_standard_folders() {
        let path = search_path(
            OsStr::new("/root/.cargo/bin:/secret/bin:/opt/x/bin:/usr/bin"),
            &["/root/.cargo/bin".into()],
        );
        assert_eq!(
            path,
            "/root/.cargo/bin:/opt/x/bin:/usr/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin:/bin"
        );
    }

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
