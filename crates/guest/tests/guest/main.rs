//! The agent in a process of its own, and the client that speaks to it.

mod agent;
mod archive;
mod exec;
mod files;
mod tunnel;
