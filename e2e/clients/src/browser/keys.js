// Everything by the keyboard.
import { group, hold, line, same } from "./stage.js";

export default async function (stage) {
  const page = await stage.person();
  const press = (key) => page.keyboard.press(key);
  await page.goto("/");
  await page.keyboard.type(stage.tokens.read);
  await press("Enter");
  await page.waitForURL((url) => url.pathname === "/");

  // From the list to a run, its job, and back.
  await press("j");
  await page.locator(".run.chosen").waitFor();
  await press("Enter");
  await page.waitForURL("**/runs/1");
  await page.keyboard.press("j");
  await press("Enter");
  await page.waitForURL("**/runs/1/jobs/*");

  // In the log.
  await page.locator("#log .viewer").waitFor();
  await press("/");
  await page.keyboard.type("needle");
  await press("Enter");
  await page.locator("#found").filter({ hasText: "1 of 2 lines" }).waitFor();
  await press("Enter");
  await page.locator("#found").filter({ hasText: "2 of 2 lines" }).waitFor();
  await press("Escape");
  const words = group(page, "Words");
  await page.locator("#log .viewer").evaluate((viewer) => viewer.scrollTo(0, 0));
  await words.waitFor();
  await focusByTab(page, words);
  await press("Enter");
  await line(page, "within the group 2");
  await press("Space");
  await page.locator("#log .l", { hasText: "within the group 2" }).waitFor({ state: "detached" });
  hold(await words.evaluate((one) => one === document.activeElement), "the group keeps the focus");

  // What the pointer has ticked keeps no key from the page.
  await page.getByLabel("times").click();
  await press("u");
  await page.waitForURL(/\/runs\/1(\?|$)/);
  await press("u");
  await page.waitForURL((url) => url.pathname === "/");

  // Parts of the site, and the list of keys.
  for (const [key, path] of [["q", "/queue"], ["m", "/machines"], ["s", "/settings"], ["r", "/"]]) {
    await press("g");
    await press(key);
    await page.waitForURL((url) => url.pathname === path);
  }
  await press("?");
  await page.getByRole("dialog", { name: "Keyboard" }).waitFor();
  await press("Escape");
  await page.getByRole("dialog").waitFor({ state: "hidden" });

  // The first stop of Tab leads past the navigation.
  await press("Tab");
  same(await page.evaluate(() => document.activeElement.textContent), "To the content", "the first stop");
}

// Goes on with Tab, as people do, until something has the focus, and sees that each stop shows that it has it.
async function focusByTab(page, wanted) {
  for (let stops = 0; stops < 60; stops += 1) {
    await page.keyboard.press("Tab");
    if (await wanted.evaluate((one) => one === document.activeElement)) return;
    const isShown = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle !== "none");
    hold(isShown, `the focus is not shown on ${await page.evaluate(() => document.activeElement.outerHTML)}`);
  }
  throw new Error("Tab does not lead there");
}
