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
pub(crate) mod trouble;

use std::{fs, io};

use model::MachineId;

use crate::MachineError;

/// Names the time since this host was started. In the next, processor and kernel may be others.
pub(crate) fn host_life() -> io::Result<String> {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned())
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

    pub(crate) fn operation(&self) -> &'static str {
        self.operation
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
