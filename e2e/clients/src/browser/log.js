// Finding one's way in a long log.
import { group, hold, line, same } from "./stage.js";

export default async function (stage) {
  const page = await stage.person("read");
  await page.goto("/runs/1");
  await page.getByRole("link", { name: "talk" }).click();

  // Groups: folded once the job has ended.
  const words = group(page, "Words");
  await words.waitFor();
  same(await words.getAttribute("aria-expanded"), "false", "the group");
  same(await page.locator("#log .l", { hasText: "within the group 2" }).count(), 0, "lines of a folded group");
  await words.click();
  const within = (await (await line(page, "within the group 2")).locator("a.n").textContent()).trim();
  same(await words.getAttribute("aria-expanded"), "true", "the group that was opened");
  await words.click();
  await page.locator("#log .l", { hasText: "within the group 2" }).waitFor({ state: "detached" });

  // Search over all of it, and from one match to the next.
  const search = page.getByRole("searchbox");
  await search.fill("NEEDLE");
  await search.press("Enter");
  const found = page.locator("#found");
  await found.filter({ hasText: "1 of 2 lines" }).waitFor();
  await page.locator("#log .l.match", { hasText: "needle one" }).waitFor();
  await search.press("Enter");
  await found.filter({ hasText: "2 of 2 lines" }).waitFor();
  const match = page.locator("#log .l.match", { hasText: "needle two" });
  await match.waitFor();
  same(await match.locator("mark").textContent(), "needle", "what is marked");
  await search.press("Shift+Enter");
  await found.filter({ hasText: "1 of 2 lines" }).waitFor();

  // A line's number is its address, for others too.
  const number = (await page.locator("#log .l.match a.n").textContent()).trim();
  await page.locator("#log .l.match a.n").click();
  await page.waitForURL(`**#L${number}`);
  await page.locator("#log .l.target").waitFor();
  const other = await stage.person("read");
  await other.goto(page.url());
  const target = other.locator("#log .l.target", { hasText: "needle one" });
  await target.waitFor();
  const [shown, viewer] = [await target.boundingBox(), await other.locator("#log .viewer").boundingBox()];
  hold(shown.y >= viewer.y && shown.y + shown.height <= viewer.y + viewer.height, "the line is in sight");

  // A line in a group that is folded.
  const inside = await stage.person("read");
  await inside.goto(`${page.url().split("#")[0]}#L${within}`);
  await inside.locator("#log .l.target", { hasText: "within the group 2" }).waitFor();

  // As text.
  const raw = await page.request.get(await page.getByRole("link", { name: "Raw" }).getAttribute("href"));
  same((await raw.text()).match(/needle (one|two)/g), ["needle one", "needle two"], "the raw log");
}
