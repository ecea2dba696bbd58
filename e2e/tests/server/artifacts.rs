//! What jobs leave behind, from the job's upload to whoever follows the link on the run's page.

use hearth_e2e::served::http::{ask, message};
use hearth_e2e::served::{Forge, Repository, Server};

const FLOW: &str = "\
name: CI
on: push
jobs:
  build:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: ./
";

const ACTION: &str = "\
name: Leave
description: Leaves an artifact.
runs: {using: node20, main: leave.js}
";

/// Uploads as `actions/upload-artifact` does: three calls, named in the client's own protocol.
const LEAVE: &str = r#"
const token = process.env.ACTIONS_RUNTIME_TOKEN;
const claims = JSON.parse(Buffer.from(token.split(".")[1], "base64url").toString());
const [, run, job] = claims.scp.split(" ").find((s) => s.startsWith("Actions.Results:")).split(":");
const call = async (method, wish) => {
  const url = `${process.env.ACTIONS_RESULTS_URL}twirp/github.actions.results.api.v1.ArtifactService/${method}`;
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  const answer = await fetch(url, { method: "POST", headers, body: JSON.stringify(wish) });
  if (!answer.ok) throw new Error(`${method}: ${answer.status} ${await answer.text()}`);
  return answer.json();
};
const main = async () => {
  const of = { workflow_run_backend_id: run, workflow_job_run_backend_id: job, name: "a report" };
  const expires_at = new Date(Date.now() + 24 * 3600 * 1000).toISOString();
  const made = await call("CreateArtifact", { ...of, version: 4, expires_at });
  const headers = { "x-ms-blob-type": "BlockBlob", "content-type": "application/zip" };
  const put = await fetch(made.signed_upload_url, { method: "PUT", headers, body: Buffer.from("BYTES", "hex") });
  if (!put.ok) throw new Error(`upload: ${put.status} ${await put.text()}`);
  await call("FinalizeArtifact", { ...of, size: "22" });
};
main().catch((error) => { console.log(error); process.exitCode = 1; });
"#;

/// An archive with nothing in it: its end, which is 22 bytes.
const ARCHIVE: &str = "504b0506000000000000000000000000000000000000";

#[test]
fn the_link_to_an_artifact_on_a_runs_page_gives_a_signed_in_person_the_archive() {
    let (repository, forge) = (Repository::new(FLOW), Forge::start());
    repository.commit("action.yml", ACTION);
    let sha = repository.commit("leave.js", &LEAVE.replace("BYTES", ARCHIVE));
    let server = Server::start(&repository, &forge);
    server.deliver("push", &repository.push(&sha), "d-1");
    assert_eq!(server.ended(1)["conclusion"], "success", "{}", server.log(1, "build"));
    let form = format!("token={}", server.admin_token());
    let asks_as = [("content-type", "application/x-www-form-urlencoded")];
    let signed_in = message(server.address(), "POST /sign-in", &asks_as, &form).expect("an answer");
    let cookie = signed_in.header("set-cookie").split(';').next().unwrap_or_default().to_owned();
    let browser = [("cookie", cookie.as_str())];
    let (_, page) = ask(server.address(), "GET /runs/1", &browser, "").expect("a page");
    let page = String::from_utf8(page).expect("text");
    let link = page.split("href=\"").find(|link| link.contains("download>a report<")).expect(&page);
    assert!(link.contains("22 B"), "the size of what is downloaded: {link}");
    let kept = &server.get("/api/v1/runs/1/artifacts").1["artifacts"][0];
    let life = kept["expires_at"].as_u64().zip(kept["created_at"].as_u64()).map(|(end, made)| end - made);
    assert!(life.is_some_and(|life| life <= 24 * 3600 * 1000), "as long as the job wants: {kept}");
    let path = link.split('"').next().unwrap_or_default();
    let got = message(server.address(), &format!("GET {path}"), &browser, "").expect("an answer");
    assert!(got.first.contains(" 200 "), "{path}: {}", got.first);
    assert_eq!(got.header("content-disposition"), "attachment; filename*=UTF-8''a%20report.zip");
    assert_eq!(got.body.iter().map(|byte| format!("{byte:02x}")).collect::<String>(), ARCHIVE);
}
