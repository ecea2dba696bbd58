// Speaks to the cache service of GitHub Actions with nothing but Node, so that the example runs without network.
const { execFileSync } = require("node:child_process");
const { createHash } = require("node:crypto");
const fs = require("node:fs");
const path = require("node:path");

const { INPUT_MODE: mode, INPUT_KEY: key, INPUT_PATH: folder } = process.env;
const archive = path.join(process.env.RUNNER_TEMP, "keep.tar.gz");
const version = createHash("sha256").update(folder).digest("hex");

async function call(method, body) {
  const service = "twirp/github.actions.results.api.v1.CacheService";
  const response = await fetch(new URL(`${service}/${method}`, process.env.ACTIONS_RESULTS_URL), {
    method: "POST",
    headers: {
      "Content-Type": "application/json",
      Authorization: `Bearer ${process.env.ACTIONS_RUNTIME_TOKEN}`,
    },
    body: JSON.stringify({ key, version, ...body }),
  });
  if (!response.ok) throw new Error(`${method}: ${response.status} ${await response.text()}`);
  return response.json();
}

async function restore() {
  const entry = await call("GetCacheEntryDownloadURL", { restore_keys: [] });
  if (entry.ok) {
    const response = await fetch(entry.signed_download_url);
    if (!response.ok) throw new Error(`downloading ${key}: ${response.status}`);
    fs.writeFileSync(archive, Buffer.from(await response.arrayBuffer()));
    execFileSync("tar", ["-xzf", archive]);
  }
  console.log(entry.ok ? `restored ${key}` : `nothing is kept as ${key}`);
  fs.appendFileSync(process.env.GITHUB_OUTPUT, `hit=${entry.ok}\n`);
}

async function save() {
  execFileSync("tar", ["-czf", archive, folder]);
  const data = fs.readFileSync(archive);
  const entry = await call("CreateCacheEntry", {});
  if (!entry.ok) return console.log(`${key} is kept already`);
  const response = await fetch(entry.signed_upload_url, {
    method: "PUT",
    headers: { "x-ms-blob-type": "BlockBlob" },
    body: data,
  });
  if (!response.ok) throw new Error(`uploading ${key}: ${response.status}`);
  await call("FinalizeCacheEntryUpload", { size_bytes: String(data.length) });
  console.log(`kept ${data.length} bytes as ${key}`);
}

(mode === "save" ? save() : restore()).catch((error) => {
  console.log(`::error::${error.message}`);
  process.exitCode = 1;
});
