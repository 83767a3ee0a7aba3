// The filters of the floor: their fields, and the server's answer to them.

import { $, h, keyed, say, text } from "./dom.js";
import { stateName } from "./format.js";
import { FILTERS, change, isFiltered, read, watch } from "./address.js";
import { STATES, known, nameOf } from "./known.js";

// The media of Genesys Cloud's conversations.
const MEDIA = ["call", "callback", "chat", "cobrowse", "email", "internal_message", "message", "screenshare", "social", "video"];
const ANY = "*";
const LOOK_MS = 2_000;
const TYPING_MS = 250;

let answered = () => {};
let timer;
let asking = 0;

/** `heard()` is called with each new answer, and when nothing is filtered any more. */
export function start(heard) {
  answered = heard;
  $("medium").append(...MEDIA.map((one) => h("option", { value: one, textContent: one.replaceAll("_", " ") })));
  $("state").append(...[...STATES, "acw"].map((one) => h("option", { value: one, textContent: stateName(one) })));
  for (const name of ["queue", "medium", "state"]) {
    $(name).addEventListener("change", (event) => choose(name, event.target.value === ANY ? null : event.target.value));
  }
  for (const name of ["agent", "beginning"]) {
    $(name).addEventListener("input", (event) => {
      clearTimeout(timer);
      timer = setTimeout(() => change({ [name]: event.target.value.trim() || null, page: null }, { quiet: true }), TYPING_MS);
    });
  }
  $("filters").addEventListener("submit", submitted);
  $("clear").addEventListener("click", () => change({ ...Object.fromEntries(FILTERS.map((name) => [name, null])), page: null }));
  watch(shown);
  shown(read());
  setInterval(() => needsAsking() && ask(), LOOK_MS);
}

/** Chooses one value of a filter; null for all. */
export function choose(name, value) {
  change({ [name]: value, page: null });
  say(value === null ? `All: ${name}` : `Only ${name} ${name === "queue" ? nameOf(value || null) : value}`);
}

/** The options of queues, as far as they are known. */
export function options() {
  const queues = [...known.queues.keys()].sort((a, b) => nameOf(a).localeCompare(nameOf(b)));
  const wanted = read().queue;
  if (wanted !== null && !known.queues.has(wanted || null)) queues.push(wanted || null);
  keyed($("queue"), [ANY, ...queues], (queue) => String(queue ?? ""), (queue) =>
    queue === ANY ? $("queue").firstElementChild ?? h("option", { value: ANY, textContent: "all" }) : h("option", { value: queue ?? "" }),
  (element, queue) => { if (queue !== ANY) text(element, nameOf(queue)); });
  $("queue").value = wanted ?? ANY;
}

/** Enter in the search field opens the one conversation that is left. */
function submitted(event) {
  event.preventDefault();
  clearTimeout(timer);
  const beginning = $("beginning").value.trim();
  change({ agent: $("agent").value.trim() || null, beginning: beginning || null, page: null }, { quiet: true });
  if (beginning) ask().then(() => known.chosen?.count === 1 && change({ open: known.chosen.rows[0][0] }));
}

const needsAsking = (place = read()) => place.view !== "mirror" && !document.hidden && (isFiltered(place) || place.page > 1);

function shown(place) {
  options();
  for (const name of ["medium", "state"]) $(name).value = place[name] ?? ANY;
  for (const name of ["agent", "beginning"]) if (document.activeElement !== $(name)) $(name).value = place[name] ?? "";
  const filtered = isFiltered(place);
  $("clear").hidden = !filtered;
  for (const note of document.querySelectorAll(".unfiltered")) note.hidden = !filtered;
  if (needsAsking(place)) ask();
  else {
    asking += 1;
    known.chosen = null;
    answered();
  }
}

/** Asks the server for the chosen conversations and their figures. */
async function ask() {
  const mine = (asking += 1);
  const place = read();
  const query = new URLSearchParams([...FILTERS, "page"].filter((name) => place[name] !== null).map((name) => [name, place[name]]));
  try {
    const answer = await fetch(`/api/conversations?${query}`);
    if (!answer.ok || mine !== asking) return;
    known.chosen = await answer.json();
    Object.assign(known.people, known.chosen.people);
    answered();
  } catch { /* the banner tells of a lost connection */ }
}
