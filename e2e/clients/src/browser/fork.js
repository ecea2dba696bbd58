// A pull request of somebody unknown.
import { same, stands } from "./stage.js";

export default async function (stage) {
  const reader = await stage.person("read");
  await reader.goto("/");
  await reader.locator('.run[data-run="1"][data-state="waiting"]', { hasText: "waits for approval" }).waitFor();
  await reader.goto("/queue");
  await reader.getByText("waits for approval").waitFor();
  await reader.goto("/runs/1");
  await reader.locator("#head").getByText("eve has not contributed").waitFor();
  same(await reader.locator("[data-action]").count(), 0, "buttons of who may only read");

  const page = await stage.person("operate");
  await page.goto("/runs/1");
  await page.getByRole("button", { name: "Approve and run" }).click();
  for (const one of [page, reader]) await stands(one, "success");
  await page.getByRole("link", { name: "talk" }).waitFor();
}
