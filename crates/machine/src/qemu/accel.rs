//! Whether the processor helps.
//!
//! That `/dev/kvm` is there proves nothing: some hosts have one that starts machines which never
//! run. Only a canary that has answered does; its answer is kept for as long as the host is up.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::QemuDriver;
use super::arguments::Accel;
use crate::own_name::own_name;
use crate::vm::host_life;
use crate::{MachineSpec, Network};

const DEVICE: &str = "/dev/kvm";

/// How long a canary has with the processor's help: it takes a second then.
const CANARY_DEADLINE: Duration = Duration::from_secs(30);

/// How long the time stamp counter is watched: long enough that what the clock is off does not show.
const WATCH: Duration = Duration::from_millis(50);

/// How machines run here.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    pub(super) accel: Accel,
    /// What users should know of it.
    pub(super) note: Option<String>,
}

/// What an earlier canary found on this host, since it was started.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Found {
    boot_id: String,
    program: PathBuf,
    /// Why the processor does not help; `None`: it does.
    refusal: Option<String>,
}

/// Finds out how machines run here.
pub(super) async fn choose(driver: &QemuDriver) -> Choice {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let refusal = match plain_refusal(&cpu, fs::File::options().read(true).write(true).open(DEVICE)) {
        Some(reason) => Some(reason),
        None => canary(driver).await,
    };
    match refusal {
        None => Choice { accel: Accel::Kvm, note: None },
        Some(reason) => {
            let accel = Accel::Tcg { tsc_khz: tsc_khz().await };
            Choice { accel, note: Some(format!("its processor is emulated, which is slow: {reason}")) }
        }
    }
}

/// Why no canary has to be asked.
fn plain_refusal(cpuinfo: &str, device: std::io::Result<fs::File>) -> Option<String> {
    if let Err(error) = device {
        return Some(format!("{DEVICE}: {error}"));
    }
    let flags = cpuinfo.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
    let helps = flags.split_ascii_whitespace().any(|flag| flag == "vmx" || flag == "svm");
    (!helps).then(|| "the processor offers no virtualisation (no vmx or svm in /proc/cpuinfo)".to_owned())
}

/// Whether a machine answers with the processor's help; why not otherwise.
async fn canary(driver: &QemuDriver) -> Option<String> {
    let boot_id = host_life().unwrap_or_default();
    let memo = driver.data.join("qemu-canary.json");
    if let Some(found) = remembered(&memo)
        && found.boot_id == boot_id
        && found.program == driver.program()
    {
        return found.refusal;
    }
    let id = model::MachineId(own_name("kvm-canary"));
    let spec = MachineSpec { memory_mib: Some(256), ..MachineSpec::new(id, Network::None) };
    let started = tokio::time::timeout(CANARY_DEADLINE, Box::pin(driver.boot(&spec, Accel::Kvm))).await;
    let refusal = match started {
        Ok(Ok(machine)) => {
            let _ = machine.destroy().await;
            None
        }
        // Nothing of the processor's doing, and another time it may be there.
        Ok(Err(failure)) if failure.operation() == "looking for its image" => {
            return Some("there is no image to try it with".to_owned());
        }
        Ok(Err(failure)) => Some(format!("a machine with {DEVICE} does not start: {failure}")),
        Err(_) => Some(format!("a machine with {DEVICE} has not answered in {CANARY_DEADLINE:?}")),
    };
    let found = Found { boot_id, program: driver.program(), refusal };
    let _ = fs::write(&memo, serde_json::to_vec(&found).unwrap_or_default());
    found.refusal
}

fn remembered(memo: &Path) -> Option<Found> {
    serde_json::from_slice(&fs::read(memo).ok()?).ok()
}

/// What the processor's time stamp counter counts in a millisecond.
async fn tsc_khz() -> u64 {
    let (begin, first) = (Instant::now(), counter());
    tokio::time::sleep(WATCH).await;
    let (counted, took) = (counter().saturating_sub(first), begin.elapsed());
    let khz = u128::from(counted) * 1_000_000 / took.as_nanos().max(1);
    u64::try_from(khz).unwrap_or(0).max(1)
}

#[cfg(target_arch = "x86_64")]
fn counter() -> u64 {
    #[expect(unsafe_code, reason = "there is no safe way to read the counter")]
    // SAFETY: every x86-64 processor has it.
    unsafe {
        std::arch::x86_64::_rdtsc()
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn counter() -> u64 {
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_without_virtualisation_is_not_tried_whatever_devices_there_are() {
        let device = || Ok(tempfile::tempfile().unwrap());
        let cpu = |flags: &str| format!("processor : 0\nflags\t\t: fpu {flags} sse2\n");
        assert!(plain_refusal(&cpu("vmx"), device()).is_none());
        assert!(plain_refusal(&cpu("svm"), device()).is_none());
        assert!(plain_refusal(&cpu("vmxnet"), device()).unwrap().contains("no virtualisation"));
        let missing = Err(std::io::ErrorKind::NotFound.into());
        assert!(plain_refusal(&cpu("vmx"), missing).unwrap().contains("/dev/kvm"));
    }

    #[tokio::test]
    async fn the_counter_is_that_of_a_processor() {
        assert!((100_000..20_000_000).contains(&tsc_khz().await));
    }
}
