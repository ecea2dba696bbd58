//! The server over real connections, with a real store and a fake engine.
//!
//! Every JSON answer is held against the OpenAPI document (`fixture`).

#[path = "../openapi/mod.rs"]
mod openapi;

mod actions;
mod artifacts;
mod beside;
mod document;
mod events;
mod fake;
mod fixture;
mod health;
mod hostile;
mod logs;
mod reads;
mod roles;
mod sample;
mod sessions;
mod settings;
mod traces;
mod webhooks;
