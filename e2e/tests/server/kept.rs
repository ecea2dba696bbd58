//! What jobs leave: artifacts and caches, after a kill and in a backup.

use std::fs;

use hearth_e2e::served::{Forge, Repository, Server};
use serde_json::json;

const FLOW: &str = "\
on: push
jobs:
  leave:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: ./
";

const ACTION: &str = "name: Leave\nruns: {using: node20, main: leave.js}\n";

/// What the clients of artifacts and caches do, in a few lines.
const LEAVE: &str = r#"
const url = process.env.ACTIONS_RESULTS_URL, token = process.env.ACTIONS_RUNTIME_TOKEN;
const claims = JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
const [, run, job] = claims.scp.split(' ').find(one => one.startsWith('Actions.Results:')).split(':');
const call = async (method, body) => {
  const address = new URL('twirp/github.actions.results.api.v1.' + method, url);
  const headers = {authorization: 'Bearer ' + token, 'content-type': 'application/json'};
  const answer = await (await fetch(address, {method: 'POST', headers, body: JSON.stringify(body)})).json();
  if (!answer.ok) throw new Error(method + ': ' + JSON.stringify(answer));
  return answer;
};
const put = (address, body) => fetch(address, {method: 'PUT', body});
(async () => {
  const ids = {workflow_run_backend_id: run, workflow_job_run_backend_id: job};
  for (const name of ['grüße.txt', 'lost.txt']) {
    const artifact = {...ids, name, version: 7, mime_type: 'text/plain'};
    await put((await call('ArtifactService/CreateArtifact', artifact)).signed_upload_url, 'hello ' + name);
    await call('ArtifactService/FinalizeArtifact', {...artifact, size: String(Buffer.byteLength('hello ' + name))});
  }
  const cache = {key: 'schlüssel-1', version: 'v'};
  await put((await call('CacheService/CreateCacheEntry', cache)).signed_upload_url, 'kept');
  await call('CacheService/FinalizeCacheEntryUpload', {...cache, size_bytes: '4'});
})().catch(error => { console.log(String(error)); process.exitCode = 1; });
"#;

#[test]
fn what_jobs_leave_is_listed_fetched_and_removed_and_agrees_with_its_files_after_a_kill() {
    let (repository, forge) = (Repository::new(FLOW), Forge::start());
    repository.commit("action.yml", ACTION);
    let sha = repository.commit("leave.js", LEAVE);
    let mut server = Server::start(&repository, &forge);
    server.deliver("push", &repository.push(&sha), "d-1");
    assert_eq!(server.ended(1)["conclusion"], "success", "{}", server.log(1, "leave"));

    let listed = server.hearth(&["artifacts", "ls", "-R", "octo/hello", "--format", "json"], "").json();
    let names: Vec<_> = listed["artifacts"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["lost.txt", "grüße.txt"], "{listed}");
    let fetched = server.hearth(&["artifacts", "get", "1", "grüße.txt", "-o", "-"], "");
    assert_eq!(fetched.out, "hello grüße.txt", "{fetched:?}");
    let caches = server.hearth(&["caches", "ls", "-R", "octo/hello", "--key", "schlüssel-"], "").out;
    assert!(caches.contains("schlüssel-1") && caches.contains("refs/heads/main"), "{caches}");

    let backup = server.data().with_file_name("backup");
    let written = server.hearth(&["backup", backup.to_str().unwrap()], "");
    assert_eq!(written.code, Some(0), "{written:?}");

    server.kill();
    // As if it had been killed between a file and its row, in both directions.
    let records = server.data().join("runs/1/artifacts/.hearth");
    let blob = |number: u64| records.join(format!("1-{number}.blob"));
    fs::remove_file(blob(2)).unwrap();
    for end in ["blob", "json"] {
        let text = fs::read_to_string(blob(1).with_extension(end)).unwrap();
        let text = text.replace("\"id\":1,", "\"id\":7,").replace("grüße.txt", "später.txt");
        fs::write(blob(7).with_extension(end), text).unwrap();
    }
    server.start_again();
    let listed = server.get("/api/v1/runs/1/artifacts").1;
    let kept: Vec<_> = listed["artifacts"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(kept, ["grüße.txt", "später.txt"], "{listed}");

    assert_eq!(server.hearth(&["artifacts", "rm", "1", "7"], "").code, Some(0));
    assert!(!blob(7).exists() && blob(1).exists());
    let unknown = server.hearth(&["artifacts", "rm", "1", "7"], "");
    assert!(unknown.err.contains("its artifacts: grüße.txt"), "{unknown:?}");
    let gone = server.hearth(&["caches", "rm", "-R", "octo/hello", "--key", "schlüssel-1"], "");
    assert!(gone.out.contains("schlüssel-1"), "{gone:?}");
    assert_eq!(server.get("/api/v1/caches").1, json!({"caches": [], "next": null}));

    // The backup is of before, and has no caches.
    let elsewhere = backup.with_file_name("elsewhere");
    let restored =
        server.hearth(&["restore", backup.to_str().unwrap(), "--data", elsewhere.to_str().unwrap()], "");
    assert_eq!(restored.code, Some(0), "{restored:?}");
    assert!(elsewhere.join("runs/1/artifacts/.hearth/1-2.blob").is_file());
}
