// The dashboard: shows a stream of states. Text from outside is only ever set as textContent.
"use strict";

const KEPT = 120; // states that are kept: two minutes
const ROWS_MAX = 200; // rows of one pool; "show only" finds others
const states = [];
const $ = (id) => document.getElementById(id);

// ---- numbers ------------------------------------------------------------------------------------

function scaled(value, units, step) {
  let unit = 0;
  while (Math.abs(value) >= step && unit < units.length - 1) { value /= step; unit++; }
  const digits = value >= 100 || value === Math.round(value) ? 0 : value >= 10 ? 1 : 2;
  return value.toFixed(digits) + (units[unit] ? " " + units[unit] : "");
}
const count = (n) => scaled(n, ["", "k", "M", "G"], 1000);
const bytes = (n) => scaled(n, ["B", "KiB", "MiB", "GiB", "TiB"], 1024);
const duration = (s) => s < 60 ? Math.floor(s) + " s" : s < 3600 ? Math.floor(s / 60) + " min"
  : s < 86400 ? (s / 3600).toFixed(1) + " h" : (s / 86400).toFixed(1) + " d";
function micros(us) {
  if (us < 1e3) return us + " µs";
  return us < 1e6 ? us / 1e3 + " ms" : us / 1e6 + " s";
}

function perSecond(pick) {
  if (states.length < 2) return 0;
  const [a, b] = states.slice(-2);
  return Math.max(0, (pick(b) - pick(a)) / ((b.at_ms - a.at_ms) / 1000));
}
function series(pick) {
  return states.slice(1).map((b, i) => {
    const a = states[i];
    return Math.max(0, (pick(b) - pick(a)) / ((b.at_ms - a.at_ms) / 1000));
  });
}
// What tells a row of a list from the others, from one state to the next.
const KEYS = {
  backends: (b) => b.pool + "/" + b.name,
  web: (l) => l.listener,
  routes: (r) => r.listener + "/" + r.route,
  inspections: (i) => i.listener + "/" + i.rule,
  cache: (c) => c.cache,
  forwards: (f) => f.forward,
  lists: (l) => l.list,
};
// Growth a second of a number of one row, since the state before.
function growth(list, row, pick) {
  if (states.length < 2) return 0;
  const [a, b] = states.slice(-2), was = a.byKey[list].get(KEYS[list](row));
  return was ? Math.max(0, (pick(row) - pick(was)) / ((b.at_ms - a.at_ms) / 1000)) : 0;
}
const AWAY = ["no_backend", "connect_failed", "queue_timeout", "rejected"];
const ended = (s, ...words) => Object.entries(s.stats.ended)
  .filter(([end]) => words.some((word) => end.startsWith(word)))
  .reduce((sum, [, n]) => sum + n, 0);

// ---- elements -----------------------------------------------------------------------------------

function make(tag, props = {}, ...inside) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name === "class") element.className = value;
    else if (name.startsWith("data-") || name.startsWith("aria-") || name === "scope")
      element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...inside);
  return element;
}
function say(element, text, kind) {
  if (element.textContent !== text) element.textContent = text;
  if (kind !== undefined && element.className !== kind) element.className = kind;
}

// A table that keeps the element of a row as long as its key exists: focus and selection survive.
function fill(table, columns, rows, keyOf, caption) {
  if (!table.tHead) {
    if (caption) table.append(make("caption"));
    const head = make("tr", {}, ...columns.map((c) => make("th", {
      scope: "col", class: c.n ? "n" : "", textContent: c.title })));
    table.append(make("thead", {}, head), make("tbody"));
    table.rowOf = new Map();
  }
  if (caption) caption(table.caption);
  const body = table.tBodies[0], seen = new Set();
  let before = body.firstElementChild;
  for (const row of rows) {
    const key = keyOf(row);
    seen.add(key);
    let tr = table.rowOf.get(key);
    if (!tr) {
      tr = make("tr", {}, ...columns.map((c, i) => i === 0 ? make("th", { scope: "row" })
        : make("td", { class: c.n ? "n" : c.class || "", ...(c.title && { "data-label": c.title }) })));
      table.rowOf.set(key, tr);
    }
    columns.forEach((c, i) => c.show(tr.cells[i], row));
    if (tr === before) before = before.nextElementSibling;
    else body.insertBefore(tr, before);
  }
  for (const [key, tr] of table.rowOf) {
    if (!seen.has(key)) { tr.remove(); table.rowOf.delete(key); }
  }
}
const text = (title, pick, more = {}) => ({ title, show: (cell, row) => say(cell, String(pick(row))), ...more });
const number = (title, pick) => text(title, pick, { n: true });

// ---- now ----------------------------------------------------------------------------------------

const TILES = [
  ["Clients", (s) => count(s.status.connections)],
  ["New clients/s", () => count(perSecond((s) => s.stats.accepted))],
  ["From clients", () => bytes(perSecond((s) => s.stats.bytes_in)) + "/s"],
  ["To clients", () => bytes(perSecond((s) => s.stats.bytes_out)) + "/s"],
  ["Turned away/s", () => count(perSecond((s) => ended(s, ...AWAY))),
    () => perSecond((s) => ended(s, ...AWAY)) > 0],
  ["Backends up", (s) => {
    const all = s.pools.reduce((n, p) => n + p.backends, 0);
    return s.pools.reduce((n, p) => n + p.up, 0) + " of " + all;
  }, (s) => s.pools.some((p) => p.up < p.backends)],
  ["Health checks", (s) => s.status.checker.stale ? "silent" : "running",
    (s) => s.status.checker.stale],
];

function showTiles(s) {
  const list = $("tiles");
  TILES.forEach(([title, value, isBad], i) => {
    const tile = list.children[i] || list.appendChild(
      make("div", {}, make("dt", { textContent: title }), make("dd")));
    say(tile.lastChild, value(s));
    tile.className = isBad && isBad(s) ? "bad" : "";
  });
}

// ---- charts -------------------------------------------------------------------------------------

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// Values are numbers, or null: there is a gap in the line.
function drawLines(id, lines, format) {
  const canvas = $(id), g = canvas.getContext("2d"), { width: w, height: h } = canvas;
  g.clearRect(0, 0, w, h);
  const top = Math.max(1, ...lines.flatMap((l) => l.values));
  g.strokeStyle = color("--line");
  g.strokeRect(0.5, 0.5, w - 1, h - 1);
  for (const line of lines) {
    g.strokeStyle = color(line.color);
    g.lineWidth = 2;
    g.setLineDash(line.dash || []);
    g.beginPath();
    let gap = true;
    line.values.forEach((v, i) => {
      if (v === null) { gap = true; return; }
      const x = w - (line.values.length - 1 - i) * w / (KEPT - 1), y = h - 3 - v / top * (h - 8);
      if (gap) g.moveTo(x - 1, y); // why - 1: a value between two gaps is a point
      g.lineTo(x, y);
      gap = false;
    });
    g.stroke();
    g.setLineDash([]);
  }
  const last = (l) => l.values[l.values.length - 1];
  const said = lines.map((l) => l.title + " " + (last(l) === null ? "-" : format(last(l) || 0))).join(", ") +
    "; top of the picture " + format(top);
  say($(id + "-c"), said);
  canvas.setAttribute("aria-label", said);
}

function quantile(counts, bounds, q) {
  const total = counts.reduce((a, b) => a + b, 0);
  if (!total) return null;
  let below = 0;
  for (let i = 0; i < counts.length; i++) {
    below += counts[i];
    if (below >= q * total) return i < bounds.length ? bounds[i] : Infinity;
  }
  return Infinity;
}

function drawHeat(s) {
  const measure = $("measure").value, bounds = s.latency.bounds_us;
  const columns = states.slice(1).map((b, i) => {
    const now = b.latency.counts[measure] || [], was = states[i].latency.counts[measure] || [];
    return now.map((n, k) => Math.max(0, n - (was[k] || 0)));
  });
  const canvas = $("heat"), g = canvas.getContext("2d"), { width: w, height: h } = canvas;
  const left = 58, rows = 22, cell = (w - left) / KEPT, tall = (h - 4) / rows;
  g.clearRect(0, 0, w, h);
  g.fillStyle = color("--soft");
  g.font = "11px sans-serif";
  g.textBaseline = "middle";
  for (let k = 0; k < rows; k += 3) g.fillText(micros(bounds[k]), 2, h - 2 - (k + 0.5) * tall);
  g.strokeStyle = color("--line");
  g.strokeRect(left + 0.5, 0.5, w - left - 1, h - 1);
  const most = Math.max(1, ...columns.flat());
  g.fillStyle = color("--accent");
  columns.forEach((counts, i) => counts.forEach((n, k) => {
    if (!n) return;
    g.globalAlpha = 0.15 + 0.85 * Math.log(1 + n) / Math.log(1 + most);
    const row = Math.min(k, rows - 1);
    g.fillRect(w - (columns.length - i) * cell, h - 2 - (row + 1) * tall, cell + 0.5, tall);
  }));
  g.globalAlpha = 1;
  const sum = bounds.map((_, k) => columns.reduce((n, c) => n + (c[k] || 0), 0));
  const [half, most99] = [quantile(sum, bounds, 0.5), quantile(sum, bounds, 0.99)];
  const said = half === null ? "nothing has ended in this time"
    : "half within " + micros(half) + ", 99 % within " + micros(most99);
  say($("heat-c"), said);
  canvas.setAttribute("aria-label", "By time: " + said);
}

function showPictures(s) {
  drawLines("rate", [
    { title: "new clients/s", color: "--accent", values: series((x) => x.stats.accepted) },
    { title: "turned away/s", color: "--bad", dash: [5, 3],
      values: series((x) => ended(x, ...AWAY)) },
  ], count);
  drawLines("bytes", [
    { title: "to clients", color: "--accent", values: series((x) => x.stats.bytes_out) },
    { title: "from clients", color: "--warn", dash: [5, 3], values: series((x) => x.stats.bytes_in) },
  ], (n) => bytes(n) + "/s");
  drawHeat(s);
}

// ---- HTTP ---------------------------------------------------------------------------------------

const BROKEN = ["5xx", "none"];
const answered = (s, words) => words.reduce((n, word) => n + (s.stats.statuses[word] || 0), 0);
const ofClass = (word) => number(word + "/s", (l) =>
  count(growth("web", l, (x) => x.statuses[word] || 0)));
const most = (counts) => Object.entries(counts).sort((a, b) => b[1] - a[1]).slice(0, 3)
  .map(([why, n]) => why.replace("rejected:", "") + " " + count(n)).join(", ");
const WEB = [
  text("listener", (l) => l.listener),
  number("requests/s", (l) => count(growth("web", l, (x) => x.requests))),
  ...["2xx", "3xx", "4xx", "5xx", "none"].map(ofClass),
  number("requests", (l) => count(l.requests)),
  number("in", (l) => bytes(growth("web", l, (x) => x.bytes_in)) + "/s"),
  number("out", (l) => bytes(growth("web", l, (x) => x.bytes_out)) + "/s"),
  number("HTTP/2 clients", (l) => count(l.http2_connections)),
  text("not answered by a backend", (l) => most(l.ended), { class: "why" }),
];
const ROUTE = [
  text("route", (r) => r.listener + " " + r.route), text("when", (r) => r.when),
  text("then", (r) => r.then), number("requests", (r) => count(r.requests)),
  number("requests/s", (r) => count(growth("routes", r, (x) => x.requests))),
];

const INSPECTION = [
  text("inspected by", (i) => i.listener + " " + i.rule),
  ...["clean", "changed", "blocked", "too_large", "failed"].map((verdict) =>
    number(verdict.replace("_", " "), (i) => count(i[verdict]))),
  number("blocked/s", (i) => count(growth("inspections", i, (x) => x.blocked))),
  number("failed/s", (i) => count(growth("inspections", i, (x) => x.failed))),
];

// A part of what grew since the state before, in percent; null where nothing grew.
const part = (of, whole) => whole ? 100 * of / whole : null;
const share = (of, whole) => whole ? part(of, whole).toFixed(1) + " %" : "-";
const CACHE = [
  text("cache", (c) => c.cache),
  number("requests/s", (c) => count(growth("cache", c, (x) => x.requests))),
  number("hits now", (c) => share(growth("cache", c, (x) => x.hits),
    growth("cache", c, (x) => x.hits + x.misses))),
  number("hits", (c) => share(c.hits, c.hits + c.misses)),
  number("sent", (c) => bytes(growth("cache", c, (x) => x.bytes_out)) + "/s"),
  number("used", (c) => bytes(c.used_bytes) + " of " + bytes(c.memory_bytes)),
  number("stored/s", (c) => count(growth("cache", c, (x) => x.stored))),
  number("evicted/s", (c) => count(growth("cache", c, (x) => x.evicted))),
  number("no room", (c) => count(c.refused)),
];
const inCaches = (s, pick) => s.cache.reduce((n, c) => n + pick(c), 0);

function showCaches(s) {
  $("caches-s").hidden = !s.cache.length;
  if (!s.cache.length) return;
  const hits = series((x) => inCaches(x, (c) => c.hits));
  const asked = series((x) => inCaches(x, (c) => c.hits + c.misses));
  drawLines("hits", [
    { title: "hits", color: "--accent", values: hits.map((n, i) => part(n, asked[i])) },
  ], (n) => n.toFixed(1) + " %");
  fill($("caches"), CACHE, s.cache, KEYS.cache);
}

function showWeb(s) {
  $("web-s").hidden = !s.web.length;
  if (!s.web.length) return;
  drawLines("requests", [
    { title: "requests/s", color: "--accent", values: series((x) => x.stats.requests) },
    { title: "4xx/s", color: "--warn", dash: [5, 3], values: series((x) => answered(x, ["4xx"])) },
    { title: "5xx or no answer/s", color: "--bad", dash: [2, 3],
      values: series((x) => answered(x, BROKEN)) },
  ], count);
  fill($("web"), WEB, s.web, KEYS.web);
  fill($("routes"), ROUTE, s.routes, KEYS.routes);
  $("routes").parentElement.hidden = !s.routes.length;
  fill($("inspections"), INSPECTION, s.inspections, KEYS.inspections);
  $("inspections").parentElement.hidden = !s.inspections.length;
}

// ---- backends -----------------------------------------------------------------------------------

const MARKS = { up: "✓ up", down: "✗ down", ejected: "✗ ejected", unknown: "? unknown" };
const KINDS = { up: "good", down: "bad", ejected: "bad", unknown: "" };

function reason(b) {
  const check = b.last_check;
  if (b.state === "drain") return "an operator drains it";
  if (b.state === "maint") return "an operator took it out of service";
  if (b.health === "ejected") return "clients met too many failures; it returns by itself";
  if (!check) return "";
  const since = check.health_age_ms === null ? "" : ", for " + duration(check.health_age_ms / 1000);
  if (b.health === "down") return "check: " + check.result +
    (check.text ? " (" + check.text + ")" : "") + ", " + check.streak + " in a row" + since;
  return check.result === "ok" ? "" : "last check: " + check.result;
}

function changeButtons(cell, row) {
  if (!token()) { if (cell.firstChild) cell.replaceChildren(); return; }
  const name = row.pool + "/" + row.name;
  const wanted = row.state === "ready" ? "drain" : "ready";
  if (cell.dataset.state === row.state + row.weight && cell.firstChild) return;
  cell.dataset.state = row.state + row.weight;
  const change = make("button", { textContent: wanted, "aria-label": wanted + " " + name,
    onclick: () => send(wanted, { backend: name }) });
  const weight = make("button", { textContent: "weight", "aria-label": "weight of " + name,
    onclick: () => {
      const said = prompt("Weight of " + name + ", 0 to 256", row.weight);
      if (said !== null && /^\d{1,3}$/.test(said.trim()))
        send("weight", { backend: name, weight: Number(said) });
    } });
  cell.replaceChildren(change, weight);
}

const BACKEND = [
  text("backend", (b) => b.name === b.address ? b.name : b.name + " (" + b.address + ")"),
  { title: "health", show: (cell, b) => say(cell, MARKS[b.health] || b.health, KINDS[b.health] || "") },
  { title: "state", show: (cell, b) => say(cell, b.state, b.state === "ready" ? "" : "warn") },
  number("weight", (b) => b.weight),
  number("sessions", (b) => count(b.active)),
  number("new/s", (b) => count(growth("backends", b, (x) => x.total))),
  number("in", (b) => bytes(growth("backends", b, (x) => x.bytes_in)) + "/s"),
  number("out", (b) => bytes(growth("backends", b, (x) => x.bytes_out)) + "/s"),
  number("answers in", (b) => b.response_time_ms ? b.response_time_ms + " ms" : ""),
  number("errors", (b) => b.connect_errors ? count(b.connect_errors) : ""),
  { title: "why", class: "why", show: (cell, b) => say(cell, reason(b)) },
  { title: "", class: "do", show: changeButtons },
];

function showBackends(s) {
  const wanted = $("filter").value.trim().toLowerCase(), host = $("pools");
  const known = new Map([...host.children].map((one) => [one.dataset.pool, one]));
  for (const pool of s.pools) {
    let box = known.get(pool.name);
    if (!box) {
      box = make("div", { class: "scroll", "data-pool": pool.name }, make("table"));
      box.tabIndex = 0;
      box.setAttribute("role", "region");
      box.setAttribute("aria-label", "pool " + pool.name);
      host.append(box);
    }
    known.delete(pool.name);
    const all = s.backends.filter((b) => b.pool === pool.name && (!wanted ||
      [b.pool, b.name, b.address, b.state, b.health].some((w) => w.toLowerCase().includes(wanted))));
    box.hidden = wanted !== "" && !all.length;
    fill(box.firstChild, BACKEND, all.slice(0, ROWS_MAX), (b) => b.name, (caption) => {
      const more = all.length > ROWS_MAX ? ", the first " + ROWS_MAX + " shown" : "";
      caption.replaceChildren(pool.name + " ", make("span", { textContent: pool.balance + ", " +
        pool.up + " of " + pool.backends + " up, " + count(pool.active) + " sessions" + more }));
    });
  }
  known.forEach((box) => box.remove());
}

// ---- the rest -----------------------------------------------------------------------------------

const WORKER = [
  text("worker", (w) => w.index + (w.pid ? " (pid " + w.pid + ")" : "")),
  { title: "state", show: (cell, w) => say(cell, w.paused ? "paused" : w.state,
    w.state === "runs" && !w.paused ? "good" : "bad") },
  number("clients", (w) => count(w.active)),
  number("accepted", (w) => count(w.accepted)),
  number("restarts", (w) => w.restarts),
  number("lost", (w) => count(w.lost)),
];
const LISTENER = [
  text("listener", (l) => l.name), text("address", (l) => l.bind), text("pool", (l) => l.pool),
  number("clients", (l) => count(l.active)), number("accepted", (l) => count(l.accepted)),
  number("refused", (l) => count(l.refused)),
];
const SESSION = [
  text("session", (x) => x.id), text("client", (x) => x.client),
  text("backend", (x) => x.pool + "/" + (x.backend || "-")), text("state", (x) => x.state),
  number("from client", (x) => bytes(x.bytes_in)), number("to client", (x) => bytes(x.bytes_out)),
  number("age", (x) => duration(x.age_ms / 1000)), number("idle", (x) => duration(x.idle_ms / 1000)),
];

function showAny(name, rows) {
  const shown = Array.isArray(rows) && rows.length > 0;
  $(name + "-s").hidden = !shown;
  if (!shown) return;
  const columns = Object.keys(rows[0]).map((key) => text(key.replaceAll("_", " "), (row) =>
    row[key] === null || row[key] === undefined ? "" : typeof row[key] === "object"
      ? JSON.stringify(row[key]) : row[key], { n: typeof rows[0][key] === "number" }));
  fill($(name), columns, rows.slice(0, 20), (row) => JSON.stringify(Object.values(row)[0]));
}

function showEvents(s) {
  const list = $("events"), newest = s.events.slice().reverse();
  const mark = newest.length + ":" + (newest[0] ? newest[0].at_ms + newest[0].kind : "");
  if (list.dataset.mark === mark) return;
  list.dataset.mark = mark;
  list.replaceChildren(...newest.map((e) => {
    const { at, at_ms, kind, text: said, ...rest } = e;
    // The text of a change already says who made it, what it was, and how it ended.
    const about = kind === "change" ? "" : Object.entries(rest).map(([k, v]) => k + "=" + (typeof v === "object"
      ? JSON.stringify(v) : v)).join(" ");
    return make("li", {}, make("time", { dateTime: at || "", textContent: (at || "").slice(11, 19) }),
      make("strong", { textContent: kind.replaceAll("_", " ") }),
      " " + (said ? said + " " : ""), make("span", { class: "why", textContent: about }));
  }));
  if (!newest.length) list.append(make("li", { class: "why", textContent: "nothing yet" }));
}

function tellChanges(s) {
  if (states.length < 2) return;
  const before = states[states.length - 2].byKey.backends, news = [];
  for (const b of s.backends) {
    const was = before.get(KEYS.backends(b));
    if (was && (was.health !== b.health || was.state !== b.state))
      news.push("backend " + b.pool + "/" + b.name + " is " + b.health + ", " + b.state + ". " + reason(b));
  }
  if (news.length) say($("news"), news.slice(0, 5).join(" "));
}

function show(s) {
  say($("version"), s.status.version);
  say($("about"), "up " + duration(s.status.uptime_s) + ", configuration " + s.status.generation);
  document.title = (s.pools.some((p) => p.up < p.backends) ? "! " : "") + "l4lb";
  $("unlock").hidden = !s.can_change || Boolean(token());
  showTiles(s);
  showPictures(s);
  showWeb(s);
  showCaches(s);
  showForward(s);
  showBackends(s);
  const active = s.workers.filter((w) => w.pid).map((w) => w.active);
  const mean = active.reduce((a, b) => a + b, 0) / (active.length || 1);
  say($("skew"), mean ? "The busiest has " + (Math.max(...active) / mean).toFixed(2) +
    " times the mean." : "No clients.");
  fill($("workers"), WORKER, s.workers, (w) => w.index);
  fill($("listeners"), LISTENER, s.status.listeners, (l) => l.name + l.bind);
  fill($("sessions"), SESSION, s.sessions, (x) => x.id);
  showEvents(s);
  showAny("talkers", s.talkers);
  showAny("certificates", s.certs);
  tellChanges(s);
}

// ---- changes ------------------------------------------------------------------------------------

const token = () => sessionStorage.getItem("l4lb-token") || "";

async function send(command, args) {
  $("failure").hidden = true;
  try {
    const answer = await fetch("/api/admin", {
      method: "POST",
      headers: { "Content-Type": "application/json", Authorization: "Bearer " + token() },
      body: JSON.stringify({ command, args }),
    });
    const said = await answer.json();
    if (said.ok) { say($("news"), command + " " + args.backend + ": done"); return; }
    if (answer.status === 401) sessionStorage.removeItem("l4lb-token");
    throw new Error(said.error.message);
  } catch (error) {
    say($("failure"), command + " " + args.backend + ": " + error.message);
    $("failure").hidden = false;
  }
  if (states.length) show(states[states.length - 1]);
}

$("unlock").addEventListener("click", () => { $("token-i").value = ""; $("token").showModal(); });
$("token").addEventListener("close", () => {
  const said = $("token-i").value.trim();
  if ($("token").returnValue === "ok" && said) sessionStorage.setItem("l4lb-token", said);
  if (states.length) show(states[states.length - 1]);
});
$("filter").addEventListener("input", () => states.length && showBackends(states[states.length - 1]));
$("measure").addEventListener("change", () => states.length && drawHeat(states[states.length - 1]));

// ---- the stream ---------------------------------------------------------------------------------

let heard = 0;
function receive(message) {
  const s = JSON.parse(message.data);
  heard = Date.now();
  if (states.length && s.at_ms <= states[states.length - 1].at_ms) return;
  s.byKey = {};
  for (const [list, key] of Object.entries(KEYS)) s.byKey[list] = new Map(s[list].map((x) => [key(x), x]));
  // Frees the parts that are only shown of the newest state.
  if (states.length > 1) states[states.length - 2].byKey = states[states.length - 2].backends = null;
  states.push(s);
  if (states.length > KEPT) states.shift();
  say($("link"), "live", "good");
  show(s);
}
const stream = new EventSource("/api/stream");
stream.onmessage = receive;
stream.onerror = () => say($("link"), "lost, trying again", "bad");
setInterval(() => {
  if (heard && Date.now() - heard > 5000) say($("link"), "no news for " +
    duration((Date.now() - heard) / 1000), "bad");
}, 1000);
