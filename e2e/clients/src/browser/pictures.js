// Pictures of the main pages for the guide, of made-up records; `cargo xtask picture pages` takes them.
import { join } from "node:path";
import { hold, line } from "./stage.js";

const SIZE = { width: 1180, height: 760 };
const PHONE = { width: 390, height: 780 };

export default async function (stage) {
  const take = async (name, path, { phone, dark, ready } = {}) => {
    const options = { colorScheme: dark ? "dark" : "light", viewport: phone ? PHONE : SIZE, isMobile: Boolean(phone), reducedMotion: "reduce" };
    const page = await stage.person("admin", options);
    await page.goto(path);
    await page.locator("main > *").first().waitFor();
    await ready?.(page);
    await page.screenshot({ path: join(stage.pictures, `${name}.png`) });
    await page.context().close();
  };
  const one = await stage.person("admin");
  const address = async (title, state, job) => {
    await one.goto("/");
    await one.locator(`.run[data-state="${state}"] a.title`, { hasText: title }).click();
    await one.waitForURL("**/runs/*");
    const run = new URL(one.url()).pathname;
    return [run, job && (await one.locator("#times .waterfall > li > .row a.name", { hasText: job }).getAttribute("href"))];
  };
  const [failed, broken] = await address("Let two halves of a door meet", "failure", "test (macos)");
  const [, live] = await address("Watch a live run", "running", "build");
  hold(broken && live, "the jobs are there");
  const lines = (page) => page.locator("#log .viewer .l[data-n]").nth(8).waitFor();
  const heading = (name) => async (page) => {
    await page.getByRole("heading", { name }).first().evaluate((one) => one.scrollIntoView());
  };

  await take("runs", "/");
  await take("run", failed);
  await take("run-times", failed, { dark: true, ready: heading("Times") });
  await take("run-notes", failed, { ready: heading("Annotations") });
  await take("job", live, { dark: true, ready: lines });
  await take("job-failed", broken, { ready: (page) => line(page, "exit code 101") });
  await take("queue", "/queue");
  await take("machines", "/machines", { dark: true });
  await take("settings", "/settings");
  await take("phone", failed, { phone: true });
}
