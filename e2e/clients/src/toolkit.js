// What authors of actions use of @actions/core, in one action.
import * as core from "@actions/core";

const who = core.getInput("who", { required: true });
const lines = core.getMultilineInput("lines");

core.setSecret("toolkit-secret-value");
core.info(`hello ${who}, toolkit-secret-value`);
core.info(`${lines.length} lines, debug ${core.isDebug()}`);
core.setOutput("greeting", `hello ${who}`);
core.setOutput("object", { umlaut: "ä", lines });
core.exportVariable("TOOLKIT_VARIABLE", "one\ntwo");
core.addPath(`${process.env.RUNNER_TEMP}/toolkit-bin`);
core.saveState("phase", "main was here");
core.startGroup("a group");
core.info("inside of the group");
core.endGroup();
core.warning("careful: 100%, a:b, c,d", { title: "A title", file: "src/main.js", startLine: 3, endLine: 4 });
await core.summary.addHeading("Toolkit").addTable([[{ data: "who", header: true }], [who]]).write();
if (core.getBooleanInput("fail")) {
  core.setFailed("told to fail");
}
