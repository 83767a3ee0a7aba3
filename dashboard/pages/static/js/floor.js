// The view "Floor": keeps what the stream tells, and draws it.

import { $, h, keyed, say, text } from "./dom.js";
import { clock, count, short, spoken, stateName } from "./format.js";
import { change, read } from "./address.js";
import { AT, NONE, STATES, elapsed, known, nameOf, now, sum } from "./known.js";
import { Chart } from "./charts.js";
import * as dialog from "./dialog.js";
import * as filters from "./filters.js";
import * as rows from "./rows.js";
import * as today from "./today.js";

export { freeze } from "./known.js";

const AGENTS = [["talking", "talking"], ["held", "on hold"], ["ringing", "ringing"], ["acw", "after-call work"], ["parked", "with parked work only"]];
const TICKER_SHOWN = 24;
const FIELDS = ["total", "acw", "oldest", "live", "opening", "rows", "agents", "presence", "left_out", "today"];

let rate, latency;
let paused = false;

export function start() {
  rate = new Chart($("rate-chart"), [["events", "talking", true]], "");
  latency = new Chart($("latency-chart"), [["median", "ringing"], ["95 %", "held"]], " ms");
  $("legend").append(...STATES.map((state) => h("li", { "data-tone": state }, h("i"), stateName(state))));
  $("bar").append(...STATES.map((state) => h("i", { "data-state": state })));
  $("pause").addEventListener("click", () => {
    paused = !paused;
    $("pause").setAttribute("aria-pressed", paused);
    text($("pause"), paused ? "paused" : "pause");
    if (!paused) ticker();
  });
  rows.start();
  filters.start(drawn);
  dialog.start();
  setInterval(timers, 1_000);
}

/** One message of the stream. */
export function heard(news) {
  known.offset = news.now - Date.now();
  const points = news.points ?? [];
  if (news.full) {
    known.queues.clear();
    known.ticker = [];
    rate.replace(points.map((one) => [one[0], one[1]]));
    latency.replace(points.map((one) => [one[0], one[3], one[4]]));
  } else if (points.length) {
    rate.add(points.map((one) => [one[0], one[1]]));
    latency.add(points.map((one) => [one[0], one[3], one[4]]));
  }
  for (const [queue, name, oldest, acw, counts, day] of news.queues) known.queues.set(queue, { queue, name, oldest, acw, counts, today: day });
  for (const field of FIELDS) if (field in news) known[field] = news[field];
  if (news.people) Object.assign(known.people, news.people);
  known.ticker.push(...news.ticker);
  known.ticker.splice(0, known.ticker.length - TICKER_SHOWN);
  if (news.full || news.queues.length) filters.options();
  if (!known.chosen) {
    figures();
    queues();
    if (news.rows) rows.draw();
    if (news.agents) agents();
    if ((news.full || news.ticker.length) && !paused) ticker();
  }
  if (news.today || news.full) today.draw();
  if (news.agents) presence();
  if (news.full || points.length) charts(points);
}

/** What keeps the figures from being whole, for the banner. */
export function caveats() {
  const found = [];
  if (known.opening != null) found.push(`Reading the past: ${Math.round(100 * known.opening)} %. Figures are not whole yet.`);
  if (known.left_out) found.push(`${count(known.left_out)} events of further conversations were left out: there are too many for this page.`);
  if (known.today?.left_out) found.push("Today has more conversations, or more legs of one, than this page counts: today's figures are not exact.");
  return found;
}

/** The filters, or the answer to them, changed. */
function drawn() {
  figures();
  queues();
  rows.draw();
  agents();
  today.draw();
  if (!paused) ticker();
}

function timers() {
  if (document.hidden || !known.queues.size) return;
  rows.tick();
  figures();
  queues();
}

// --- figures ---------------------------------------------------------------------------------------

/** The rows of queues, of the chosen conversations where some are chosen. */
function current() {
  if (!known.chosen) return [...known.queues.values()];
  return known.chosen.queues.map(([queue, oldest, acw, counts]) => ({ queue, oldest, acw, counts }));
}

function totals() {
  if (!known.chosen) return { counts: known.total, acw: known.acw, oldest: known.oldest };
  const all = current();
  const waits = all.map((row) => row.oldest).filter((one) => one !== null);
  return {
    counts: NONE.map((_, index) => all.reduce((found, row) => found + row.counts[index], 0)),
    acw: all.reduce((found, row) => found + row.acw, 0),
    oldest: waits.length ? Math.min(...waits) : null,
  };
}

function figures() {
  const { counts, acw, oldest } = totals();
  const rest = counts[AT.ringing] + counts[AT.ivr] + counts[AT.other];
  const shown = {
    waiting: counts[AT.waiting], talking: counts[AT.talking], held: counts[AT.held], parked: counts[AT.parked], acw, live: sum(counts),
  };
  for (const [name, value] of Object.entries(shown)) text(figure(name), count(value));
  text(figure("longest"), oldest == null ? "\u00a0" : `longest ${elapsed(oldest)}`);
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

function queues() {
  const busy = current().filter((row) => row.acw || row.counts.some(Boolean));
  busy.sort((a, b) => b.counts[AT.waiting] - a.counts[AT.waiting] || sum(b.counts) - sum(a.counts) || nameOf(a.queue).localeCompare(nameOf(b.queue)));
  $("queues-empty").hidden = busy.length > 0;
  keyed($("queues"), busy, (row) => row.queue ?? "", makeQueue, fillQueue);
}

function makeQueue(row) {
  const name = row.queue ?? "";
  const button = h("button", { type: "button", className: "link" });
  button.addEventListener("click", () => filters.choose("queue", read().queue === name ? null : name));
  const bar = h("div", { className: "bar", "aria-hidden": "true" }, ...STATES.map((state) => h("i", { "data-state": state })));
  return h("tr", {}, h("th", { scope: "row" }, button), ...Array.from({ length: 7 }, () => h("td")), h("td", { className: "bars" }, bar));
}

function fillQueue(element, row) {
  const cells = element.children;
  const { counts } = row;
  const button = cells[0].firstElementChild;
  text(button, nameOf(row.queue));
  button.title = row.queue ?? "internal and direct conversations";
  const picked = read().queue === (row.queue ?? "");
  button.setAttribute("aria-pressed", picked);
  element.dataset.picked = picked;
  const rest = counts[AT.ringing] + counts[AT.ivr] + counts[AT.other];
  const values = [counts[AT.waiting], row.oldest == null ? "–" : elapsed(row.oldest), counts[AT.talking], counts[AT.held], counts[AT.parked], rest, row.acw];
  values.forEach((value, index) => {
    const cell = cells[index + 1];
    text(cell, value);
    cell.className = value === 0 || value === "–" ? "zero" : index < 2 ? "is-waiting" : "";
  });
  const bar = cells[8].firstElementChild;
  STATES.forEach((state, index) => segment(bar.children[index], counts[index]));
}

// --- agents, charts, ticker ------------------------------------------------------------------------

function agents() {
  const counts = known.chosen?.agents ?? known.agents;
  keyed($("agents"), AGENTS, (one) => one[0], ([state, words]) =>
    h("tr", {}, h("td", {}, h("i", { className: "tone", "data-state": state, "aria-hidden": "true" }), words), h("td", { "data-agents": state })),
  (element, [state]) => text(element.lastElementChild, count(counts[state] ?? 0)));
}

function presence() {
  const told = known.presence;
  text($("presence-note"), told == null
    ? "Seen from their conversations. Presence is not mirrored (MIRROR_SUBSCRIBE has no agents)."
    : "All agents by routing status and presence:");
  const words = Object.entries(told ?? {}).sort((a, b) => b[1] - a[1]);
  keyed($("presence"), words, (one) => one[0], ([word]) => h("tr", {}, h("td", { textContent: word.toLowerCase().replaceAll("_", " ") }), h("td")),
    (element, one) => text(element.lastElementChild, count(one[1])));
}

function charts(points) {
  const last = points.at(-1);
  if (!last) return;
  text($("rate"), `${count(last[1])}/s`);
  text($("latency"), last[3] == null ? "–" : `${count(last[3])} ms · 95 % ${count(last[4])} ms`);
  $("rate-chart").setAttribute("aria-label", `Events a second, last five minutes; now ${last[1]}`);
  $("latency-chart").setAttribute("aria-label", `Latency from socket to page, last five minutes; now ${last[3] ?? "unknown"} milliseconds in the median`);
}

function ticker() {
  const latest = known.chosen ? known.chosen.ticker.slice(-TICKER_SHOWN) : known.ticker;
  text($("ticker-note"), known.chosen ? "of those that fit" : "");
  keyed($("ticker"), [...latest].reverse(), (event) => `${event[6]} ${event[1]} ${event[0]} ${event[3]} ${event[5]}`, makeLine, fillLine);
}

function fillLine(element, [, , medium, purpose, queue, , conversation]) {
  const words = [purpose ? `${purpose} · ${medium?.replaceAll("_", " ")}` : `conversation ${short(conversation)}`, queue ? nameOf(queue) : ""];
  text(element.firstElementChild.lastElementChild, words.filter(Boolean).join(" · "));
}

function makeLine([at, kind, , , , , conversation]) {
  const button = h("button", { type: "button", className: "line", title: conversation },
    h("time", { textContent: clock(at) }), h("b", { textContent: kind.replace("_", " ") }), h("span"));
  button.addEventListener("click", () => change({ open: conversation }));
  return h("li", {}, button);
}
