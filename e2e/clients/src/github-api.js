// The part of GitHub's description of its API that Hearth calls, for a server that holds calls to it. The whole has a
// thousand operations, and takes a minute to load; what is not used goes, for it fills a disk.

import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";

const FOLDER = "node_modules/@octokit/openapi/generated";
const WHOLE = "api.github.com.json";
const REPOSITORY = "/repos/{owner}/{repo}";
const CALLED = [
  "/app",
  "/app/hook/deliveries",
  "/app/hook/deliveries/{delivery_id}/attempts",
  "/app/installations/{installation_id}/access_tokens",
  "/installation/token",
  "/orgs/{org}/hooks",
  "/orgs/{org}/hooks/{hook_id}/deliveries",
  "/orgs/{org}/hooks/{hook_id}/deliveries/{delivery_id}/attempts",
  "/user",
  REPOSITORY,
  `${REPOSITORY}/check-runs`,
  `${REPOSITORY}/check-runs/{check_run_id}`,
  `${REPOSITORY}/collaborators/{username}/permission`,
  `${REPOSITORY}/commits/{ref}/check-runs`,
  `${REPOSITORY}/hooks`,
  `${REPOSITORY}/hooks/{hook_id}/deliveries`,
  `${REPOSITORY}/hooks/{hook_id}/deliveries/{delivery_id}/attempts`,
  `${REPOSITORY}/installation`,
  `${REPOSITORY}/issues/comments/{comment_id}`,
  `${REPOSITORY}/issues/{issue_number}/comments`,
  `${REPOSITORY}/pulls/{pull_number}`,
  `${REPOSITORY}/statuses/{sha}`,
];

const whole = JSON.parse(readFileSync(`${FOLDER}/${WHOLE}`, "utf8"));
const part = { openapi: whole.openapi, info: whole.info, paths: {}, components: {} };

/** Takes over whatever is referred to below, and what that refers to. */
function follow(node) {
  if (node === null || typeof node !== "object") return;
  if (typeof node.$ref === "string") {
    const [, , kind, name] = node.$ref.split("/");
    part.components[kind] ??= {};
    if (!(name in part.components[kind])) {
      part.components[kind][name] = whole.components[kind][name];
      follow(whole.components[kind][name]);
    }
  }
  Object.values(node).forEach(follow);
}

for (const path of CALLED) {
  if (!(path in whole.paths)) throw new Error(`GitHub's description has no ${path} any more`);
  part.paths[path] = whole.paths[path];
  follow(whole.paths[path]);
}
// Some of GitHub's examples of answers do not fit their schemas. It is the calls that are held to theirs.
const operations = Object.values(part.paths).flatMap((path) => Object.values(path));
const answers = operations.flatMap((operation) => Object.values(operation.responses ?? {}));
for (const answer of [...answers, ...Object.values(part.components.responses)]) {
  for (const content of Object.values(answer.content ?? {})) delete content.schema;
}
mkdirSync("node_modules/.built", { recursive: true });
writeFileSync("node_modules/.built/github-api.json", JSON.stringify(part));
for (const file of readdirSync(FOLDER)) {
  if (file.endsWith(".json") && file !== WHOLE) rmSync(`${FOLDER}/${file}`);
}
