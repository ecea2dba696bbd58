// Speaks to the artifact service of GitHub Actions with nothing but Node, so that the example runs without network.
const { execFileSync } = require("node:child_process");
const { createHash } = require("node:crypto");
const fs = require("node:fs");
const path = require("node:path");

const { INPUT_NAME: name, INPUT_PATH: folder, ACTIONS_RUNTIME_TOKEN: token } = process.env;
const claims = JSON.parse(Buffer.from(token.split(".")[1], "base64url").toString());
const scope = claims.scp.split(" ").find((scope) => scope.startsWith("Actions.Results:"));
const [, workflow_run_backend_id, workflow_job_run_backend_id] = scope.split(":");

async function call(method, body) {
  const service = "twirp/github.actions.results.api.v1.ArtifactService";
  const response = await fetch(new URL(`${service}/${method}`, process.env.ACTIONS_RESULTS_URL), {
    method: "POST",
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${token}` },
    body: JSON.stringify({ workflow_run_backend_id, workflow_job_run_backend_id, name, ...body }),
  });
  if (!response.ok) throw new Error(`${method}: ${response.status} ${await response.text()}`);
  return response.json();
}

async function put(url, body, headers) {
  const response = await fetch(url, { method: "PUT", headers, body });
  if (!response.ok) throw new Error(`uploading ${name}: ${response.status}`);
}

async function upload() {
  const archive = path.join(process.env.RUNNER_TEMP, `${name}.zip`);
  // Python's zip is everywhere that Node is; it keeps the example free of packages.
  execFileSync("python3", ["-m", "zipfile", "-c", archive, ...fs.readdirSync(folder)
    .map((file) => path.join(folder, file))]);
  const data = fs.readFileSync(archive);
  const { signed_upload_url: url } = await call("CreateArtifact", { version: 7, mime_type: "application/zip" });
  const block = Buffer.from("block-000001").toString("base64");
  await put(`${url}&comp=block&blockid=${encodeURIComponent(block)}`, data, {});
  await put(`${url}&comp=blocklist`, `<BlockList><Latest>${block}</Latest></BlockList>`, {
    "Content-Type": "application/xml",
  });
  const hash = `sha256:${createHash("sha256").update(data).digest("hex")}`;
  const { artifact_id: id } = await call("FinalizeArtifact", { size: String(data.length), hash });
  console.log(`uploaded ${name} (${data.length} bytes) as artifact ${id}`);
}

upload().catch((error) => {
  console.log(`::error::${error.message}`);
  process.exitCode = 1;
});
