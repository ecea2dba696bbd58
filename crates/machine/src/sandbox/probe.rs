//! Finds out whether sandboxes work on this host, by starting one.

use std::fs;

use guest::client::{ExecEvent, ExecSpec, ExitStatus};
use model::MachineId;

use super::SandboxDriver;
use crate::{Driver, Finding, FindingLevel, MachineSpec, Network, Probe};

/// Starts a canary and reads from it how strong the wall is here.
pub(super) async fn probe(driver: &SandboxDriver) -> Probe {
    let mut findings = Vec::new();
    let usable = match canary(driver).await {
        Ok((notes, took)) => {
            findings.push(finding(
                FindingLevel::Good,
                "canary",
                format!("a sandbox started and ran a command in {took:?}"),
                None,
            ));
            findings.extend(notes.into_iter().map(degraded));
            if !rustix::process::geteuid().is_root() {
                let detail = "an ordinary user's machine has one user, its root: jobs can't install system packages or give files away";
                let remedy = "run Hearth as root where jobs need that";
                findings.push(finding(
                    FindingLevel::Degraded,
                    "users",
                    detail.to_owned(),
                    Some(remedy.to_owned()),
                ));
            }
            true
        }
        Err(reason) => {
            findings.push(finding(FindingLevel::Bad, "canary", reason, remedy()));
            false
        }
    };
    Probe { usable, findings }
}

async fn canary(driver: &SandboxDriver) -> Result<(Vec<String>, std::time::Duration), String> {
    let begin = std::time::Instant::now();
    let id = MachineId(format!("canary-{}", std::process::id()));
    let spec = MachineSpec {
        vcpus: Some(1),
        memory_mib: Some(256),
        processes: Some(64),
        ..MachineSpec::new(id, Network::None)
    };
    let machine = driver.start(spec).await.map_err(|error| error.to_string())?;
    let ran = run(&machine.guest).await;
    let took = begin.elapsed();
    let notes = machine.notes.clone();
    let destroyed = machine.destroy().await.map_err(|error| error.to_string());
    ran?;
    destroyed.map(|()| (notes, took))
}

async fn run(guest: &guest::client::Guest) -> Result<(), String> {
    let argv = ["/bin/sh", "-c", "exit 42"].map(str::to_owned).to_vec();
    let mut exec =
        guest.exec(ExecSpec { argv, ..ExecSpec::default() }).await.map_err(|error| error.to_string())?;
    while let Some(event) = exec.next().await.map_err(|error| error.to_string())? {
        match event {
            ExecEvent::Exited(ExitStatus::Code(42)) => return Ok(()),
            ExecEvent::Exited(other) => {
                return Err(format!("the canary's command ended with {other:?} instead of its code"));
            }
            _ => {}
        }
    }
    Err("the canary's command never ended".to_owned())
}

fn degraded(note: String) -> Finding {
    let remedy = if note.starts_with("no overlay") {
        Some("keep the data folder on ext4, xfs, btrfs or tmpfs, on a kernel from 5.11 on (as an ordinary user)".to_owned())
    } else if note.contains("control groups") {
        Some("run Hearth as a systemd unit with Delegate=yes, or as root".to_owned())
    } else if note.contains("Landlock") {
        Some("boot with `landlock` among lsm=, on a kernel from 6.12 on".to_owned())
    } else {
        None
    };
    finding(FindingLevel::Degraded, "wall", note, remedy)
}

/// What switches user namespaces off on this host, and how to undo it.
fn remedy() -> Option<String> {
    let switches = [
        ("/proc/sys/user/max_user_namespaces", "0", "sysctl -w user.max_user_namespaces=15000"),
        ("/proc/sys/kernel/unprivileged_userns_clone", "0", "sysctl -w kernel.unprivileged_userns_clone=1"),
        (
            "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or an AppArmor profile with `userns` for hearth",
        ),
    ];
    let off = switches
        .iter()
        .filter(|(file, value, _)| fs::read_to_string(file).is_ok_and(|text| text.trim() == *value));
    let steps: Vec<&str> = off.map(|(_, _, step)| *step).collect();
    (!steps.is_empty()).then(|| steps.join("; "))
}

fn finding(level: FindingLevel, subject: &str, detail: String, remedy: Option<String>) -> Finding {
    Finding { level, subject: subject.to_owned(), detail, remedy }
}
