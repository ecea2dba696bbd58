// How a log of a million lines feels: what each thing that people do takes, and the longest that the page did not answer.
// `cargo xtask bench pages` plays it over made-up records.

const WHEELS = 60;

export default async function (stage) {
  const page = await stage.person("admin");
  await page.addInitScript(() => {
    globalThis.longest = 0;
    const tasks = (list) => {
      for (const task of list.getEntries()) globalThis.longest = Math.max(globalThis.longest, task.duration);
    };
    new PerformanceObserver(tasks).observe({ type: "longtask", buffered: true });
  });
  await page.goto("/");
  await page.locator(".run a.title", { hasText: "A log of a million lines" }).click();
  const job = await page.locator("#times .waterfall > li > .row a.name").getAttribute("href");
  const row = (text) => page.locator("#log .l .t", { hasText: text }).first().waitFor();
  const measured = async (name, action) => {
    await page.evaluate(() => { globalThis.longest = 0; });
    const begun = performance.now();
    await action();
    const took = performance.now() - begun;
    // Tasks are told of after they have ended: two frames later they are.
    const longest = await page.evaluate(
      () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => done(globalThis.longest))))),
    );
    console.log(JSON.stringify({ name, took_ms: Math.round(took), longest_task_ms: Math.round(longest) }));
  };
  const scroll = (to) => page.locator("#log .viewer").evaluate((viewer, to) => viewer.scrollTo(0, to * viewer.scrollHeight), to);
  await measured("open, to the first lines", async () => {
    await page.goto(job);
    await row("Round 0");
  });
  await measured("to the end", async () => {
    await scroll(1);
    await row("Round 199");
  });
  await measured("unfold all that there is, and to the end", async () => {
    await page.locator("#log .l .t", { hasText: /^Round 199$/ }).click();
    await scroll(1);
    await row("#999998");
  });
  await measured("a link to line 777,777", async () => {
    await page.goto("about:blank");
    await page.goto(`${job}#L777777`);
    await row("#7777");
  });
  await measured(`${WHEELS} turns of the wheel`, async () => {
    await page.locator("#log .viewer").hover();
    for (let turn = 0; turn < WHEELS; turn += 1) await page.mouse.wheel(0, 400);
    await row("#77");
  });
  await measured("a search that finds 20,000 lines", async () => {
    const search = page.getByRole("searchbox");
    await search.fill("exec/s: 4");
    await search.press("Enter");
    await page.locator("#found", { hasText: /of 20.?000 lines/ }).waitFor();
  });
  await measured("a search that finds one line", async () => {
    const search = page.getByRole("searchbox");
    await search.fill("#999777");
    await search.press("Enter");
    await page.locator("#found", { hasText: "1 of 1 lines" }).waitFor();
    await row("#999777");
  });
}
