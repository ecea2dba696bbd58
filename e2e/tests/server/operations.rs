//! What an operator relies on: the log, readiness, the disk, the numbers, and the machine API beside the runs.

use std::process::Command;

use hearth_e2e::served::http::ask;
use hearth_e2e::served::{Forge, Repository, SECRET, Server, Setting, TOKEN};
use serde_json::{Value as Json, json};

const FLOW: &str = "\
name: CI
on: push
jobs:
  build:
    runs-on: ubuntu-latest
    steps:
      - run: echo tinder
";

#[test]
fn the_log_has_the_ids_of_what_happened_and_nobodys_secret() {
    let (repository, forge) = (Repository::new(FLOW), Forge::start());
    let sha = repository.commit("word.txt", "tinder");
    let setting = Setting { is_heard: true, ..Setting::default() };
    let server = Server::set(&repository, &forge, json!({"serve": {"log-format": "json"}}), setting);
    server.deliver("push", &repository.push(&sha), "d-1");
    server.ended(1);
    server.post("/webhook", "{}", &[("X-GitHub-Event", "push")]);
    let said = server.said();
    let lines: Vec<Json> =
        said.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
    let line = |message: &str| {
        let found = lines.iter().find(|line| line["message"] == message);
        found.unwrap_or_else(|| panic!("nothing says {message:?}: {said}"))
    };
    assert_eq!(line("webhook accepted")["delivery"], "d-1");
    assert_eq!(line("webhook refused")["code"], "bad_request");
    assert_eq!(line("run created")["run"], "1");
    assert_eq!(line("run created")["workflow"], ".github/workflows/ci.yml");
    let job = &line("job asks for a machine")["job"];
    assert_eq!((&line("job started")["job"], &line("job ended")["job"]), (job, job));
    assert_eq!(line("run ended")["conclusion"], "success");
    for secret in [SECRET, TOKEN, "tinder"] {
        assert!(!said.contains(secret), "{said}");
    }
}

#[test]
fn numbers_tell_of_calls_of_the_forge_and_of_the_disk() {
    let (repository, forge) = (Repository::new(FLOW), Forge::start());
    let sha = repository.commit("word.txt", "tinder");
    let server = Server::start(&repository, &forge);
    server.deliver("push", &repository.push(&sha), "d-1");
    server.ended(1);
    forge.heard(|(_, body)| body["state"] == "success");
    // The forge has heard a call a moment before the server has counted its answer.
    for line in [
        "hearth_forge_call_seconds_count{operation=\"git fetch\",outcome=\"ok\"}",
        "hearth_forge_call_seconds_count{operation=\"POST /repos/{}/{}/statuses/{}\",outcome=\"201\"}",
        "hearth_closed{reason=\"disk\"} 0",
        "hearth_webhooks_total{event=\"push\",outcome=\"received\"} 1",
        "hearth_queue_wait_seconds_count 1",
        "hearth_machine_lease_seconds_count 1",
        "hearth_step_seconds_count{conclusion=\"success\"}",
    ] {
        server.page_has("/metrics", line);
    }
    let numbers = server.page("/metrics");
    let free = numbers.lines().find_map(|line| line.strip_prefix("hearth_disk_free_bytes "));
    assert!(free.and_then(|free| free.parse::<u64>().ok()).is_some_and(|free| free > 0), "{numbers}");
}

#[test]
fn a_disk_that_is_nearly_full_starts_no_job_until_there_is_room_again() {
    if !nix::unistd::geteuid().is_root() {
        println!("SKIPPED: only root can mount a small disk");
        return;
    }
    let (repository, forge) = (Repository::new(FLOW), Forge::start());
    let sha = repository.commit("word.txt", "tinder");
    let marks = json!({"serve": {"disk": {"stop-below": 40, "resume-above": 50, "files": 1}}});
    let mount =
        "mount -t tmpfs -o size=64m,mode=700 none \"$DATA\"; head -c 30m /dev/zero > \"$DATA/ballast\"";
    let setting = Setting { mounted: Some(mount), ..Setting::default() };
    let server = Server::set(&repository, &forge, marks, setting);
    server.deliver("push", &repository.push(&sha), "d-1");
    let queue = server.until("/api/v1/queue", |queue| queue.to_string().contains("MiB wanted"));
    assert!(queue.to_string().contains("disk"), "{queue}");
    let (status, ready) = server.get("/ready");
    assert_eq!(status, 503, "{ready}");
    assert!(
        ready["parts"]["disk"]
            .as_str()
            .is_some_and(|why| why.contains("40 MiB wanted") || why.contains("50 MiB wanted")),
        "{ready}"
    );
    server.page_has("/metrics", "hearth_closed{reason=\"disk\"} 1");
    std::fs::remove_file(server.data().join("ballast")).expect("removed");
    assert_eq!(server.ended(1)["conclusion"], "success");
    server.page_has("/metrics", "hearth_closed{reason=\"disk\"} 0");
}

#[test]
fn machines_of_the_api_live_beside_those_of_runs_and_none_is_left_after_a_kill() {
    const KEY: &str = "fedcba9876543210fedcba9876543210";
    let slow = FLOW.replace("echo tinder", "sleep 2; echo tinder");
    let (repository, forge) = (Repository::new(&slow), Forge::start());
    let sha = repository.commit("word.txt", "tinder");
    let key = ("HEARTH_JWT_SECRET", KEY.to_owned());
    let warm = json!({"serve": {"profiles": [{"name": "default", "warm": {"min": 1, "max": 1}}]}});
    let setting = Setting { env: vec![key], ..Setting::default() };
    let mut server = Server::set(&repository, &forge, warm, setting);
    let bearer = format!("Bearer {}", token(KEY));
    let api = |server: &Server, what: &str, body: &str| {
        let (status, answer) =
            ask(server.address(), what, &[("Authorization", &bearer)], body).expect("an answer");
        (status, serde_json::from_slice::<Json>(&answer).unwrap_or(Json::Null))
    };
    server.deliver("push", &repository.push(&sha), "d-1");
    server.job_is(1, "build", "running");
    let (status, made) = api(&server, "POST /api/vms", "{}");
    assert!(status < 300, "{made}");
    let code = json!({"agent_id": "a", "language": "bash", "code": "echo ember", "vm_id": made["id"]});
    let (_, said) = api(&server, "POST /api/llm/execute", &code.to_string());
    assert_eq!(said["stdout"], "ember\n", "{said}");
    assert_eq!(server.ended(1)["conclusion"], "success", "the API's start must not have removed its machine");
    server.kill();
    server.start_again();
    let (status, vms) = api(&server, "GET /api/vms", "");
    assert_eq!((status, &vms["vms"]), (200, &json!([])));
    assert_eq!(server.stop(std::time::Duration::from_secs(60)), Some(0));
    server.no_machine_is_left();
}

/// A token of the machine API.
fn token(key: &str) -> String {
    let mut hearth = Command::new(hearth_e2e::invocation::binary().expect("built"));
    let output = hearth
        .args(["vm", "token", "--subject", "mona"])
        .env("HEARTH_JWT_SECRET", key)
        .output()
        .expect("started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
