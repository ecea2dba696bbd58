// Makes one call of a real client and prints its result as JSON on the last line.
// Run as it is, without the build, by the tests of the results service.
//
//   node call.js METHOD ARGUMENTS-AS-JSON
import { DefaultArtifactClient } from "@actions/artifact";
import * as cache from "@actions/cache";
import * as core from "@actions/core";

const artifact = new DefaultArtifactClient();
const methods = {
  saveCache: ({ paths, key, options }) => cache.saveCache(paths, key, options),
  restoreCache: ({ paths, key, restoreKeys, options }) => cache.restoreCache(paths, key, restoreKeys, options),
  uploadArtifact: ({ name, files, root, options }) => artifact.uploadArtifact(name, files, root, options),
  listArtifacts: ({ options }) => artifact.listArtifacts(options),
  getArtifact: ({ name }) => artifact.getArtifact(name),
  downloadArtifact: ({ id, options }) => artifact.downloadArtifact(id, options),
  getIDToken: ({ audience }) => core.getIDToken(audience),
  deleteArtifact: ({ name }) => artifact.deleteArtifact(name),
};

const [method, args] = process.argv.slice(2);
let result;
try {
  result = { ok: (await methods[method](JSON.parse(args))) ?? null };
} catch (error) {
  result = { error: `${error.name}: ${error.message}` };
}
console.log(`\n${JSON.stringify(result)}`);
process.exit(0);
