//! Finds out whether QEMU machines work on this host, by starting one.

use std::time::Instant;

use guest::client::{ExecEvent, ExecSpec, ExitStatus, Guest};

use super::QemuDriver;
use crate::own_name::own_name;
use crate::vm::trial_image::trial_image;
use crate::{Driver, Finding, FindingLevel, MachineSpec, Network, Probe};

/// Memory of the canary: little, so that it starts on a busy host too.
const CANARY_MIB: u64 = 256;

pub(super) async fn probe(driver: &QemuDriver) -> Probe {
    let mut findings = Vec::new();
    match version(driver).await {
        Ok(version) => findings.push(finding(FindingLevel::Good, "program", version, None)),
        Err(reason) => {
            let remedy = "install QEMU (Debian: qemu-system-x86)";
            findings.push(finding(FindingLevel::Bad, "program", reason, Some(remedy)));
            return Probe { usable: false, findings };
        }
    }
    let image = match trial_image(&driver.data) {
        Ok(image) => image,
        Err(error) => {
            let remedy = "make one: hearth image build";
            findings.push(finding(FindingLevel::Bad, "image", error.to_string(), Some(remedy)));
            return Probe { usable: false, findings };
        }
    };
    let usable = match canary(driver, image).await {
        Ok(found) => {
            findings.extend(found);
            true
        }
        Err(reason) => {
            findings.push(finding(FindingLevel::Bad, "canary", reason, None));
            false
        }
    };
    Probe { usable, findings }
}

/// What the program calls itself.
pub(super) async fn version(driver: &QemuDriver) -> Result<String, String> {
    let name = driver.program.display();
    let mut command = tokio::process::Command::new(driver.program());
    let output = command.arg("--version").kill_on_drop(true).output().await;
    let output = output.map_err(|error| format!("{name}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let first = text.lines().next().filter(|line| line.contains("QEMU"));
    first.map(str::to_owned).ok_or_else(|| format!("{name} does not say that it is QEMU ({})", output.status))
}

async fn canary(driver: &QemuDriver, image: String) -> Result<Vec<Finding>, String> {
    let begin = Instant::now();
    let id = model::MachineId(own_name("canary"));
    let spec = MachineSpec {
        image: Some(image),
        vcpus: Some(1),
        memory_mib: Some(CANARY_MIB),
        disk_mib: Some(64),
        ..MachineSpec::new(id, Network::None)
    };
    let machine = driver.start(spec).await.map_err(|error| error.to_string())?;
    let ran = run(&machine.guest).await;
    let took = begin.elapsed();
    let notes = machine.notes.clone();
    let destroyed = machine.destroy().await.map_err(|error| error.to_string());
    ran?;
    destroyed?;
    let detail = format!("a machine booted and ran a command in {took:.1?}");
    let slow = |note| finding(FindingLevel::Degraded, "speed", note, Some("use a host with KVM"));
    let canary = finding(FindingLevel::Good, "canary", detail, None);
    Ok(std::iter::once(canary).chain(notes.into_iter().map(slow)).collect())
}

async fn run(guest: &Guest) -> Result<(), String> {
    let argv = ["/bin/sh", "-c", "exit 42"].map(str::to_owned).to_vec();
    let exec = guest.exec(ExecSpec { argv, ..ExecSpec::default() }).await;
    let mut exec = exec.map_err(|error| error.to_string())?;
    while let Some(event) = exec.next().await.map_err(|error| error.to_string())? {
        if let ExecEvent::Exited(status) = event {
            let expected = status == ExitStatus::Code(42);
            return if expected { Ok(()) } else { Err(format!("its command ended with {status:?}")) };
        }
    }
    Err("its command never ended".to_owned())
}

fn finding(level: FindingLevel, subject: &str, detail: String, remedy: Option<&str>) -> Finding {
    Finding { level, subject: subject.to_owned(), detail, remedy: remedy.map(str::to_owned) }
}
