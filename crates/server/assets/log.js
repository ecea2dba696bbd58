// Shows a log of any length: asks for the lines that are looked at, and makes elements of those only.
//
// The log is a row of pieces: headings of steps, and stretches of lines, some of them folded away. `pieces` knows how
// many rows each has; a row of the screen is found by halving. Lines come as markup from the server, in chunks.
"use strict";

(() => {
  const box = document.getElementById("log");
  if (!box) return;

  const ROW = 20; // px; the style sheet's line height of .viewer .l
  const CHUNK = 500; // lines asked for at once: one to two screens of a large display
  const KEPT = 40; // chunks kept: 20,000 lines
  const TALLEST = 12_000_000; // px; browsers stop at 17 to 33 million
  const MARGIN = 30; // rows beyond the screen, against blank edges while scrolling

  const base = box.dataset.address;
  let count = Number(box.dataset.count);
  const begun = count;
  let isLive = "live" in box.dataset;
  let steps = [];
  const groups = []; // {n, end, open, step, hasError}
  const openGroups = new Map(); // by step
  const errors = [];
  let marked = 0; // marks are known up to this line
  const closedSteps = new Set();
  let pieces = [];
  let rows = 0;
  const chunks = new Map();
  let target = null; // number of the line that the address names
  let matches = [];
  let match = -1;
  let stick = false;

  const viewer = document.createElement("div");
  viewer.className = "viewer";
  const sheet = document.createElement("div");
  sheet.className = "sheet";
  viewer.append(sheet);

  // The log takes what is left of the window, and at least most of it.
  function fit() {
    const left = innerHeight - box.getBoundingClientRect().top - scrollY - 16;
    viewer.style.height = `${Math.max(left, innerHeight * 0.6)}px`;
  }

  // What the server has written into the page says which steps there are; it changes as they begin.
  function readSteps() {
    steps = [...document.querySelectorAll("#steps > li[data-line]")]
      .map((item) => ({ n: Number(item.dataset.line), name: item.dataset.name, state: item.dataset.state }))
      .sort((one, other) => one.n - other.n);
  }

  // From steps and groups to pieces. Each: {at: first row, rows, from: line, kind, ...}.
  function lay() {
    const cuts = [];
    for (const step of steps) cuts.push({ n: step.n, order: 0, step });
    for (const group of groups) cuts.push({ n: group.n, order: 1, group });
    cuts.sort((one, other) => one.n - other.n || one.order - other.order);
    pieces = [];
    rows = 0;
    let line = 0;
    const lines = (to) => {
      to = Math.min(to, count);
      if (to > line) {
        pieces.push({ at: rows, rows: to - line, from: line });
        rows += to - line;
        line = to;
      }
    };
    cuts.forEach((cut, place) => {
      if (cut.n < line && cut.group) return; // within something that is folded
      lines(cut.n);
      if (cut.step) {
        pieces.push({ at: rows, rows: 1, from: cut.n, step: cut.step });
        rows += 1;
        if (closedSteps.has(cut.step.n)) {
          const next = cuts.slice(place + 1).find((other) => other.step && other.n > cut.n);
          line = Math.max(line, Math.min(next ? next.n : count, count));
        }
      } else {
        pieces.push({ at: rows, rows: 1, from: cut.n, group: cut.group });
        rows += 1;
        line = cut.n + 1;
        if (!cut.group.open) line = Math.max(line, Math.min(cut.group.end ?? count, count));
      }
    });
    lines(count);
  }

  function pieceAt(row) {
    let [low, high] = [0, pieces.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (pieces[middle].at <= row) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  function rowOf(line) {
    let best = 0;
    for (const piece of pieces) {
      if (piece.step || piece.from > line) continue;
      best = piece.at + Math.min(line - piece.from, piece.rows - 1);
    }
    return best;
  }

  // A log that is taller than a browser can scroll is scrolled at a larger scale.
  const height = () => Math.min(rows * ROW, TALLEST);
  const scale = () => {
    const way = height() - viewer.clientHeight;
    return way > 0 ? Math.max(1, (rows * ROW - viewer.clientHeight) / way) : 1;
  };
  const topRow = () => (viewer.scrollTop * scale()) / ROW;

  // Elements that stay on the screen stay the same, so that nobody loses what they have selected.
  let drawn = new Map();
  let draws = 0;
  const part = document.createElement("div");
  part.className = "part";
  sheet.append(part);

  function draw() {
    const scaled = scale();
    const top = topRow();
    const shown = Math.ceil(viewer.clientHeight / ROW);
    const first = Math.max(0, Math.floor(top) - MARGIN);
    const end = Math.min(rows, Math.floor(top) + shown + MARGIN);
    sheet.style.height = `${height()}px`;
    part.style.top = `${viewer.scrollTop - (viewer.scrollTop * scaled - first * ROW)}px`;
    const wanted = new Map();
    draws += 1;
    for (let row = first, at = pieceAt(first); row < end; row += 1) {
      while (at + 1 < pieces.length && pieces[at + 1].at <= row) at += 1;
      const [key, make] = element(pieces[at], row);
      wanted.set(key, drawn.get(key) ?? make());
    }
    place(wanted);
    drawn = wanted;
  }

  function place(wanted) {
    const focused = part.contains(document.activeElement) ? addressOf(document.activeElement) : null;
    const kept = new Set(wanted.values());
    for (const one of [...part.children]) if (!kept.has(one)) one.remove();
    let next = part.firstChild;
    for (const one of kept) {
      if (one === next) next = next.nextSibling;
      else part.insertBefore(one, next);
    }
    if (focused && !part.contains(document.activeElement)) part.querySelector(focused)?.focus({ preventScroll: true });
  }

  // How to find what has the focus again: a heading, a line's number, or the title of a group.
  function addressOf(one) {
    const row = `[data-n="${one.closest("[data-n]")?.dataset.n}"]`;
    if (one.matches("button")) return `button${row}`;
    return `${row} ${one.matches("a") ? "a" : "[tabindex]"}`;
  }

  // A row: what tells it from others, and how it is made.
  function element(piece, row) {
    if (piece.step) return [`s${piece.from}${piece.step.state}${closedSteps.has(piece.from)}`, () => heading(piece)];
    const n = piece.from + row - piece.at;
    const markup = piece.group ? piece.group.head : line(n);
    if (markup === null) return [`?${n}`, empty];
    const isMatch = matches.length > 0 && n === matches[match];
    const key = `${n} ${piece.group?.open} ${n === target} ${isMatch} ${matches.length ? searched : ""}`;
    return [key, () => dressed(markup, n, piece.group, isMatch)];
  }

  function empty() {
    const one = document.createElement("div");
    one.className = "l";
    return one;
  }

  function dressed(markup, n, group, isMatch) {
    const one = markup.cloneNode(true);
    if (group) foldable(one, group);
    one.classList.toggle("target", n === target);
    one.classList.toggle("match", isMatch);
    if (matches.length) mark(one.querySelector(".t"));
    return one;
  }

  function foldable(one, group) {
    const title = one.querySelector(".t");
    one.classList.add(group.open ? "unfolded" : "folded");
    title.setAttribute("role", "button");
    title.setAttribute("aria-expanded", String(group.open));
    title.tabIndex = 0;
    const turn = () => {
      group.open = !group.open;
      again();
    };
    one.addEventListener("click", (event) => event.target.closest("a") || turn());
    title.addEventListener("keydown", (event) => {
      if (![" ", "Enter"].includes(event.key)) return;
      event.preventDefault();
      turn();
    });
  }

  function heading(piece) {
    const isClosed = closedSteps.has(piece.step.n);
    const one = document.createElement("button");
    one.type = "button";
    one.dataset.n = `s${piece.step.n}`;
    one.className = `l step s-${piece.step.state}`;
    one.setAttribute("aria-expanded", String(!isClosed));
    one.textContent = `${isClosed ? "▸" : "▾"} ${piece.step.name}`;
    one.addEventListener("click", () => {
      if (!closedSteps.delete(piece.step.n)) closedSteps.add(piece.step.n);
      again();
    });
    return one;
  }

  // Marks what is searched for, in the text that is shown.
  function mark(text) {
    const wanted = search.value.trim().toLowerCase();
    if (!wanted || !text) return;
    const walker = document.createTreeWalker(text, NodeFilter.SHOW_TEXT);
    const nodes = [];
    while (walker.nextNode()) nodes.push(walker.currentNode);
    for (const node of nodes) {
      const at = node.data.toLowerCase().indexOf(wanted);
      if (at < 0) continue;
      const range = document.createRange();
      range.setStart(node, at);
      range.setEnd(node, Math.min(node.length, at + wanted.length));
      range.surroundContents(document.createElement("mark"));
    }
  }

  function again() {
    lay();
    draw();
  }

  let isDrawing = false;
  function soon() {
    if (isDrawing) return;
    isDrawing = true;
    requestAnimationFrame(() => {
      isDrawing = false;
      draw();
    });
  }

  // The markup of a line, or null while it is asked for.
  function line(n) {
    const place = Math.floor(n / CHUNK);
    const chunk = chunks.get(place);
    if (chunk) {
      chunks.delete(place);
      chunks.set(place, chunk); // the latest one looked at is the last to go
    }
    if (!chunk || (!chunk.lines.has(n) && chunk.known < count && !chunk.isAsked)) ask(place);
    chunks.get(place).draw = draws;
    return chunks.get(place).lines.get(n) ?? null;
  }

  // The server's markup of lines.
  function elements(markup) {
    const template = document.createElement("template");
    template.innerHTML = markup;
    return [...template.content.children];
  }

  async function ask(place) {
    const chunk = chunks.get(place) ?? { lines: new Map(), known: 0, isAsked: false };
    if (chunk.isAsked) return;
    chunks.set(place, chunk);
    chunk.isAsked = true;
    try {
      for (let from = place * CHUNK + chunk.lines.size, end = (place + 1) * CHUNK; from < Math.min(end, count); ) {
        const answer = await fetch(`${base}?from=${from}&count=${end - from}`);
        if (answer.redirected) return location.reload(); // the session is over
        if (!answer.ok) throw new Error(answer.statusText);
        const fresh = elements(await answer.text());
        if (!fresh.length) break;
        for (const one of fresh) chunk.lines.set(Number(one.dataset.n), one);
        from = Number(fresh.at(-1).dataset.n) + 1;
      }
      chunk.known = count;
    } catch {
      // The next look asks again.
      await new Promise((done) => setTimeout(done, 1000));
    }
    chunk.isAsked = false;
    for (const old of chunks.keys()) {
      if (chunks.size <= KEPT) break;
      if (!chunks.get(old).isAsked && chunks.get(old).draw !== draws) chunks.delete(old);
    }
    soon();
  }

  // Groups and errors of lines that are not known yet.
  let isMarking = false;
  async function askMarks() {
    if (isMarking) return;
    isMarking = true;
    try {
      for (let next = marked; next !== null && next < count; ) {
        const known = count;
        const answer = await (await fetch(`${base}/marks?from=${next}`)).json();
        for (const one of answer.marks) take(one);
        next = answer.next;
        marked = next ?? known;
        again();
      }
    } catch {
      // The next lines ask again.
    }
    isMarking = false;
    if (marked < count && isLive) setTimeout(askMarks, 500);
  }

  const firstError = document.getElementById("first-error");
  firstError.addEventListener("click", () => show(errors[0], false));

  const seen = new Set();
  function take(mark) {
    if (seen.has(mark.n)) return;
    seen.add(mark.n);
    const open = openGroups.get(mark.step) ?? [];
    openGroups.set(mark.step, open);
    if (mark.kind === "group") {
      const group = { n: mark.n, end: null, open: true, step: mark.step, head: elements(mark.markup)[0] };
      groups.push(group);
      open.push(group);
    } else if (mark.kind === "end") {
      const group = open.pop();
      if (group) {
        group.end = mark.n + 1;
        // What somebody has seen grow is not folded under their eyes.
        group.open = Boolean(group.hasError) || group.n >= begun || holds(group, target);
      }
    } else if (mark.kind === "error") {
      errors.push(mark.n);
      firstError.hidden = false;
      for (const group of open) group.hasError = group.open = true;
    }
  }

  const holds = (group, n) => n !== null && group.n <= n && (group.end === null || n < group.end);

  function unfold(n) {
    for (const group of groups) if (holds(group, n)) group.open = true;
    const step = steps.filter((one) => one.n <= n).pop();
    if (step) closedSteps.delete(step.n);
    lay();
  }

  function show(n, isChosen) {
    if (isChosen) target = n;
    unfold(n);
    sheet.style.height = `${height()}px`;
    viewer.scrollTop = Math.max(0, (rowOf(n) * ROW - viewer.clientHeight / 3) / scale());
    draw();
  }

  function toEnd() {
    sheet.style.height = `${height()}px`;
    viewer.scrollTop = viewer.scrollHeight;
    draw();
  }

  // The address names a line: #L17, or #L17-L20 as people write it.
  function named() {
    const found = /^#L(\d+)/.exec(location.hash);
    return found ? Number(found[1]) - 1 : null;
  }

  // Live: the server tells how many lines there are, while somebody looks.
  let source = null;
  function follow() {
    if (!isLive || source || document.hidden) return;
    source = new EventSource(`${base}/live?from=${count}`);
    source.addEventListener("count", (event) => {
      count = Math.max(count, Number(event.data));
      lay();
      if (stick) toEnd();
      else soon();
      askMarks();
    });
    source.addEventListener("end", () => {
      isLive = false;
      followed.closest("label").hidden = true;
      leave();
      askMarks();
    });
  }

  function leave() {
    source?.close();
    source = null;
  }
  document.addEventListener("visibilitychange", () => (document.hidden ? leave() : follow()));
  addEventListener("pagehide", leave);
  addEventListener("pageshow", follow);

  // Search over the whole log, on the server.
  const form = document.querySelector("form.tools");
  const search = form.querySelector("input[name=q]");
  const found = document.getElementById("found");
  let searched = "";

  async function find() {
    const wanted = search.value.trim();
    searched = wanted;
    matches = [];
    match = -1;
    if (!wanted) {
      found.textContent = "";
      return draw();
    }
    found.textContent = "…";
    const address = new URLSearchParams({ q: wanted });
    for (let next = 0; next !== null && searched === wanted && matches.length < 20_000; ) {
      address.set("from", next);
      const answer = await fetch(`${base}/search?${address}`);
      if (!answer.ok) {
        found.textContent = "can't be searched for";
        return;
      }
      const part = await answer.json();
      const isFirst = !matches.length && part.lines.length;
      matches.push(...part.lines);
      next = part.next;
      if (isFirst) step(1);
      else tell();
    }
    tell();
  }

  function step(by) {
    if (!matches.length) return;
    match = (match + by + matches.length) % matches.length;
    show(matches[match], false);
    tell();
  }

  const tell = () => {
    found.textContent = matches.length ? `${match + 1} of ${matches.length} lines` : "nothing found";
  };

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (search.value.trim() === searched && matches.length) step(1);
    else find();
  });
  search.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.shiftKey) {
      event.preventDefault();
      step(-1);
    }
  });
  search.addEventListener("search", () => search.value || find());

  // Begin: what the server has written for readers without a script makes room.
  readSteps();
  box.replaceChildren(viewer);
  box.classList.add("has-viewer");
  document.getElementById("pages")?.remove();
  document.getElementById("results")?.remove();
  for (const one of document.querySelectorAll("label.only-script")) one.hidden = false;

  const times = document.getElementById("times-shown");
  times.addEventListener("change", () => viewer.classList.toggle("times", times.checked));
  const followed = document.getElementById("follow");
  followed.closest("label").hidden = !isLive;
  followed.addEventListener("change", () => {
    stick = followed.checked;
    if (stick) toEnd();
  });

  viewer.addEventListener("scroll", () => {
    const isAtEnd = viewer.scrollTop + viewer.clientHeight >= viewer.scrollHeight - ROW;
    if (isLive) followed.checked = stick = isAtEnd;
    soon();
  });
  addEventListener("resize", () => {
    fit();
    soon();
  });
  addEventListener("hashchange", () => named() !== null && show(named(), true));
  document.addEventListener("swapped", () => {
    readSteps();
    lay();
    soon();
  });
  document.getElementById("steps").addEventListener("click", (event) => {
    const item = event.target.closest("li[data-line]");
    if (!item || !event.target.closest("a")) return;
    event.preventDefault();
    history.replaceState(null, "", `${location.pathname}#L${Number(item.dataset.line) + 1}`);
    show(Number(item.dataset.line), true);
  });

  fit();
  target = named();
  again();
  if (target !== null) show(target, true);
  else if (isLive) {
    followed.checked = stick = true;
    toEnd();
  }
  askMarks().then(() => {
    // Nobody has chosen a place: the first error of a failed job is what they came for.
    if (target === null && "failed" in box.dataset && errors.length && viewer.scrollTop === 0) show(errors[0], false);
    else if (target !== null) show(target, true);
  });
  follow();
  if (search.value) find();
})();
