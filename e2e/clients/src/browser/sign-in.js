// Who may come in, where they come, and how they leave.
import { hold, same } from "./stage.js";

export default async function (stage) {
  stage.expect(/status of 401/);
  const page = await stage.person();
  await page.goto("/queue?from=elsewhere");
  same(new URL(page.url()).pathname, "/sign-in", "where a stranger is led");
  hold(await page.locator("input[name=token]").evaluate((one) => one === document.activeElement), "one can type at once");

  await page.keyboard.type("hearth_wrong");
  await page.keyboard.press("Enter");
  await page.getByRole("alert").filter({ hasText: "not one of this server's" }).waitFor();
  same((await page.context().cookies()).length, 0, "cookies after a wrong token");

  await page.locator("input[name=token]").fill(stage.tokens.read);
  await page.keyboard.press("Enter");
  await page.waitForURL("**/queue?from=elsewhere");
  const [cookie] = await page.context().cookies();
  same([cookie.httpOnly, cookie.sameSite], [true, "Strict"], "the session's cookie");

  await page.getByRole("button", { name: "Sign out" }).click();
  await page.waitForURL("**/sign-in");
  await page.goto("/");
  same(new URL(page.url()).pathname, "/sign-in", "where one is led after signing out");
  same((await page.goBack())?.url() ?? page.url(), `${stage.url}/sign-in`, "what the way back shows");
}
