// What somebody who may only read can't do, and what another site can't make a browser do.
import { hold, same } from "./stage.js";

// Sends a form as a page would that shows it.
async function forge(page, action, fields) {
  const [answer] = await Promise.all([
    page.waitForResponse((response) => response.request().method() === "POST"),
    page.waitForURL(action),
    page.evaluate(
      ([action, fields]) => {
        const form = document.createElement("form");
        Object.assign(form, { method: "post", action });
        for (const [name, value] of Object.entries(fields)) {
          form.append(Object.assign(document.createElement("input"), { name, value }));
        }
        document.body.append(form);
        form.submit();
      },
      [action, fields],
    ),
  ]);
  return answer.status();
}

const csrf = (page) => page.locator("input[name=csrf]").first().inputValue();

export default async function (stage) {
  stage.expect(/status of 40[13]/);
  const reader = await stage.person("read");
  await reader.goto("/runs/1");
  await reader.locator('#graph [data-state="running"]').waitFor();
  same(await reader.locator("[data-action]").count(), 0, "buttons of a run");
  same(await forge(reader, "/runs/1/cancel", { csrf: await csrf(reader) }), 403, "a reader's cancelling");
  await reader.getByText("This needs the role operate").waitFor();
  await reader.getByRole("button", { name: "Sign out" }).waitFor();

  await reader.goto("/settings");
  same(await reader.locator("form[action^='/settings/']").count(), 0, "forms of settings");
  const token = { csrf: await csrf(reader), name: "mine", role: "admin" };
  same(await forge(reader, "/settings/make-token", token), 403, "a reader's making of a token");

  // Whoever may, but did not mean it.
  const operator = await stage.person("operate");
  await operator.goto("/runs/1");
  same(await forge(operator, "/runs/1/cancel", {}), 403, "cancelling without the token against forgery");
  await operator.goto("/runs/1");
  await reader.goto("/");
  same(await forge(operator, "/runs/1/cancel", { csrf: await csrf(reader) }), 403, "cancelling with another's token");
  await operator.route("http://evil.example/**", (route) => route.fulfill({ contentType: "text/html", body: "<p>Win" }));
  await operator.goto("http://evil.example/");
  const status = await forge(operator, `${stage.url}/runs/1/cancel`, { csrf: "x" });
  hold([401, 403].includes(status), `another site's form is answered ${status}`);

  same((await stage.ask("/api/v1/runs/1")).state, "running", "the run that nobody was to cancel");
  await stage.pass("half");
  await stage.pass("end");
}
