//! Whether Firecracker works on this host: what is installed, what its own list for hosts says,
//! and a machine that really runs.

use std::path::Path;
use std::time::{Duration, Instant};

use guest::client::{ExecEvent, ExecSpec, ExitStatus, Guest};
use model::MachineId;

use super::FirecrackerDriver;
use super::host_check::{HostFacts, bad, degraded, good};
use crate::own_name::own_name;
use crate::vm::trial_image::trial_image;
use crate::{Driver, Finding, FindingLevel, MachineSpec, Network, Probe};

/// Memory of the canary: enough for any kernel with its initial RAM disk.
const CANARY_MEMORY_MIB: u64 = 256;
/// Disk of the canary, which writes nothing.
const CANARY_DISK_MIB: u64 = 64;
/// How long the canary's command may take, in a machine that answers.
const COMMAND_DEADLINE: Duration = Duration::from_secs(30);

/// Looks at everything.
pub(super) async fn probe(driver: &FirecrackerDriver) -> Probe {
    let mut findings = Vec::new();
    let installed = match driver.find_installation().await {
        Err(reason) => {
            findings.push(bad("firecracker", &reason, "install it; docs/guide/machines.md says how"));
            false
        }
        Ok(installation) => {
            findings.push(good(
                "firecracker",
                &format!("{} is version {}", installation.firecracker.display(), installation.version),
            ));
            findings.push(jailer(&installation.jailer));
            true
        }
    };
    findings.extend(HostFacts::read(Path::new("/")).findings());
    // A canary that can't live tells no more than what is known already.
    let hopeless = findings.iter().any(|finding| finding.level == FindingLevel::Bad);
    let usable = installed && !hopeless;
    if !usable {
        return Probe { usable, findings };
    }
    let canary = match canary(driver).await {
        Ok(took) => good("canary", &format!("a machine booted and ran a command in {took:.2?}")),
        Err(reason) => bad(
            "canary",
            &reason,
            "`hearth image build` makes an image; the console above says where a boot ended",
        ),
    };
    let usable = canary.level == FindingLevel::Good;
    findings.push(canary);
    Probe { usable, findings }
}

/// Whether such a machine can be expected to run on the host with this root folder.
pub(super) async fn expect_to_run(
    driver: &FirecrackerDriver,
    spec: &MachineSpec,
    host: &Path,
) -> Result<String, String> {
    let version = &driver.find_installation().await?.version;
    let obstacle =
        HostFacts::read(host).findings().into_iter().find(|found| found.level == FindingLevel::Bad);
    if let Some(obstacle) = obstacle {
        return Err(format!("{} {}", obstacle.subject, obstacle.detail));
    }
    super::check(spec).map_err(|failure| failure.to_string())?;
    if spec.network == Network::User && !rustix::process::geteuid().is_root() {
        return Err("its machines have a network only where Hearth runs as root".to_owned());
    }
    driver.image(spec.image.as_deref()).await.map_err(|failure| failure.to_string())?;
    Ok(format!("Firecracker {version}"))
}

fn jailer(jailer: &Result<std::path::PathBuf, String>) -> Finding {
    let root = rustix::process::geteuid().is_root();
    match jailer {
        Ok(path) if root => good("jailer", &format!("{}: each VM has a user of its own", path.display())),
        Ok(_) => degraded(
            "jailer",
            "is not used: Hearth does not run as root, so each VM runs as its user",
            "run Hearth as root, which the jailer needs; it gives up root before a guest starts",
        ),
        Err(reason) => {
            degraded("jailer", reason, "put the `jailer` of the same release beside `firecracker`")
        }
    }
}

async fn canary(driver: &FirecrackerDriver) -> Result<Duration, String> {
    let image = trial_image(&driver.data).map_err(|error| error.to_string())?;
    let begin = Instant::now();
    let id = MachineId(own_name("canary"));
    let spec = MachineSpec {
        image: Some(image),
        vcpus: Some(1),
        memory_mib: Some(CANARY_MEMORY_MIB),
        disk_mib: Some(CANARY_DISK_MIB),
        ..MachineSpec::new(id, Network::None)
    };
    let machine = driver.start(spec).await.map_err(|error| error.to_string())?;
    let ran = tokio::time::timeout(COMMAND_DEADLINE, run(&machine.guest)).await;
    let took = begin.elapsed();
    let destroyed = machine.destroy().await.map_err(|error| error.to_string());
    ran.map_err(|_| "the canary's command does not end".to_owned())??;
    destroyed.map(|()| took)
}

async fn run(guest: &Guest) -> Result<(), String> {
    let argv = ["/bin/sh", "-c", "exit 42"].map(str::to_owned).to_vec();
    let exec = guest.exec(ExecSpec { argv, ..ExecSpec::default() }).await;
    let mut exec = exec.map_err(|error| error.to_string())?;
    while let Some(event) = exec.next().await.map_err(|error| error.to_string())? {
        match event {
            ExecEvent::Exited(ExitStatus::Code(42)) => return Ok(()),
            ExecEvent::Exited(other) => return Err(format!("the canary's command ended with {other:?}")),
            _ => {}
        }
    }
    Err("the canary's command never ended".to_owned())
}
