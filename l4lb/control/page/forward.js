// The dashboard's part for forward proxies. It uses what page.js has, when that shows a state.
"use strict";

const SILENT_MS = 5000; // the policy process writes its counts once a second
const columnsOf = {};

function makeColumns() {
  const names = (title) => [
    text(title, (t) => t.name), number("requests", (t) => count(t.requests)),
    number("refused", (t) => t.denied ? count(t.denied) : ""),
    text("last rule", (t) => t.rule || "", { class: "why" }),
  ];
  const of = (f, word) => f.verdicts[word] || 0;
  Object.assign(columnsOf, {
    forwards: [
      text("forward proxy", (f) => f.forward),
      number("requests/s", (f) => count(growth("forwards", f, (x) => x.requests))),
      number("refused/s", (f) => count(growth("forwards", f, (x) => x.refused))),
      number("requests", (f) => count(f.requests)),
      number("allowed", (f) => count(of(f, "allow"))),
      number("refused by rules", (f) => count(of(f, "deny"))),
      number("leads inside", (f) => count(of(f, "private"))),
      number("asked for a user", (f) => count(of(f, "auth"))),
      number("no address", (f) => count(of(f, "no_name") + of(f, "failed"))),
    ],
    users: names("user"), domains: names("host"),
    denied: names("host").filter((column) => column.title !== "requests"),
    lists: [
      text("list", (l) => l.list), number("names", (l) => count(l.entries)),
      number("no names", (l) => l.wrong ? count(l.wrong) : ""),
      number("read", (l) => l.age_s === null ? "never" : duration(l.age_s) + " ago"),
      number("memory", (l) => bytes(l.memory_bytes)),
      number("hits/s", (l) => count(growth("lists", l, (x) => x.hits))),
      number("hits", (l) => count(l.hits)),
      text("", (l) => l.error || "", { class: "why" }),
    ],
  });
}

// The rows of one table, of all proxies; where there are several, names say whose they are.
function topOf(s, table) {
  const several = s.forwards.length > 1;
  return s.forwards.flatMap((f) => (f[table] || []).map((t) => ({
    ...t, key: f.forward + " " + t.name, name: several ? f.forward + ": " + t.name : t.name })))
    .sort((a, b) => b.requests - a.requests).slice(0, 10);
}

function showTop(s, table, caption) {
  const rows = topOf(s, table);
  $(table).parentElement.hidden = !rows.length;
  fill($(table), columnsOf[table], rows, (t) => t.key, (head) => say(head, caption));
}

function showPolicy(s) {
  const one = s.policy, silent = !one || one.age_ms > SILENT_MS;
  const asked = perSecond((x) => x.policy ? x.policy.answered : 0);
  say($("policy"), silent ? "The policy process gives no sign of life" +
    (one ? " for " + duration(one.age_ms / 1000) : "") + "; remembered decisions hold."
    : "Policy process (pid " + one.pid + "): " + count(asked) + " questions/s, " +
    count(one.waiting) + " waiting, " + count(one.answered) + " answered", silent ? "bad" : "");
}

function showForward(s) {
  $("forward-s").hidden = !s.forwards.length;
  if (!s.forwards.length) return;
  if (!columnsOf.forwards) makeColumns();
  const sum = (pick) => (x) => x.forwards.reduce((n, f) => n + pick(f), 0);
  showPolicy(s);
  drawLines("asked", [
    { title: "requests/s", color: "--accent", values: series(sum((f) => f.requests)) },
    { title: "refused/s", color: "--bad", dash: [5, 3], values: series(sum((f) => f.refused)) },
    { title: "asked for a user/s", color: "--warn", dash: [2, 3],
      values: series(sum((f) => f.verdicts.auth || 0)) },
  ], count);
  fill($("forwards"), columnsOf.forwards, s.forwards, KEYS.forwards);
  showTop(s, "users", "Users with the most requests");
  showTop(s, "domains", "Hosts with the most requests");
  showTop(s, "denied", "Hosts that were refused most");
  $("lists").parentElement.hidden = !s.lists.length;
  fill($("lists"), columnsOf.lists, s.lists, KEYS.lists,
    (head) => say(head, "Lists of domains"));
}
