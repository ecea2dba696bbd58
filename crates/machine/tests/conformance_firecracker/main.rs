//! The Firecracker driver against a strict server: one that refuses every request which
//! Firecracker's own description of its API does not allow, and walks the documented states.
//!
//! The description is not part of the project. It is read from `HEARTH_FACTS_DIR`, or from
//! `../shared/facts` beside the clone; without it these tests fail.

#[path = "../firecracker_suite/mod.rs"]
mod firecracker_suite;

mod calls;
mod client;
mod driver;
mod strict;
