//! The network of machines, with a kernel's own network at the guest's end, and servers in a
//! world that each test makes for itself. Nothing leaves them.

#[path = "../network_world/mod.rs"]
mod network_world;

mod flows;
mod guest;
mod ipv6;
mod names;
mod tap;
