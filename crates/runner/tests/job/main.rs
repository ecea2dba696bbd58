//! Whole jobs on an agent in this process.

mod actions;
mod bench;
mod checkout;
mod failures;
mod files;
mod halt;
mod status;
