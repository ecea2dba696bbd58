// Reading, without JavaScript.
import { hold, same } from "./stage.js";

export default async function (stage) {
  const page = await stage.person("operate", { javaScriptEnabled: false });
  await page.goto("/");
  await page.locator('.run[data-run="1"]').getByRole("link", { name: "Change it" }).click();
  await page.getByRole("button", { name: "Rerun all" }).waitFor();
  await page.getByRole("link", { name: "talk" }).click();

  const inside = page.getByText("within the group 2", { exact: true });
  hold(!(await inside.isVisible()), "the group is folded");
  await page.locator("#log summary", { hasText: /Words$/ }).click();
  await inside.waitFor();

  await page.getByRole("link", { name: "Last", exact: true }).click();
  await page.locator("#log").getByText("word 2400").waitFor();
  await page.getByRole("link", { name: "Earlier" }).click();
  await page.locator("#log").getByText("needle two").waitFor();

  await page.getByRole("searchbox").fill("needle");
  await page.getByRole("button", { name: "Search" }).click();
  await page.locator("#results").getByText("2 lines").waitFor();
  await page.locator("#results a.n").first().click();
  await page.waitForURL(/#L\d+$/);
  same(await page.locator("#log .l:target").count(), 1, "the line that was found");

  for (const part of ["Repositories", "Queue", "Machines", "Deliveries", "Settings"]) {
    await page.getByRole("link", { name: part, exact: true }).first().click();
    await page.getByRole("heading", { name: part, level: 1 }).waitFor();
  }
}
