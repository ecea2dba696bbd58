//! `hearth`, the one binary: reads the command line and puts the parts together.

mod args;
mod config;
mod data;
mod diagnostics;
mod exit;
fn main() {}
