//! What machines take, and what is left.

use std::fmt;

use super::profiles::{Capacity, Size};

/// What the machines of started jobs take together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Used {
    pub(crate) machines: u32,
    pub(crate) vcpus: u32,
    pub(crate) memory_mib: u64,
}

/// What there is too little of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// As many machines run as may.
    Machines {
        /// So many run.
        busy: u32,
        /// So many may.
        of: u32,
    },
    /// Too few vCPUs are left.
    Vcpus {
        /// So many are wanted.
        wanted: u32,
        /// So many are left.
        left: u32,
        /// So many there are.
        of: u32,
    },
    /// Too little memory is left, in MiB.
    Memory {
        /// So much is wanted.
        wanted: u64,
        /// So much is left.
        left: u64,
        /// So much there is.
        of: u64,
    },
}

impl Used {
    pub(crate) fn add(&mut self, size: Size) {
        self.machines = self.machines.saturating_add(1);
        self.vcpus = self.vcpus.saturating_add(size.vcpus);
        self.memory_mib = self.memory_mib.saturating_add(size.memory_mib);
    }

    pub(crate) fn remove(&mut self, size: Size) {
        self.machines = self.machines.saturating_sub(1);
        self.vcpus = self.vcpus.saturating_sub(size.vcpus);
        self.memory_mib = self.memory_mib.saturating_sub(size.memory_mib);
    }

    /// What keeps one more machine of this size from fitting.
    pub(crate) fn shortage(&self, capacity: &Capacity, size: Size) -> Option<Shortage> {
        if let Some(of) = capacity.machines.filter(|of| self.machines >= *of) {
            return Some(Shortage::Machines { busy: self.machines, of });
        }
        if let Some(of) = capacity.vcpus.filter(|of| self.vcpus.saturating_add(size.vcpus) > *of) {
            return Some(Shortage::Vcpus { wanted: size.vcpus, left: of.saturating_sub(self.vcpus), of });
        }
        let of = capacity.memory_mib.filter(|of| self.memory_mib.saturating_add(size.memory_mib) > *of)?;
        Some(Shortage::Memory { wanted: size.memory_mib, left: of.saturating_sub(self.memory_mib), of })
    }
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shortage::Machines { busy, of } => write!(f, "{busy} of {of} machines busy"),
            Shortage::Vcpus { wanted, left, of } => write!(f, "{left} of {of} vCPU left, {wanted} wanted"),
            Shortage::Memory { wanted, left, of } => {
                write!(f, "{left} of {of} MiB of memory left, {wanted} wanted")
            }
        }
    }
}
