//! What jobs are trusted with.

use hearth_e2e::served::{Forge, Repository, Server};
use serde_json::{Value as Json, json};

/// Shows what it has backwards, where nothing masks it.
const CURIOUS: &str = "\
name: CI
on: [push, pull_request]
permissions: {contents: read, issues: write, pull-requests: write}
jobs:
  build:
    runs-on: ubuntu-latest
    steps:
      - env:
          TOKEN: '${{ secrets.GITHUB_TOKEN }}'
          SAME: '${{ github.token }}'
          KEY: '${{ secrets.DEPLOY_KEY }}'
        run: |
          echo \"token $TOKEN\"
          echo \"backwards [$(printf %s \"$TOKEN\" | rev)] [$(printf %s \"$SAME\" | rev)] [$(printf %s \"$KEY\" | rev)]\"
";

/// What the token of a job was asked to be.
fn asked_token(forge: &Forge) -> Json {
    let minting = |(what, body): &(String, Json)| {
        what == "POST /app/installations/9/access_tokens" && body["repositories"] == json!(["hello"])
    };
    forge.heard(minting).1
}

fn with_key(server: &Server) {
    let set =
        server.tell("PUT /api/v1/secrets/DEPLOY_KEY?scope=octo/hello", &json!({"value": "open-sesame"}));
    assert_eq!(set.0, 204, "{}", set.1);
}

#[test]
fn a_job_gets_a_token_of_its_own_from_the_app_that_ends_with_it() {
    let (repository, forge) = (Repository::new(CURIOUS), Forge::start());
    let sha = repository.commit("word.txt", "tinder");
    let server = Server::as_app(&repository, &forge, json!({}));
    with_key(&server);
    server.deliver("push", &repository.push(&sha), "d-1");
    let run = server.ended(1);
    assert_eq!(run["conclusion"], "success", "{run}");
    let may = json!({"contents": "read", "metadata": "read", "pull_requests": "write"});
    assert_eq!(asked_token(&forge)["permissions"], may, "issues are more than the App may");
    let (_, holder) = forge.heard(|(what, _)| what == "DELETE /installation/token");
    let token = holder.as_str().and_then(|holder| holder.strip_prefix("Bearer ")).expect("a holder");
    let log = server.log(1, "build");
    assert!(log.contains("token ***") && !log.contains(token), "{log}");
    let backwards: String = token.chars().rev().collect();
    assert!(log.contains(&format!("backwards [{backwards}] [{backwards}] [emases-nepo]")), "{log}");
    for shown in ["GITHUB_TOKEN Permissions", "Contents: read", "PullRequests: write"] {
        assert!(log.contains(shown), "{shown}: {log}");
    }
}

#[test]
fn without_an_app_a_job_has_no_token_and_never_the_servers() {
    let (repository, forge) = (Repository::new(CURIOUS), Forge::start());
    let sha = repository.commit("word.txt", "tinder");
    let server = Server::start(&repository, &forge);
    server.deliver("push", &repository.push(&sha), "d-1");
    assert_eq!(server.ended(1)["conclusion"], "success");
    let log = server.log(1, "build");
    assert!(log.contains("backwards [] [] []"), "{log}");
    assert!(log.contains("No GITHUB_TOKEN: the server speaks to GitHub without an App"), "{log}");
}

#[test]
fn code_of_a_fork_gets_a_token_that_reads_and_no_secret() {
    let (repository, forge) = (Repository::new(CURIOUS), Forge::start());
    let serve = json!({"approval": "never", "untrusted-isolation": "namespaces"});
    let server = Server::as_app(&repository, &forge, serve);
    with_key(&server);
    server.deliver("pull_request", &repository.pull_of_a_fork(), "d-1");
    let run = server.ended(1);
    assert_eq!(run["conclusion"], "success", "{run}");
    let may = json!({"contents": "read", "metadata": "read", "pull_requests": "read"});
    assert_eq!(asked_token(&forge)["permissions"], may);
    let log = server.log(1, "build");
    assert!(log.contains("nekot_shg] ["), "it has a token: {log}");
    assert!(log.contains("] []\n") && !log.contains("emases-nepo"), "it has no secret: {log}");
}

const DEPLOY: &str = "\
name: CI
on: push
jobs:
  deploy:
    runs-on: ubuntu-latest
    environment: production
    steps:
      - env: {KEY: '${{ secrets.KEY }}', REGION: '${{ vars.REGION }}'}
        run: echo \"to $REGION with [$(printf %s \"$KEY\" | rev)]\"
";

#[test]
fn a_job_waits_for_its_environment_across_a_kill_and_deploys_with_its_secrets_once_approved() {
    let (repository, forge) = (Repository::new(DEPLOY), Forge::start());
    let sha = repository.commit("word.txt", "tinder");
    let mut server = Server::start(&repository, &forge);
    // The server hears of the repository with its first webhook.
    server.deliver("push", &repository.push(&sha), "d-1");
    assert_eq!(server.ended(1)["conclusion"], "success", "nobody has configured the environment");
    for (what, body) in [
        ("repositories/octo/hello/environments/production", json!({"approval": true, "branches": ["main"]})),
        ("secrets/KEY?scope=octo/hello@production", json!({"value": "open-sesame"})),
        ("variables/REGION?scope=octo/hello@Production", json!({"value": "eu"})),
    ] {
        let told = server.tell(&format!("PUT /api/v1/{what}"), &body);
        assert_eq!(told.0, 204, "{what}: {}", told.1);
    }
    server.deliver("push", &repository.push(&sha), "d-2");
    server.job_is(2, "deploy", "waiting");
    server.kill();
    server.start_again();
    let queue = server.get("/api/v1/queue").1;
    let reason = queue["waiting"][0]["reason"].as_str();
    assert_eq!(reason, Some("waits for approval to use the environment `production`"), "{queue}");
    assert!(
        server.page("/runs/2").contains("into <strong>production</strong>"),
        "the page offers to let it in"
    );
    let job = server.get("/api/v1/runs/2/jobs").1["jobs"][0]["id"].clone();
    let approve = format!("POST /api/v1/jobs/{job}/approve");
    assert_eq!(server.tell(&approve, &json!({"comment": "go"})).0, 204);
    assert_eq!(server.ended(2)["conclusion"], "success");
    let log = server.log(2, "deploy");
    assert!(log.contains("to eu with [emases-nepo]"), "{log}");
    assert!(log.contains("admin has let this job into the environment production: go"), "{log}");
    assert_eq!(server.tell(&approve, &json!({})).0, 409, "it waits no more");
}
