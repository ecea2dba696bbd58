// Saves or restores with @actions/cache, as actions/cache does.
import * as cache from "@actions/cache";
import * as core from "@actions/core";

const paths = core.getMultilineInput("path");
const key = core.getInput("key", { required: true });
if (!cache.isFeatureAvailable()) {
  core.setFailed("the cache service is not available");
} else if (core.getInput("mode") === "save") {
  const id = await cache.saveCache(paths, key);
  core.info(`saved ${key}: ${id > 0}`);
} else {
  const hit = await cache.restoreCache(paths, key, core.getMultilineInput("restore-keys"));
  core.info(`restored: ${hit ?? "nothing"}`);
  core.setOutput("hit", hit ?? "");
}
