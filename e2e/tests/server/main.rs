//! `hearth serve`, the whole process: a signed webhook of a real repository, jobs in sandboxes, what the forge hears,
//! a server that is killed in the middle, and its pages in a browser.

mod artifacts;
mod commands;
mod demo;
mod faults;
mod gates;
mod kept;
mod kills;
mod operations;
mod pages;
mod trust;

use std::time::Duration;

use hearth_e2e::served::{Forge, Repository, Server};
use serde_json::json;

const FLOW: &str = "\
name: CI
on: [push, workflow_dispatch]
jobs:
  build:
    runs-on: ubuntu-latest
    outputs: {word: '${{ steps.w.outputs.word }}'}
    steps:
      - uses: actions/checkout@v4
      - id: w
        run: echo \"word=$(cat word.txt)\" >> \"$GITHUB_OUTPUT\"
  test:
    needs: build
    strategy: {matrix: {n: [1, 2]}}
    runs-on: ubuntu-latest
    steps:
      - run: echo \"${{ needs.build.outputs.word }} ${{ matrix.n }}\"
";

#[test]
fn a_push_is_run_shown_and_reported() {
    let (repository, forge) = (Repository::new(FLOW), Forge::start());
    let sha = repository.commit("word.txt", "tinder");
    let server = Server::start(&repository, &forge);
    let answer = server.deliver("push", &repository.push(&sha), "d-1");
    assert_eq!(
        answer,
        (200, json!({"message": "Push webhook received for refs/heads/main", "status": "success"}))
    );
    let run = server.ended(1);
    assert_eq!(run["conclusion"], "success", "{run}");
    assert_eq!(run["sha"], sha);
    let jobs = server.get("/api/v1/runs/1/jobs").1;
    let names: Vec<_> =
        jobs["jobs"].as_array().expect("jobs").iter().map(|job| job["name"].as_str()).collect();
    assert_eq!(names, [Some("build"), Some("test (1)"), Some("test (2)")]);
    let id = &jobs["jobs"][2]["id"];
    let page = server.page(&format!("/runs/1/jobs/{id}/log.txt"));
    assert!(page.contains("tinder 2"), "{page}");
    let (what, body) = forge.heard(|(_, body)| body["state"] == "success");
    assert_eq!(what, format!("POST /repos/octo/hello/statuses/{sha}"));
    assert_eq!(body["context"], "hearth / CI (push)");
    assert_eq!(body["target_url"], format!("{}/runs/1", server.url()));
}

#[test]
fn a_webhook_that_nobody_has_signed_is_refused_and_so_is_who_has_no_token() {
    let (repository, forge) = (Repository::new(FLOW), Forge::start());
    let sha = repository.commit("word.txt", "tinder");
    let server = Server::start(&repository, &forge);
    let payload = repository.push(&sha).to_string();
    assert_eq!(server.post("/webhook", &payload, &[("X-GitHub-Event", "push")]).0, 400);
    let forged = [("X-GitHub-Event", "push"), ("X-Hub-Signature-256", &format!("sha256={}", "0".repeat(64)))];
    assert_eq!(server.post("/webhook", &payload, &forged).0, 403);
    assert_eq!(server.without_token("/api/v1/runs").0, 401);
    assert_eq!(server.get("/api/v1/runs").1["runs"], json!([]));
}

#[test]
fn a_server_that_is_killed_loses_nothing_and_leaves_no_machine() {
    let slow = FLOW.replace("cat word.txt", "sleep 3; cat word.txt");
    let (repository, forge) = (Repository::new(&slow), Forge::start());
    let sha = repository.commit("word.txt", "tinder");
    let mut server = Server::start(&repository, &forge);
    server.deliver("push", &repository.push(&sha), "d-1");
    server.job_is(1, "build", "running");
    // Acknowledged, and killed before anything can have come of it.
    server.deliver("push", &repository.push(&sha), "d-2");
    server.kill();
    server.start_again();
    assert_eq!(server.ended(1)["conclusion"], "success");
    assert_eq!(server.ended(2)["conclusion"], "success");
    let build = &server.get("/api/v1/runs/1/jobs").1["jobs"][0];
    assert_eq!(build["tries"], 2, "{build}");
    assert_eq!(server.deliver("push", &repository.push(&sha), "d-2").0, 200);
    server.no_machine_is_left();
    assert!(server.get("/api/v1/runs/3").0 == 404, "a delivery that came again ran again");
}

#[test]
fn a_server_that_is_asked_to_stop_lets_jobs_end_and_a_second_one_is_kept_away() {
    let slow = FLOW.replace("cat word.txt", "sleep 1; cat word.txt");
    let (repository, forge) = (Repository::new(&slow), Forge::start());
    let sha = repository.commit("word.txt", "tinder");
    let mut server = Server::start(&repository, &forge);
    let said = server.second();
    assert!(said.contains("has the data folder"), "{said}");
    server.deliver("push", &repository.push(&sha), "d-1");
    server.job_is(1, "build", "running");
    let code = server.stop(Duration::from_secs(60));
    assert_eq!(code, Some(0));
    server.start_again();
    assert_eq!(server.ended(1)["conclusion"], "success");
    assert_eq!(server.get("/api/v1/runs/1/jobs").1["jobs"][0]["tries"], 1);
}
