// The view "Floor": keeps what the stream tells, and draws it.

import { $, h, keyed, say, text, command, quoted } from "./dom.js";
import { clock, count, duration, short, spoken, stateName } from "./format.js";
import { Chart } from "./charts.js";
import { legs } from "./timeline.js";

// The order of the counts in every row, as dashboard/reader/place.py has it.
const STATES = ["talking", "held", "parked", "waiting", "ringing", "ivr", "other"];
const AT = Object.fromEntries(STATES.map((state, index) => [state, index]));
const AGENTS = [["talking", "talking"], ["held", "on hold"], ["ringing", "ringing"], ["acw", "after-call work"], ["parked", "with parked work only"]];
const TICKER_SHOWN = 24;
const LOOK_MS = 2_000;

const known = { queues: new Map(), rows: [], people: {}, ticker: [], total: STATES.map(() => 0), acw: 0, agents: {}, offset: 0 };
let filter = "*";
let rate, latency;
let paused = false;
let listed = null; // conversations of the filtered queue
let watched = null; // the conversation in the dialog

const now = () => Date.now() + known.offset;
const nameOf = (queue) => known.queues.get(queue)?.name ?? (queue ? short(queue) : "no queue");
const person = (agent) => known.people[agent] ?? short(agent);

export function start() {
  rate = new Chart($("rate-chart"), [["events", "talking", true]], "");
  latency = new Chart($("latency-chart"), [["p50", "ringing"], ["p95", "held"]], "");
  $("legend").append(...STATES.map((state) => h("li", { "data-tone": state }, h("i"), stateName(state))));
  $("bar").append(...STATES.map((state) => h("i", { "data-state": state })));
  $("queue").addEventListener("change", (event) => pick(event.target.value));
  $("pause").addEventListener("click", () => {
    paused = !paused;
    $("pause").setAttribute("aria-pressed", paused);
    text($("pause"), paused ? "paused" : "pause");
    if (!paused) ticker();
  });
  $("dialog").addEventListener("close", () => (watched = null));
  setInterval(timers, 1_000);
  setInterval(look, LOOK_MS);
}

/** One message of the stream. */
export function heard(news) {
  known.offset = news.now - Date.now();
  if (news.full) {
    known.queues.clear();
    known.ticker = [];
    rate.replace(news.points.map((one) => [one[0], one[1]]));
    latency.replace(news.points.map((one) => [one[0], one[3], one[4]]));
  } else if (news.points.length) {
    rate.add(news.points.map((one) => [one[0], one[1]]));
    latency.add(news.points.map((one) => [one[0], one[3], one[4]]));
  }
  for (const [queue, name, oldest, acw, counts] of news.queues) known.queues.set(queue, { queue, name, oldest, acw, counts });
  for (const field of ["total", "acw", "oldest", "live", "opening", "rows", "people", "agents", "presence", "left_out"]) {
    if (field in news) known[field] = news[field];
  }
  known.ticker.push(...news.ticker);
  known.ticker.splice(0, known.ticker.length - TICKER_SHOWN);
  if (news.full || news.queues.length) options();
  figures();
  queues();
  if (news.rows) rows();
  if (news.agents) agents();
  if (news.full || news.points.length) charts(news.points);
  if ((news.full || news.ticker.length) && !paused) ticker();
}

/** What keeps the figures from being whole, for the banner. */
export function caveats() {
  const found = [];
  if (known.opening != null) found.push(`Reading the past: ${Math.round(100 * known.opening)} %. Figures are not whole yet.`);
  if (known.left_out) found.push(`${count(known.left_out)} events of further conversations were left out: there are too many for this page.`);
  return found;
}

// --- figures ---------------------------------------------------------------------------------------

function current() {
  if (filter === "*") return { counts: known.total, acw: known.acw, oldest: known.oldest };
  return known.queues.get(filter === "" ? null : filter) ?? { counts: STATES.map(() => 0), acw: 0, oldest: null };
}

function figures() {
  const { counts, acw, oldest } = current();
  const live = counts.reduce((sum, one) => sum + one, 0);
  const rest = counts[AT.ringing] + counts[AT.ivr] + counts[AT.other];
  const shown = {
    waiting: counts[AT.waiting], talking: counts[AT.talking], held: counts[AT.held], parked: counts[AT.parked], acw, live,
  };
  for (const [name, value] of Object.entries(shown)) text(figure(name), count(value));
  text(figure("longest"), oldest == null ? "\u00a0" : `longest ${duration(now() - oldest)}`);
  text(figure("rest"), rest ? `${count(rest)} ringing, in menus, other` : "\u00a0");
  const bar = $("bar");
  STATES.forEach((state, index) => segment(bar.children[index], counts[index]));
  const words = STATES.map((state, index) => `${counts[index]} ${stateName(state)}`).join(", ");
  if (bar.getAttribute("aria-label") !== words) bar.setAttribute("aria-label", words);
  const wait = oldest == null ? "" : `, the longest ${spoken(now() - oldest)}`;
  say(`${shown.waiting} waiting${wait}. ${shown.talking} talking, ${shown.held} on hold.`, { routine: true });
}

const found = {};
const figure = (name) => (found[name] ??= document.querySelector(`[data-figure="${name}"]`));

function segment(element, value) {
  if (element.dataset.count === String(value)) return;
  element.dataset.count = value;
  element.style.flexGrow = value;
}

// --- queues ----------------------------------------------------------------------------------------

function options() {
  const queues = [...known.queues.keys()].sort((a, b) => nameOf(a).localeCompare(nameOf(b)));
  keyed($("queue"), ["*", ...queues], (queue) => String(queue ?? ""), (queue) =>
    queue === "*" ? $("queue").firstElementChild ?? h("option", { value: "*", textContent: "All queues" }) : h("option", { value: queue ?? "" }),
  (element, queue) => { if (queue !== "*") text(element, nameOf(queue)); });
}

function pick(queue) {
  filter = queue;
  $("queue").value = queue;
  listed = null;
  figures();
  queues();
  rows();
  look();
  say(queue === "*" ? "All queues" : `Only queue ${nameOf(queue || null)}`);
}

function queues() {
  const busy = [...known.queues.values()].filter((row) => row.acw || row.counts.some(Boolean));
  busy.sort((a, b) => b.counts[AT.waiting] - a.counts[AT.waiting] || sum(b) - sum(a) || nameOf(a.queue).localeCompare(nameOf(b.queue)));
  $("queues-empty").hidden = busy.length > 0;
  keyed($("queues"), busy, (row) => row.queue ?? "", makeQueue, fillQueue);
}

const sum = (row) => row.counts.reduce((all, one) => all + one, 0);

function makeQueue(row) {
  const button = h("button", { type: "button", className: "link" });
  button.addEventListener("click", () => pick(filter === (row.queue ?? "") ? "*" : row.queue ?? ""));
  const bar = h("div", { className: "bar", "aria-hidden": "true" }, ...STATES.map((state) => h("i", { "data-state": state })));
  return h("tr", {}, h("th", { scope: "row" }, button), ...Array.from({ length: 7 }, () => h("td")), h("td", { className: "bars" }, bar));
}

function fillQueue(element, row) {
  const cells = element.children;
  const { counts } = row;
  const button = cells[0].firstElementChild;
  text(button, nameOf(row.queue));
  button.title = row.queue ?? "internal and direct conversations";
  const picked = filter === (row.queue ?? "");
  button.setAttribute("aria-pressed", picked);
  element.dataset.picked = picked;
  const rest = counts[AT.ringing] + counts[AT.ivr] + counts[AT.other];
  const values = [counts[AT.waiting], row.oldest == null ? "–" : duration(now() - row.oldest), counts[AT.talking], counts[AT.held], counts[AT.parked], rest, row.acw];
  values.forEach((value, index) => {
    const cell = cells[index + 1];
    text(cell, value);
    cell.className = value === 0 || value === "–" ? "zero" : index < 2 ? "is-waiting" : "";
  });
  const bar = cells[8].firstElementChild;
  STATES.forEach((state, index) => segment(bar.children[index], counts[index]));
}

// --- conversations ---------------------------------------------------------------------------------

/** Asks for what the stream does not carry: the list of one queue, the conversation in the dialog. */
async function look() {
  if (document.hidden) return;
  try {
    if (filter !== "*") {
      const asked = filter;
      const answer = await fetch(`/api/conversations?limit=50&queue=${encodeURIComponent(asked)}`);
      if (answer.ok && asked === filter) {
        const told = await answer.json();
        listed = told.rows;
        Object.assign(known.people, told.people);
        rows();
      }
    }
    if (watched) await timeline(watched);
  } catch { /* the banner tells of a lost connection */ }
}

function rows() {
  const shown = filter === "*" ? known.rows : listed ?? known.rows.filter((row) => (row[2] ?? "") === filter);
  $("rows-empty").hidden = shown.length > 0;
  const { counts } = current();
  const live = counts.reduce((all, one) => all + one, 0);
  text($("rows-note"), shown.length < live ? `${shown.length} of ${count(live)}: those who wait first, then the longest` : "those who wait first, then the longest");
  keyed($("rows"), shown, (row) => row[0], makeRow, fillRow);
}

function makeRow(row) {
  const button = h("button", { type: "button", className: "link id", textContent: short(row[0]), title: row[0] });
  button.setAttribute("aria-label", `Conversation ${short(row[0])}: timeline`);
  button.addEventListener("click", () => open(row[0]));
  return h("tr", {}, h("td", {}, button), h("td", {}, h("i", { className: "tone", "aria-hidden": "true" }), h("span")),
    h("td"), h("td"), h("td"), h("td", { className: "id" }));
}

function fillRow(element, row) {
  const [, state, queue, since, medium, direction, agents] = row;
  const cells = element.children;
  cells[1].firstElementChild.dataset.state = state;
  text(cells[1].lastElementChild, stateName(state));
  element.since = since;
  text(cells[2], duration(now() - since));
  text(cells[3], [medium?.replaceAll("_", " "), direction].filter(Boolean).join(", "));
  text(cells[4], nameOf(queue));
  text(cells[5], agents.map(person).join(", "));
}

function timers() {
  if (document.hidden) return;
  for (const element of $("rows").children) text(element.children[2], duration(now() - element.since));
  if (known.queues.size) { figures(); queues(); }
}

async function open(id) {
  watched = id;
  text($("dialog-title"), `Conversation ${id}`);
  text($("dialog-note"), "…");
  $("dialog-chart").replaceChildren();
  $("dialog-legs").replaceChildren();
  $("dialog-command").replaceChildren(command(`mirror conversations ${quoted(id)}`));
  $("dialog").showModal();
  $("dialog-title").focus();
  await timeline(id).catch(() => text($("dialog-note"), "The server does not answer."));
}

async function timeline(id) {
  const answer = await fetch(`/api/conversations/${encodeURIComponent(id)}`);
  const told = await answer.json();
  if (watched !== id) return;
  if (!answer.ok) return text($("dialog-note"), told.error);
  const over = told.finalized ? `finalised by a janitor (${told.finalized})` : told.state === "ended" ? "over" : "active";
  text($("dialog-note"), told.adopted ? `${over}; it began before what this page has read, so its early course is not drawn` : over);
  $("dialog-chart").replaceChildren(legs(told, now()));
  $("dialog-legs").replaceChildren(...told.legs.map((leg) => h("tr", {},
    h("th", { scope: "row", textContent: leg.role ? `${leg.purpose} (${leg.role})` : leg.purpose ?? "leg" }), h("td", { textContent: leg.medium }),
    h("td", { textContent: leg.queue ? told.names[leg.queue] ?? short(leg.queue) : "–" }),
    h("td", { className: "id", textContent: leg.agent ? told.names[leg.agent] ?? short(leg.agent) : "–" }),
    h("td", { textContent: leg.ended ? leg.disconnect ?? "ended" : stateName(leg.now) }),
    h("td", { textContent: leg.stretches.map(([state, since, until]) => `${stateName(state)} ${duration((until ?? now()) - since)}`).join(" → ") || "–" }))));
}

// --- agents, charts, ticker ------------------------------------------------------------------------

function agents() {
  keyed($("agents"), AGENTS, (one) => one[0], ([state, words]) =>
    h("tr", {}, h("td", {}, h("i", { className: "tone", "data-state": state, "aria-hidden": "true" }), words), h("td", { "data-agents": state })),
  (element, [state]) => text(element.lastElementChild, count(known.agents[state] ?? 0)));
  const presence = known.presence;
  text($("presence-note"), presence == null
    ? "Seen from their conversations. Presence is not mirrored (MIRROR_SUBSCRIBE has no agents)."
    : "By routing status and presence:");
  const words = Object.entries(presence ?? {}).sort((a, b) => b[1] - a[1]);
  keyed($("presence"), words, (one) => one[0], ([word]) => h("tr", {}, h("td", { textContent: word.toLowerCase().replaceAll("_", " ") }), h("td")),
    (element, one) => text(element.lastElementChild, count(one[1])));
}

function charts(points) {
  const last = points.at(-1);
  if (!last) return;
  text($("rate"), `${count(last[1])}/s`);
  text($("latency"), last[3] == null ? "–" : `${count(last[3])} ms · p95 ${count(last[4])}`);
  $("rate-chart").setAttribute("aria-label", `Events a second, last five minutes; now ${last[1]}`);
  $("latency-chart").setAttribute("aria-label", `Latency from socket to page, last five minutes; now ${last[3] ?? "unknown"} milliseconds in the median`);
}

function ticker() {
  const shown = [...known.ticker].reverse();
  keyed($("ticker"), shown, (event) => `${event[6]} ${event[1]} ${event[0]} ${event[3]}`, ([at, kind, medium, purpose, queue, , conversation]) =>
    h("li", {}, h("time", { textContent: clock(at) }), h("b", { textContent: kind }),
      h("span", { title: conversation, textContent: [purpose ? `${purpose} · ${medium?.replaceAll("_", " ")}` : `conversation ${short(conversation)}`, queue ? nameOf(queue) : ""].filter(Boolean).join(" · ") })));
}
