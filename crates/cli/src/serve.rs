//! `hearth serve`: the CI server, and the machine API alone.

mod checks;
mod chores;
mod ci;
mod control;
mod demo;
mod disk;
mod first_token;
mod house;
mod log;
mod machines;
mod memory;
mod missed;
mod numbers;
mod people;
mod premises;
mod profiles;
mod ranges;
mod records;
mod retention;
mod secrets;
mod senders;
mod settings;
mod sources;
mod tls;
mod web;

pub(crate) use checks::check;
pub(crate) use ci::{ADDRESS_FILE, serve};
pub(crate) use disk::DiskConfig;
pub(crate) use first_token::FIRST_TOKEN;
pub(crate) use machines::{key, machines};
pub(crate) use retention::RetentionConfig;
pub(crate) use senders::WebhooksConfig;
pub(crate) use settings::{GithubConfig, Settings};
pub(crate) use tls::TlsConfig;
