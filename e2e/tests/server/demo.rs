//! `hearth serve --demo`.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value as Json;

use hearth_e2e::served::http::ask;
use hearth_e2e::served::wait_a_moment;

#[test]
fn a_demo_shows_runs_that_succeed_fail_and_go_on_and_leaves_nothing() {
    let place = tempfile::tempdir().expect("a folder");
    let mut hearth = Command::new(hearth_e2e::invocation::binary().expect("built"));
    hearth.args(["serve", "--demo"]).env("TMPDIR", place.path()).env_remove("GITHUB_WEBHOOK_SECRET");
    let mut child = hearth.stdout(Stdio::piped()).spawn().expect("started");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut line = || lines.next().expect("a line").expect("read");
    let address: SocketAddr =
        line().strip_prefix("http://").expect("an address").parse().expect("an address");
    assert!(address.ip().is_loopback());
    let token = line().strip_prefix("sign in there with ").expect("a token").to_owned();
    let runs = || {
        let bearer = format!("Bearer {token}");
        let (_, body) =
            ask(address, "GET /api/v1/runs", &[("Authorization", &bearer)], "").expect("an answer");
        serde_json::from_slice::<Json>(&body).expect("JSON")["runs"].as_array().cloned().unwrap_or_default()
    };
    let is_shown = |runs: &[Json]| {
        let has = |key: &str, word: &str| runs.iter().any(|run| run[key] == word);
        has("conclusion", "success") && has("conclusion", "failure") && has("state", "running")
    };
    let begun = Instant::now();
    while !is_shown(&runs()) {
        assert!(begun.elapsed() < Duration::from_secs(90), "{:?}", runs());
        wait_a_moment();
    }
    kill(Pid::from_raw(i32::try_from(child.id()).expect("a number")), Signal::SIGTERM).expect("asked");
    assert!(child.wait().expect("ended").success());
    assert_eq!(std::fs::read_dir(place.path()).expect("read").count(), 0, "something is left");
}
