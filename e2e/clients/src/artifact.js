// Uploads, lists, downloads, or deletes with @actions/artifact, as actions/upload-artifact and its kin do.
import { DefaultArtifactClient } from "@actions/artifact";
import * as core from "@actions/core";

const client = new DefaultArtifactClient();
const name = core.getInput("name", { required: true });
const path = core.getInput("path");

switch (core.getInput("mode", { required: true })) {
  case "upload": {
    const { id, size, digest } = await client.uploadArtifact(name, core.getMultilineInput("files"), path);
    core.info(`uploaded ${name}: id ${id > 0}, size ${size > 0}, digest ${digest?.length}`);
    break;
  }
  case "list": {
    const { artifacts } = await client.listArtifacts();
    core.info(`listed: ${artifacts.map((artifact) => artifact.name).sort().join(" ")}`);
    break;
  }
  case "download": {
    const { artifact } = await client.getArtifact(name);
    const { downloadPath, digestMismatch } = await client.downloadArtifact(artifact.id, {
      path,
      expectedHash: artifact.digest,
    });
    core.info(`downloaded ${name}: path ${downloadPath?.length > 0}, mismatch ${digestMismatch ?? false}`);
    break;
  }
  case "delete": {
    const { id } = await client.deleteArtifact(name);
    core.info(`deleted ${name}: ${id > 0}`);
    break;
  }
}
