//! Hearth over HTTP.
//!
//! [`machines`] is the machine API: machines to start, run commands in, copy files to, and
//! snapshot, for whoever has a token. [`http`] serves a router with its limits of time and
//! number. This crate must not know drivers' insides; they come as [`machine::Driver`]s.

pub mod http;
pub mod machines;
