//! What jobs are trusted with.

use hearth_e2e::served::{Forge, Repository, Server};
use serde_json::{Value as Json, json};

/// Shows what it has backwards, where nothing masks it.
const CURIOUS: &str = "\
name: CI
on: [push, pull_request]
permissions: {contents: read, issues: write, pull-requests: write, id-token: write}
jobs:
  build:
    runs-on: ubuntu-latest
    steps:
      - env:
          TOKEN: '${{ secrets.GITHUB_TOKEN }}'
          SAME: '${{ github.token }}'
          KEY: '${{ secrets.DEPLOY_KEY }}'
        run: |
          echo \"identity [$ACTIONS_ID_TOKEN_REQUEST_URL]\"
          echo \"token $TOKEN\"
          echo \"backwards [$(printf %s \"$TOKEN\" | rev)] [$(printf %s \"$SAME\" | rev)] [$(printf %s \"$KEY\" | rev)]\"
";

/// What the token of a job was asked to be.
fn asked_token(forge: &Forge) -> Json {
    // That of git's reader asks for contents alone.
    let minting = |(what, body): &(String, Json)| {
        what == "POST /app/installations/9/access_tokens"
            && body["repository_ids"] == json!([1])
            && body["permissions"]["metadata"] == "read"
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
fn a_private_repository_is_read_as_the_app_that_is_installed_on_it() {
    let flow = "on: push\njobs:\n  build:\n    runs-on: ubuntu-latest\n    steps:\n    - uses: actions/checkout@v4\n    - run: cat word.txt\n";
    let (repository, forge) = (Repository::private(flow), Forge::start());
    let sha = repository.commit("word.txt", "tinder");
    let server = Server::as_app(&repository, &forge, json!({}));
    server.deliver("push", &repository.push(&sha), "d-1");
    assert_eq!(server.ended(1)["conclusion"], "success");
    assert!(server.log(1, "build").contains("tinder"));
    let (_, reader) = forge.heard(|(_, body)| body["permissions"] == json!({"contents": "read"}));
    assert_eq!(reader["repositories"], json!(["hello"]));
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
    let sha = repository.commit("word.txt", "tinder");
    let serve = json!({"approval": "never", "untrusted-isolation": "namespaces"});
    let server = Server::as_app(&repository, &forge, serve);
    with_key(&server);
    server.deliver("pull_request", &repository.pull(&sha), "d-1");
    let run = server.ended(1);
    assert_eq!(run["conclusion"], "success", "{run}");
    let may = json!({"contents": "read", "metadata": "read", "pull_requests": "read"});
    assert_eq!(asked_token(&forge)["permissions"], may);
    let log = server.log(1, "build");
    assert!(log.contains("nekot_shg] ["), "it has a token: {log}");
    assert!(log.contains("identity []"), "it can't say who it is: {log}");
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
    let run = server.get("/api/v1/runs/2").1;
    assert_eq!(
        (&run["state"], &run["reason"]),
        (&json!("waiting"), &json!("deploy waits to be let into production"))
    );
    assert!(server.page("/?state=waiting").contains("deploy waits to be let into production"));
    let queue = server.get("/api/v1/queue").1;
    let reason = queue["waiting"][0]["reason"].as_str();
    assert_eq!(reason, Some("waits for approval to use the environment `production`"), "{queue}");
    let page = server.page("/runs/2");
    assert!(page.contains("waits for approval to use the environment"), "{page}");
    let job = server.get("/api/v1/runs/2/jobs").1["jobs"][0]["id"].clone();
    let approve = format!("POST /api/v1/jobs/{job}/approve");
    assert_eq!(server.tell(&approve, &json!({"comment": "go"})).0, 204);
    assert_eq!(server.ended(2)["conclusion"], "success");
    let log = server.log(2, "deploy");
    assert!(log.contains("to eu with [emases-nepo]"), "{log}");
    assert!(log.contains("admin has let this job into the environment production: go"), "{log}");
    assert_eq!(server.tell(&approve, &json!({})).0, 409, "it waits no more");
}

const IDENTITY: &str = "\
name: CI
on: push
permissions: {id-token: write}
jobs:
  trade:
    runs-on: ubuntu-latest
    steps:
      - run: |
          ask() { curl -sS -H \"Authorization: bearer $ACTIONS_ID_TOKEN_REQUEST_TOKEN\" \"$ACTIONS_ID_TOKEN_REQUEST_URL$1\"; }
          ask '&audience=sts.example.com' | sed 's/.*\"value\":\"\\([^\"]*\\)\".*/signed \\1 end/'
  silent:
    permissions: {}
    runs-on: ubuntu-latest
    steps:
      - run: echo \"identity [$ACTIONS_ID_TOKEN_REQUEST_URL]\"
";

/// Checks a token with the keys that the server shows, as anybody can, and gives its claims.
const CHECK: &str = "\
const [token, jwks] = process.argv.slice(1); const [head, body, signature] = token.split('.'); \
const { kid } = JSON.parse(Buffer.from(head, 'base64url')); \
const jwk = JSON.parse(jwks).keys.find((key) => key.kid === kid); \
const key = { key: require('node:crypto').createPublicKey({ key: jwk, format: 'jwk' }), dsaEncoding: 'ieee-p1363' }; \
const good = require('node:crypto').verify('sha256', `${head}.${body}`, key, Buffer.from(signature, 'base64url')); \
console.log(good ? Buffer.from(body, 'base64url').toString() : 'null');";

#[test]
fn a_job_says_who_it_is_in_a_token_that_others_can_check() {
    let (repository, forge) = (Repository::new(IDENTITY), Forge::start());
    let sha = repository.commit("word.txt", "tinder");
    let server = Server::start(&repository, &forge);
    server.deliver("push", &repository.push(&sha), "d-1");
    assert_eq!(server.ended(1)["conclusion"], "success");
    let log = server.log(1, "trade");
    // The script itself is in the log before what it says.
    let token = log.rsplit("signed ").next().and_then(|rest| rest.split(" end").next()).expect("a token");
    let open = |path: &str| -> Json { serde_json::from_slice(&server.without_token(path).1).expect("JSON") };
    let issuer = open("/.well-known/openid-configuration");
    assert_eq!(issuer["issuer"], server.url());
    let keys =
        issuer["jwks_uri"].as_str().and_then(|keys| keys.strip_prefix(&server.url())).expect("its own");
    let checked =
        std::process::Command::new("node").args(["-e", CHECK, token, &open(keys).to_string()]).output();
    let claims: Json = serde_json::from_slice(&checked.expect("node").stdout).expect("claims");
    for (name, value) in [
        ("iss", server.url().as_str()),
        ("aud", "sts.example.com"),
        ("sub", "repo:octo/hello:ref:refs/heads/main"),
        ("sha", &sha),
        ("job_workflow_ref", "octo/hello/.github/workflows/ci.yml@refs/heads/main"),
        ("event_name", "push"),
        ("runner_environment", "self-hosted"),
    ] {
        assert_eq!(claims[name], value, "{name}");
    }
    assert!(server.log(1, "silent").contains("identity []"), "it has not asked for it");
}
