// Ending a run, and running it again.
import { same, stands } from "./stage.js";

export default async function (stage) {
  const page = await stage.person("operate");
  await page.goto("/runs/1");
  await page.locator('#graph [data-state="running"]').waitFor();
  await page.getByRole("button", { name: "Cancel" }).click();
  await stands(page, "cancelled");
  await page.locator("#head").getByText("cancelled by").waitFor();

  await stage.pass("half");
  await stage.pass("end");
  await page.getByRole("button", { name: "Rerun all" }).click();
  await page.locator("nav.attempts [aria-current]", { hasText: "2" }).waitFor();
  await stands(page, "failure");
  const jobs = async () =>
    page.locator("#graph [data-job]").evaluateAll((all) => all.map((one) => one.dataset.state).sort());
  same(await jobs(), ["failure", "success", "success"], "the jobs of the second attempt");

  await page.getByRole("button", { name: "Rerun failed" }).click();
  await page.locator("nav.attempts [aria-current]", { hasText: "3" }).waitFor();
  await stands(page, "success");
  const cells = await page.locator("table.beside tbody tr", { hasText: "macos" }).locator("td").allTextContents();
  same(cells.length, 3, "attempts side by side");
}
