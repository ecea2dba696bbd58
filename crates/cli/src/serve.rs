//! `hearth serve`: the CI server, and the machine API alone.

mod ci;
mod control;
mod machines;
mod missed;
mod premises;
mod profiles;
mod secrets;
mod senders;
mod settings;

pub(crate) use ci::serve;
pub(crate) use machines::{key, machines};
pub(crate) use senders::WebhooksConfig;
pub(crate) use settings::GithubConfig;
