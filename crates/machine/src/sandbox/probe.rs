//! Finds out whether sandboxes work on this host, by starting one.

use guest::client::{ExecEvent, ExecSpec, ExitStatus};
use model::MachineId;

use super::SandboxDriver;
use crate::own_name::own_name;
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
            findings.push(finding(FindingLevel::Bad, "canary", reason, None));
            false
        }
    };
    Probe { usable, findings }
}

async fn canary(driver: &SandboxDriver) -> Result<(Vec<String>, std::time::Duration), String> {
    let begin = std::time::Instant::now();
    let id = MachineId(own_name("canary"));
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
        let command = if rustix::process::geteuid().is_root() {
            "systemd-run --scope --property=Delegate=yes hearth"
        } else {
            "systemd-run --user --scope hearth"
        };
        Some(format!("have systemd delegate the control groups: `{command} …`, or a unit with Delegate=yes"))
    } else if note.contains("noexec") {
        Some("name another data folder (--data, or data in the configuration)".to_owned())
    } else if note.contains("Landlock") {
        Some("boot with `landlock` among lsm=, on a kernel from 6.12 on".to_owned())
    } else {
        None
    };
    finding(FindingLevel::Degraded, "wall", note, remedy)
}

fn finding(level: FindingLevel, subject: &str, detail: String, remedy: Option<String>) -> Finding {
    Finding { level, subject: subject.to_owned(), detail, remedy }
}
