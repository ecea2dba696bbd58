//! What pages show that is not in the store.

use machine::pool::KindStatus;
use scheduler::queue::Profile;

/// Room on a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disk {
    /// What is left for us.
    pub free_bytes: u64,
    /// All of it.
    pub size_bytes: u64,
}

/// Machines of this server and its disk. All calls may be made at once, and change nothing.
pub trait Premises: Send + Sync {
    /// Kinds of machines, the preferred first.
    fn profiles(&self) -> Vec<Profile>;

    /// Machines that are kept ready, by profile.
    fn pool(&self) -> Vec<KindStatus>;

    /// The disk of the data folder, if it can be told.
    fn disk(&self) -> Option<Disk>;

    /// Where people reach this server from outside, as far as it is configured: `https://ci.example.org`.
    fn address(&self) -> Option<String>;
}
