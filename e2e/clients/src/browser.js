// Drives a browser over the pages of a server: `node browser.js STORY`, with the premises as JSON on standard input.
//
// A story is a module in `browser/` whose default export is given a stage (see `browser/stage.js`). It fails by an
// exception, by an error on a page's console, which violations of the content security policy are too, and by taking
// too long; what the pages look like then is told with it.
import { text } from "node:stream/consumers";
import { Stage } from "./browser/stage.js";

const PATIENCE = 150_000; // ms; below what the test runner gives, so that the story tells itself what it waits for

const name = process.argv[2];
const { default: story } = await import(`./browser/${name}.js`);
const stage = await Stage.open(JSON.parse(await text(process.stdin)));
let late;
const deadline = new Promise((_, fail) => {
  late = setTimeout(() => fail(new Error(`not done after ${PATIENCE} ms`)), PATIENCE);
});
try {
  await Promise.race([story(stage), deadline]);
  stage.check();
} catch (error) {
  console.error(`${name}: ${error.stack}`);
  await stage.tell(name);
  process.exitCode = 1;
}
clearTimeout(late);
await stage.close();
process.exit();
