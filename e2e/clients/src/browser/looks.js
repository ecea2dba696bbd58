// On a phone, in light and dark, and for people who do not see or hear what others do.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { hold, same } from "./stage.js";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const GRAVE = ["serious", "critical"];

export default async function (stage) {
  const page = await stage.person("admin", { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true });
  await page.goto("/runs/1");
  const job = await page.getByRole("link", { name: "talk" }).getAttribute("href");
  const all = ["/", "/runs/1", job, "/repositories", "/repositories/octo/hello", "/queue", "/machines", "/deliveries", "/deliveries/1", "/settings"];
  for (const path of all) {
    await page.goto(path);
    if (path === job) await page.locator("#log .viewer .l[data-n]").first().waitFor();
    const [wide, room] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    hold(wide <= room, `${path} is ${wide} px wide on a screen of ${room}`);
  }
  for (const colorScheme of ["light", "dark"]) {
    const page = await stage.person("admin", { colorScheme });
    await page.goto("/");
    const ground = () => page.evaluate(() => Number(/\d+/.exec(getComputedStyle(document.body).backgroundColor)[0]));
    same((await ground()) < 128, colorScheme === "dark", `a dark ground in ${colorScheme}`);
    await axe(stage, page, "/", colorScheme);
    await page.keyboard.press("t");
    same((await ground()) < 128, colorScheme === "light", "a dark ground after the key");
    for (const path of ["/runs/1", job, "/queue", "/machines", "/deliveries/1", "/settings"]) {
      await page.goto(path);
      same((await ground()) < 128, colorScheme === "light", `a dark ground that is remembered on ${path}`);
      if (path === job) await page.locator("#log .viewer .l[data-n]").first().waitFor();
      await axe(stage, page, path, colorScheme === "light" ? "dark" : "light");
    }
  }
}

// What axe finds grave.
async function axe(stage, page, path, scheme) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => globalThis.axe.run({ resultTypes: ["violations"] }));
  const grave = violations.filter((one) => GRAVE.includes(one.impact));
  const said = grave.flatMap((one) => one.nodes.map((node) => `${one.id} (${one.help}): ${node.html} ${node.failureSummary}`));
  for (const words of said) stage.faults.push(`${path} in ${scheme}: ${words}`);
}
