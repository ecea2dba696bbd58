//! Real virtual machines: `cargo xtask test --only vm`. Elsewhere these tests say that they were
//! skipped, since each boots a kernel.
//!
//! `HEARTH_VM_DATA` names a data folder with an image called `default`.

#[path = "../lent/mod.rs"]
mod lent;
#[path = "../network_world/mod.rs"]
mod network_world;

mod faults;
mod house;
mod life;
mod network;
mod templates;
