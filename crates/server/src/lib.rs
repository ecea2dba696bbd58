//! Hearth over HTTP.
//!
//! [`Server`] is all of it but for the pages: [`webhook`]s in, the [`api`], [`health`], and [`metrics`], and beside them
//! [`machines`], the machine API, which can also be served alone. [`pages`] are for people, and stand beside it.
//! [`auth`] says who may do what. What people ask for goes to whoever runs
//! the workflows through [`control`]. [`http`] serves a router with its limits of time and number, and [`client`] is
//! the other end of the API. This crate must not know drivers' insides; they come as [`machine::Driver`]s.

pub mod address;
pub mod api;
pub mod auth;
mod body;
pub mod client;
pub mod control;
pub mod discovery;
pub mod health;
pub mod http;
pub mod machines;
pub mod metrics;
pub mod pages;
pub mod rate;
mod redeliver;
mod server;
mod settings;
pub mod tls;
pub mod traces;
pub mod webhook;

pub use server::{Parts, Server};
