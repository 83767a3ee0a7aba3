// One conversation: its legs over time, their table, and all its events.

import { $, command, h, quoted, text } from "./dom.js";
import { clock, count, duration, roleName, short, stateName } from "./format.js";
import { change, read, watch } from "./address.js";
import { now } from "./known.js";
import { legs } from "./timeline.js";

const LOOK_MS = 2_000;

let opened = null; // the id of the conversation that is shown
let told = null;

export function start() {
  $("dialog").addEventListener("close", () => {
    if (opened === null) return;
    opened = told = null;
    change({ open: null });
  });
  watch(follow);
  follow(read());
  setInterval(() => opened && !document.hidden && look().catch(() => {}), LOOK_MS);
  new ResizeObserver(() => told && drawChart()).observe($("dialog-chart"));
}

function follow({ open }) {
  if (open === opened) return;
  if (open === null) {
    opened = told = null;
    return $("dialog").close();
  }
  opened = open;
  told = null;
  text($("dialog-title"), `Conversation ${open}`);
  text($("dialog-note"), "…");
  for (const id of ["dialog-chart", "dialog-legs", "dialog-legend", "dialog-events"]) $(id).replaceChildren();
  text($("dialog-events-count"), "");
  $("dialog-command").replaceChildren(command(`mirror conversations ${quoted(open)}`));
  if (!$("dialog").open) $("dialog").showModal();
  $("dialog-title").focus();
  look().catch(() => text($("dialog-note"), "The server does not answer."));
}

async function look() {
  const id = opened;
  const answer = await fetch(`/api/conversations/${encodeURIComponent(id)}`);
  const found = await answer.json();
  if (opened !== id) return;
  if (!answer.ok) return text($("dialog-note"), found.error);
  told = found;
  draw();
}

const agentOf = (leg) => (leg.agent ? told.names[leg.agent] ?? short(leg.agent) : "–");
const queueOf = (leg) => (leg.queue ? told.names[leg.queue] ?? short(leg.queue) : "–");
const legOf = (leg) => `${leg.purpose ?? "leg"}${leg.role ? ` (${roleName(leg.role)})` : ""}`;
const endOf = (leg) => (leg.disconnect ? `ended (${leg.disconnect.replaceAll("_", " ").replaceAll(".", ", ")})` : "ended");

function draw() {
  const over = told.finalized ? `finalized by a janitor (${told.finalized.replace("_", " ")})` : told.state === "ended" ? "over" : "active";
  text($("dialog-note"), told.adopted ? `${over}; it began before what this page has read, so its early course is not drawn` : over);
  drawChart();
  const states = [...new Set(told.legs.flatMap((leg) => leg.stretches.map(([state]) => state)))];
  $("dialog-legend").replaceChildren(...states.map((state) => h("li", {}, h("i", { className: "tone", "data-state": state, "aria-hidden": "true" }), stateName(state))));
  $("dialog-legs").replaceChildren(...told.legs.map((leg) => h("tr", {},
    h("th", { scope: "row", textContent: legOf(leg) }), h("td", { textContent: leg.medium }),
    h("td", { textContent: queueOf(leg) }), h("td", { textContent: agentOf(leg) }),
    h("td", { textContent: leg.ended ? endOf(leg) : stateName(leg.now) }),
    h("td", { textContent: leg.stretches.map(([state, since, until]) => `${stateName(state)} ${duration((until ?? now()) - since)}`).join(" → ") || "–" }))));
  events();
}

function drawChart() {
  $("dialog-chart").replaceChildren(...(told.legs.length ? [legs(told, now(), $("dialog-chart").clientWidth)] : []));
}

function events() {
  const all = [
    ...told.marks.map(([at, kind]) => [at, kind, "conversation", "–"]),
    ...told.legs.flatMap((leg) => leg.marks.map(([at, kind]) => [at, kind, `${legOf(leg)} · ${leg.medium}`, agentOf(leg)])),
  ].sort((a, b) => a[0] - b[0]);
  text($("dialog-events-count"), count(all.length));
  $("dialog-events").replaceChildren(...all.map(([at, kind, leg, agent]) => h("tr", {},
    h("td", { textContent: clock(at) }), h("td", { textContent: kind.replace("_", " ") }), h("td", { textContent: leg }), h("td", { textContent: agent }))));
}
