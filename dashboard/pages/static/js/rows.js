// The table of conversations, page by page.

import { $, h, keyed, text } from "./dom.js";
import { count, roleName, short, stateName } from "./format.js";
import { change, isFiltered, read } from "./address.js";
import { elapsed, known, nameOf, person, sum } from "./known.js";

const PAGE = 50;

export function start() {
  $("page-before").addEventListener("click", () => turn(-1));
  $("page-after").addEventListener("click", () => turn(1));
}

function turn(by) {
  const page = Math.max(1, Number(read().page ?? 1) + by);
  change({ page: page > 1 ? String(page) : null });
  $("rows-title").scrollIntoView({ block: "nearest" });
}

/** Draws the page that the address asks for. */
export function draw() {
  const { chosen } = known;
  const place = read();
  const page = Number(place.page ?? 1);
  if (!chosen && (isFiltered(place) || page > 1)) return; // the answer is under way
  const shown = chosen ? chosen.rows : known.rows;
  const all = chosen ? chosen.count : sum(known.total);
  $("rows-empty").hidden = shown.length > 0;
  text($("rows-empty"), all > 0 ? "The list has become shorter than this page." : isFiltered(place) ? "No conversation fits the filters, of those that this page knows." : "Nothing is active.");
  text($("rows-note"), place.beginning ? "active ones first, then those that are over" : "those who wait first, then the longest");
  keyed($("rows"), shown, (row) => row[0], make, fill);
  $("pages").hidden = all <= PAGE && page === 1;
  const first = (page - 1) * PAGE + 1;
  text($("page-now"), shown.length ? `${count(first)} to ${count(first + shown.length - 1)} of ${count(all)}` : `nothing here, of ${count(all)}`);
  $("page-before").disabled = page <= 1;
  $("page-after").disabled = page * PAGE >= all;
}

/** Lets the ages of what is shown go on. */
export function tick() {
  for (const element of $("rows").children) text(element.children[2], element.since == null ? "–" : elapsed(element.since));
}

function make(row) {
  const button = h("button", { type: "button", className: "link id", textContent: short(row[0]), title: row[0] });
  button.setAttribute("aria-label", `Conversation ${short(row[0])}: timeline`);
  button.addEventListener("click", () => change({ open: row[0] }));
  return h("tr", {}, h("td", {}, button), h("td", {}, h("i", { className: "tone", "aria-hidden": "true" }), h("span")),
    h("td"), h("td"), h("td"), h("td"));
}

function fill(element, row) {
  const [, state, queue, since, medium, direction, agents] = row;
  const cells = element.children;
  const rings = state === "waiting" && agents.some(([, does]) => does === "ringing");
  cells[1].firstElementChild.dataset.state = state;
  text(cells[1].lastElementChild, rings ? "waiting, an agent rings" : stateName(state));
  element.since = since;
  text(cells[2], since == null ? "–" : elapsed(since));
  text(cells[3], [medium?.replaceAll("_", " "), direction].filter(Boolean).join(", "));
  text(cells[4], nameOf(queue));
  text(cells[5], agents.map(([agent, does]) => `${person(agent)}${aside(does, state)}`).join(", "));
}

/** What an agent does, where the conversation's state does not say it. */
const aside = (does, state) => (does === state ? "" : ` (${roleName(does)})`);
