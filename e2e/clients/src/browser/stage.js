// A browser, people in it, and what they see.
import { join } from "node:path";
import { chromium } from "playwright-core";

const ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"];

// Long enough for a page on a machine that builds something meanwhile.
const PATIENCE = 30_000; // ms

// Faults that are told: what is wrong with one line of a log is wrong with all of them.
const TOLD = 20;

// Says what was not so.
export function hold(fact, words) {
  if (!fact) throw new Error(words);
}

export function same(found, expected, of) {
  const [one, other] = [found, expected].map((value) => JSON.stringify(value));
  hold(one === other, `${of}: ${one} instead of ${other}`);
}

export class Stage {
  // `premises`: address of the server, of the gates, tokens by role, the folder for pictures.
  static async open(premises) {
    const executablePath = process.env.HEARTH_CHROMIUM ?? "/usr/bin/chromium";
    return new Stage(premises, await chromium.launch({ executablePath, args: ARGUMENTS }));
  }

  constructor(premises, browser) {
    Object.assign(this, premises);
    this.browser = browser;
    this.pages = [];
    this.faults = [];
    this.awaited = [];
  }

  // A page of somebody of this role; of nobody, without one. `options` are Playwright's of a context.
  async person(role, options = {}) {
    const context = await this.browser.newContext({ baseURL: this.url, viewport: { width: 1200, height: 800 }, ...options });
    context.setDefaultTimeout(PATIENCE);
    if (role) {
      const answer = await context.request.post("/sign-in", { form: { token: this.tokens[role], next: "/settings" } });
      hold(answer.ok() && answer.url().endsWith("/settings"), `${role} is not let in: ${answer.status()} ${answer.url()}`);
    }
    const page = await context.newPage();
    page.on("console", (message) => message.type() === "error" && this.fault(page, message.text()));
    page.on("pageerror", (error) => this.fault(page, error.stack));
    this.pages.push(page);
    return page;
  }

  fault(page, words) {
    if (!this.awaited.some((pattern) => pattern.test(words))) this.faults.push(`${page.url()}: ${words}`);
  }

  // An error on the console that belongs to the story.
  expect(pattern) {
    this.awaited.push(pattern);
  }

  // Lets a job, or the forge, go on.
  async pass(gate) {
    await fetch(`${this.gates}/${gate}`, { method: "POST" });
  }

  // What the API says, as the administrator.
  async ask(path) {
    const answer = await fetch(`${this.url}${path}`, { headers: { authorization: `Bearer ${this.tokens.admin}` } });
    return answer.json();
  }

  check() {
    hold(!this.faults.length, "a page has faults");
  }

  // For whoever has to find out: where each page was, what it showed, what its console said.
  async tell(name) {
    for (const words of this.faults.slice(0, TOLD)) console.error(`fault: ${words}`);
    for (const [number, page] of this.pages.entries()) {
      if (page.isClosed()) continue;
      const path = join(this.pictures, `${name}-${number + 1}.png`);
      const isTaken = await page.screenshot({ path, timeout: 10_000 }).then(() => true, () => false);
      console.error(`page ${number + 1}: ${page.url()}${isTaken ? `, pictured in ${path}` : ""}`);
    }
  }

  async close() {
    await this.browser.close();
  }
}

// Waits until the run or job that a page is of stands so.
export async function stands(page, state) {
  await page.locator(`#head .head[data-state="${state}"]`).waitFor();
}

// Waits until a log shows a line with this text; the line.
export async function line(page, text) {
  const found = page.locator("#log .l", { hasText: text }).first();
  await found.waitFor();
  return found;
}

// A group of a log, by its title.
export function group(page, title) {
  return page.locator("#log").getByRole("button", { name: title, exact: true });
}

// Marks a page, to see later that it was not loaded again.
export async function mark(page) {
  await page.evaluate(() => document.documentElement.setAttribute("data-marked", ""));
}

export async function isMarked(page) {
  return (await page.locator("html[data-marked]").count()) === 1;
}
