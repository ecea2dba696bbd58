//! The machine API over real connections, on machines of the `fake` driver.
//!
//! Every JSON answer is held against the OpenAPI document (`fixture`).

mod bounds;
#[path = "../openapi/mod.rs"]
mod openapi;

mod commands;
mod document;
mod files;
mod fixture;
mod limits;
mod machines;
mod schema;
mod shell;
mod snapshots;
mod tokens;
