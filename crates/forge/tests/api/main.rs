//! Calls of the API, against a server that fails in the ways that servers do.

mod asking;
mod calling;
mod reporting;
mod server;

use std::time::Duration;

use forge::github::client::retry::Pace;
use forge::github::client::{Auth, Client};
use model::Secret;
use server::Server;

/// As persistent as the real pace, and a thousand times as fast.
const HASTE: Pace = Pace {
    first: Duration::from_millis(1),
    limited: Duration::from_millis(60),
    longest: Duration::from_secs(5),
    tries: 5,
};

fn hasty(server: &Server, auth: Auth) -> Client {
    Client::with_pace(&server.address, auth, Duration::from_millis(500), HASTE).unwrap()
}

fn token() -> Auth {
    Auth::Token(Secret("ghp_secretsecret".to_owned()))
}
