// Today's figures, queue by queue, as dashboard/reader/today.py counts them.

import { $, h, keyed, text } from "./dom.js";
import { count, duration, moment } from "./format.js";
import { read } from "./address.js";
import { known, nameOf } from "./known.js";

// The order of the values of a queue.
const FIELDS = ["offered", "answered", "inTime", "abandoned", "flowedOut", "wait", "handled", "handle"];
const WORDS = ["Service level", "Offered", "Answered", "Abandoned", "Flowed out", "Average wait", "Average handle"];

const named = (values) => Object.fromEntries(FIELDS.map((name, index) => [name, values[index]]));
const share = (part, whole) => (whole ? `${Math.round((100 * part) / whole)} %` : "–");
const average = (ms, of) => (of ? duration(ms / of) : "–");
const level = (one) => share(one.inTime, one.answered + one.abandoned);

export function draw() {
  const { today } = known;
  if (!today) return;
  const place = read();
  const rows = [...known.queues.values()].filter((row) => row.today.some(Boolean) && (place.queue === null || (row.queue ?? "") === place.queue));
  const total = named(FIELDS.map((_, index) => rows.reduce((all, row) => all + row.today[index], 0)));
  const shown = [level(total), count(total.offered), part(total.abandoned, total, "answered"), part(total.abandoned, total, "abandoned"),
    count(total.flowedOut), average(total.wait, total.answered), average(total.handle, total.handled)];
  keyed($("today-figures"), WORDS, (word) => word, (word) => h("div", {}, h("dt", { textContent: word }), h("dd", { "data-today": word })),
    (element, word) => text(element.lastElementChild, shown[WORDS.indexOf(word)]));
  text($("today-note"), [since(today), `service level: answered within ${seconds(today.within)}`, scope(place)].filter(Boolean).join("; "));
  text($("day-note"), scope(place));
  rows.sort((a, b) => b.today[0] - a.today[0] || nameOf(a.queue).localeCompare(nameOf(b.queue)));
  $("day-empty").hidden = rows.length > 0;
  keyed($("day"), rows, (row) => row.queue, (row) => h("tr", {}, h("th", { scope: "row", title: row.queue }), ...Array.from({ length: 7 }, () => h("td"))), fill);
}

function part(_, total, name) {
  return total.offered ? `${count(total[name])} · ${share(total[name], total.offered)}` : count(total[name]);
}

/** Of which conversations these figures are, where filters restrict the others. */
function scope(place) {
  const others = ["medium", "state", "agent", "beginning"].filter((name) => place[name] !== null);
  if (!others.length) return "";
  return `of all conversations of ${place.queue === null ? "all queues" : "this queue"}: the other filters do not apply`;
}

function since(today) {
  if (!today.from) return "reading what happened earlier today";
  const from = Math.max(today.day, today.from);
  return from > today.day ? `since ${moment(from)}: Kafka has no more of today` : `since ${moment(today.day)}`;
}

const seconds = (ms) => (ms % 1000 || ms < 120_000 ? `${ms / 1000} s` : duration(ms));

function fill(element, row) {
  const one = named(row.today);
  const cells = element.children;
  text(cells[0], nameOf(row.queue));
  const values = [count(one.offered), count(one.answered), count(one.abandoned), count(one.flowedOut), level(one), average(one.wait, one.answered), average(one.handle, one.handled)];
  values.forEach((value, index) => text(cells[index + 1], value));
}
