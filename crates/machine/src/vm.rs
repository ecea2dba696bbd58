//! What drivers of virtual machines share: places on the host, processes that die with this one,
//! the console's last words, what a guest is told, and what makes it unique.

pub(crate) mod console;
pub(crate) mod folder;
pub(crate) mod guest_side;
pub(crate) mod leash;
pub(crate) mod renewal;
pub(crate) mod scratch_disk;
pub(crate) mod sparse;
pub(crate) mod spawn;
pub(crate) mod trial_image;
pub(crate) mod trouble;

use std::path::Path;
use std::{fs, io};

use model::MachineId;

use crate::image::{Image, ImageStore};
use crate::{MachineError, MachineSpec, agent_binary};

/// Names the time since this host was started. In the next, processor and kernel may be others.
pub(crate) fn host_life() -> io::Result<String> {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned())
}

/// The image of this name or id in a data folder, as machines boot it.
pub(crate) async fn image(data: &Path, name: &str) -> Result<Image, Failure> {
    const LOOK: &str = "looking for its image";
    let (data, name) = (data.to_owned(), name.to_owned());
    let found = tokio::task::spawn_blocking(move || ImageStore::open(&data)?.ready(&name, agent_binary()));
    found.await.doing(LOOK)?.doing(LOOK)
}

/// Refuses sizes that no machine of a VMM has.
pub(crate) fn check_sizes(spec: &MachineSpec, least_memory_mib: u64, most_vcpus: u32) -> Result<(), Failure> {
    if let Some(mib) = spec.memory_mib.filter(|mib| *mib < least_memory_mib) {
        let reason = format!("{mib} MiB are too few; give it {least_memory_mib} MiB or more");
        return Err(Failure::new("reserving its memory", reason));
    }
    if let Some(vcpus) = spec.vcpus.filter(|vcpus| !(1..=most_vcpus).contains(vcpus)) {
        let reason = format!("{vcpus} can't be; give it 1 to {most_vcpus}");
        return Err(Failure::new("giving it processors", reason));
    }
    Ok(())
}

/// What went wrong, before it is known with which machine.
#[derive(Debug)]
pub(crate) struct Failure {
    operation: &'static str,
    reason: String,
}

impl Failure {
    pub(crate) fn new(operation: &'static str, reason: impl std::fmt::Display) -> Self {
        Self { operation, reason: reason.to_string() }
    }

    /// The same, with more to say.
    #[must_use]
    pub(crate) fn with(self, more: &str) -> Self {
        if more.is_empty() { self } else { Self { reason: format!("{}\n{more}", self.reason), ..self } }
    }

    pub(crate) fn of(self, machine: MachineId, driver: &'static str) -> MachineError {
        let Failure { operation, reason } = self;
        MachineError { machine, driver, operation, reason, source: None }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.operation, self.reason)
    }
}

/// Says what was being done when something failed.
pub(crate) trait Doing<T> {
    fn doing(self, operation: &'static str) -> Result<T, Failure>;
}

impl<T, E: std::fmt::Display> Doing<T> for Result<T, E> {
    fn doing(self, operation: &'static str) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(operation, error))
    }
}
