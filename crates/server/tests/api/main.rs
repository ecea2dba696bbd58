//! The server over real connections, with a real store and a fake engine.
//!
//! Every JSON answer is held against the OpenAPI document (`fixture`).

#[path = "../openapi/mod.rs"]
mod openapi;

mod actions;
mod document;
mod fake;
mod fixture;
mod health;
mod hostile;
mod reads;
mod roles;
mod sample;
mod sessions;
mod webhooks;
