//! From deliveries to finished jobs: what starts next, on what machine, and why the others wait.
//!
//! Half of it is pure. [`Queue`] is the state, changed by typed transitions; [`decide`](decide::decide()) looks at it
//! and answers with [`Command`]s, and [`waits`](decide::waits()) says why whoever waits does. [`retry`] says whether a
//! job whose machine failed is tried again, [`cron`] when a schedule is due.
//!
//! The other half carries it out: [`expand`] makes runs of deliveries, the [`engine`] drives queue and plans and writes
//! down every step, and a [`worker`] runs each job on a machine of its own ([`workshop`]).
//! This crate must not know HTTP or pages.

pub mod chain;
pub mod clock;
pub mod cron;
pub mod decide;
pub mod dispatch;
pub mod engine;
pub mod environment;
pub mod expand;
pub mod facts;
pub mod identity;
pub mod intake;
mod journal;
pub mod origin;
pub mod queue;
pub mod reader;
pub mod recipe;
pub mod reconcile;
pub mod report;
pub mod retry;
pub mod token;
pub mod worker;
mod workflows;
pub mod workshop;

pub use decide::{Command, decide, waits};
pub use engine::Engine;
pub use queue::Queue;
