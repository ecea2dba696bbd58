// Keeps a page true and moves through it by keys. A page is read without any of this.
"use strict";

const body = document.body;

// The server's clock: times in pages are its.
const ahead = Number(body.dataset.now) - Date.now();
const now = () => Date.now() + ahead;

// Durations and ages as pages::format writes them.
function duration(millis) {
  const secs = Math.floor(millis / 1000);
  const two = (number) => String(number).padStart(2, "0");
  if (secs < 1) return `${Math.max(0, Math.floor(millis))} ms`;
  if (secs < 10) return `${secs}.${Math.floor((millis % 1000) / 100)} s`;
  if (secs < 60) return `${secs} s`;
  if (secs < 3600) return `${Math.floor(secs / 60)} m ${two(secs % 60)} s`;
  if (secs < 86400) return `${Math.floor(secs / 3600)} h ${two(Math.floor((secs % 3600) / 60))} m`;
  return `${Math.floor(secs / 86400)} d ${Math.floor((secs % 86400) / 3600)} h`;
}

function age(millis) {
  const secs = Math.floor(millis / 1000);
  if (secs < 10) return "just now";
  if (secs < 60) return `${secs} s ago`;
  if (secs < 3600) return `${Math.floor(secs / 60)} min ago`;
  if (secs < 86400) return `${Math.floor(secs / 3600)} h ago`;
  return secs < 2592000 ? `${Math.floor(secs / 86400)} d ago` : null;
}

function tick() {
  if (document.hidden) return;
  for (const one of document.querySelectorAll("[data-since]")) one.textContent = duration(now() - Number(one.dataset.since));
  for (const one of document.querySelectorAll("[data-ago]")) one.textContent = age(now() - Number(one.dataset.ago)) ?? one.textContent;
}
setInterval(tick, 1000);

// Puts in the parts of a newer version of this page that differ, and keeps what the reader has unfolded or chosen.
function put(markup) {
  const newer = new DOMParser().parseFromString(markup, "text/html");
  if (!newer.querySelector("main")) return;
  document.title = newer.title;
  const [icon, fresher] = [document, newer].map((one) => one.querySelector('link[rel="icon"]'));
  if (icon.getAttribute("href") !== fresher.getAttribute("href")) icon.replaceWith(fresher);
  for (const fresh of newer.querySelectorAll("[data-swap]")) {
    const stale = document.getElementById(fresh.id);
    if (!stale) continue;
    for (const open of stale.querySelectorAll("details[id][open]")) {
      fresh.querySelector(`details[id="${CSS.escape(open.id)}"]`)?.setAttribute("open", "");
    }
    if (stale.innerHTML === fresh.innerHTML) continue;
    const focus = address(document.activeElement, stale);
    const chosen = stale.querySelector(".chosen a[href]")?.getAttribute("href");
    stale.replaceChildren(...fresh.childNodes);
    focus?.(stale)?.focus({ preventScroll: true });
    if (chosen) stale.querySelector(`a[href="${CSS.escape(chosen)}"]`)?.closest("[data-item]")?.classList.add("chosen");
  }
  if (!newer.body.dataset.live) {
    delete body.dataset.live;
    stop();
  }
  tick();
  document.dispatchEvent(new CustomEvent("swapped"));
}

// How to find the focused link or button again.
function address(element, within) {
  if (!element || !within.contains(element)) return null;
  const action = element.closest("form")?.getAttribute("action");
  const href = element.getAttribute("href");
  const selector = href ? `a[href="${CSS.escape(href)}"]` : action ? `form[action="${CSS.escape(action)}"] button` : null;
  return selector && ((part) => part.querySelector(selector));
}

// What has changed is told by the server. A page that nobody looks at gives its connection back: a browser has six for
// all tabs of a server. Whoever connects is told of a change at once, and so hears what was missed.
let source = null;
let asking = false;
let stale = false;
const WAIT = 250;

async function refresh() {
  if (asking || document.hidden) {
    stale = true;
    return;
  }
  asking = true;
  stale = false;
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" } });
    if (answer.ok && !answer.redirected) put(await answer.text());
  } catch {
    // The connection is gone: the source connects again, and then tells of a change.
  }
  setTimeout(() => {
    asking = false;
    if (stale) refresh();
  }, WAIT);
}

const sign = document.getElementById("live");

function watch() {
  if (!body.dataset.live || source || document.hidden) return;
  source = new EventSource(body.dataset.live);
  source.addEventListener("open", () => { sign.hidden = false; });
  source.addEventListener("error", () => { sign.hidden = true; });
  source.addEventListener("changed", refresh);
}

function stop() {
  source?.close();
  source = null;
  sign.hidden = true;
}

document.addEventListener("visibilitychange", () => (document.hidden ? stop() : watch()));
addEventListener("pagehide", stop);
addEventListener("pageshow", watch);
watch();

// Light and dark.
const theme = document.getElementById("theme");
theme.hidden = false;
function turn() {
  const root = document.documentElement;
  const isDark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = isDark ? "light" : "dark";
  try {
    localStorage.setItem("theme", root.dataset.theme);
  } catch {
    // For this page only, then.
  }
}
theme.addEventListener("click", turn);

// Keys.
const keys = document.getElementById("keys");
let last = "";
const visible = (one) => one.offsetParent !== null;

function move(by) {
  const items = [...document.querySelectorAll("[data-item]")].filter(visible);
  if (!items.length) return;
  const at = items.findIndex((item) => item.classList.contains("chosen"));
  const next = items[Math.min(items.length - 1, Math.max(0, at < 0 ? (by > 0 ? 0 : items.length - 1) : at + by))];
  items[at]?.classList.remove("chosen");
  next.classList.add("chosen");
  next.querySelector("a[href], button")?.focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
}

const does = {
  j: () => move(1),
  k: () => move(-1),
  t: turn,
  u: () => [...document.querySelectorAll("[data-up]")].pop()?.click(),
  f: () => document.querySelector("[data-first-error]")?.click(),
  "/": () => document.querySelector("[data-search]")?.focus(),
  "?": () => keys.showModal(),
};

// Where keys are text, or choose something. What is only ticked leaves them to the page.
const TYPED = 'input:not([type="checkbox"]), textarea, select, dialog';

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest(TYPED)) {
    if (event.key === "Escape" && event.target.closest("input")) event.target.blur();
    return;
  }
  if (last === "g") {
    last = "";
    document.querySelector(`nav [data-key="${CSS.escape(event.key)}"]`)?.click();
    return;
  }
  last = event.key;
  const action = does[event.key];
  if (!action) return;
  event.preventDefault();
  action();
});
