//! Which run and which job starts next, on what machine, and why the others wait.
//!
//! [`Queue`] is the state, changed by typed transitions; [`decide`](decide::decide()) looks at it and
//! answers with [`Command`]s, and [`waits`](decide::waits()) says why whoever waits does. [`retry`] says
//! whether a job whose machine failed is tried again, [`cron`] when a schedule is due. All of this is
//! pure: no clock, lock, or I/O.
//! This crate must not know HTTP or pages.

pub mod cron;
pub mod decide;
pub mod queue;
pub mod retry;

pub use decide::{Command, decide, waits};
pub use queue::Queue;
