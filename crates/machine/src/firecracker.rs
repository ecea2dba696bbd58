//! The `firecracker` driver: machines with a kernel of their own, behind the smallest VMM.

pub mod api;
pub mod client;
pub mod life;

pub mod version;
pub mod vsock;

mod socket;

/// Where Firecracker is to be had; ends errors that ask for another version.
const FOUND_IN: &str = "releases are at https://github.com/firecracker-microvm/firecracker/releases";
