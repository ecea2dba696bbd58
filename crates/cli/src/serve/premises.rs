//! What the pages show of this server besides its runs.

use machine::pool::{KindStatus, Pool};
use scheduler::queue::Profile;
use server::pages::premises::{Disk, Premises};

use crate::data::DataFolder;

/// Machines and the disk.
pub(super) struct ServerPremises {
    pub(super) profiles: Vec<Profile>,
    pub(super) pools: Vec<Pool>,
    pub(super) data: DataFolder,
    /// Where people reach the server, if that is configured.
    pub(super) address: Option<String>,
}

impl Premises for ServerPremises {
    fn profiles(&self) -> Vec<Profile> {
        self.profiles.clone()
    }

    fn pool(&self) -> Vec<KindStatus> {
        self.pools.iter().flat_map(Pool::status).collect()
    }

    fn disk(&self) -> Option<Disk> {
        let found = rustix::fs::statvfs(self.data.root()).ok()?;
        Some(Disk {
            free_bytes: found.f_bavail.saturating_mul(found.f_frsize),
            size_bytes: found.f_blocks.saturating_mul(found.f_frsize),
        })
    }

    fn address(&self) -> Option<String> {
        self.address.clone()
    }
}
