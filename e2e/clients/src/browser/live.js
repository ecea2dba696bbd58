// A run, from the push to its end, on pages that nobody loads again.
import { hold, isMarked, line, mark, same, stands } from "./stage.js";

export default async function (stage) {
  const all = await stage.person("read");
  await all.goto("/");
  await all.getByText("Nothing has run yet.").waitFor();
  await mark(all);
  await stage.pass("push");
  await all.locator('.run[data-run="1"][data-state="running"]').waitFor();

  const run = await stage.person("read");
  await run.goto("/runs/1");
  await run.locator('#graph [data-state="running"]').waitFor();
  await mark(run);
  hold((await run.title()).startsWith("● Change it"), `the tab says how the run stands: ${await run.title()}`);

  const job = await stage.person("read");
  await job.goto("/runs/1");
  await job.locator("#graph a", { hasText: "build" }).click();
  await line(job, "the first half of the door");
  await stands(job, "running");
  await mark(job);

  const late = await stage.person("read");
  await late.goto(job.url());
  await line(late, "the first half of the door");
  same(await late.locator("#log .l", { hasText: "the second half" }).count(), 0, "lines that are not there yet");

  await stage.pass("half");
  for (const page of [job, late]) await line(page, "the second half of the door");
  await late.locator("#follow").uncheck();
  await late.locator("#log .viewer").evaluate((viewer) => viewer.scrollTo(0, 0));
  await line(late, "Current runner version");
  const lines = await late.locator("#log .l[data-n] .t").allTextContents();
  const group = lines.findIndex((text) => text.startsWith("Run echo"));
  hold(group > 0 && lines[0].startsWith("Current runner version"), `who comes late sees the beginning: ${lines}`);
  same(lines.slice(group + 1), ["the first half of the door", "the second half of the door"], "the lines of who came late");

  await stage.pass("end");
  await stands(job, "success");
  await job.locator('#steps li[data-name="Compile"][data-state="success"]').waitFor();
  await stands(run, "failure");
  hold((await run.title()).startsWith("✗ Change it"), `the tab says that the run has failed: ${await run.title()}`);
  hold((await run.locator('link[rel="icon"]').getAttribute("href")).endsWith("-bad.svg"), "the tab's sign says so too");
  await run.locator("#failure").getByText("Process completed with exit code 3").first().waitFor();
  await run.locator("#notes").getByRole("heading", { name: "A door" }).waitFor();
  await all.locator('.run[data-run="1"][data-state="failure"]').waitFor();
  for (const page of [all, run, job]) hold(await isMarked(page), `${page.url()} was loaded again`);
}
