//! What pages show that is not in the store.

use async_trait::async_trait;
use machine::pool::KindStatus;
use model::RunId;
use scheduler::queue::Profile;

/// A file that a job has left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// Its name.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Where on this server it can be fetched.
    pub address: String,
}

/// Room on a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disk {
    /// What is left for us.
    pub free_bytes: u64,
    /// All of it.
    pub size_bytes: u64,
}

/// Machines and files of this server. All calls may be made at once, and change nothing.
#[async_trait]
pub trait Premises: Send + Sync {
    /// Kinds of machines, the preferred first.
    fn profiles(&self) -> Vec<Profile>;

    /// Machines that are kept ready, by profile.
    fn pool(&self) -> Vec<KindStatus>;

    /// The disk of the data folder, if it can be told.
    fn disk(&self) -> Option<Disk>;

    /// What the jobs of an attempt have left. Empty if it can't be told.
    async fn artifacts(&self, run: RunId, attempt: u32) -> Vec<Artifact>;

    /// Where people reach this server from outside, as far as it is configured: `https://ci.example.org`.
    fn address(&self) -> Option<String>;
}
