// Drawings over time: a conversation's legs, and the gaps of the ledger.

import { s } from "./dom.js";
import { clock, dated, duration, moment, stateName } from "./format.js";

const RIGHT = 12, ROW = 26, NARROWEST = 280, NARROW = 560;
// The widths of times on the axis, and some room: `12:03:44`, and `31 Oct 12:03`.
const CLOCK = 74, MOMENT = 116;

/** How wide the labels on the left are, on a drawing of this width. */
const leftOf = (width) => (width < NARROW ? 96 : 150);

/** Steps of an axis that people count in. */
function step(span, most = 8) {
  const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800];
  return 1000 * (steps.find((one) => span / (one * 1000) <= most) ?? Math.ceil(span / most / 86_400_000) * 86_400);
}

function axis(svg, from, to, width, height, label, room) {
  const left = leftOf(width);
  const x = (ms) => left + ((ms - from) / (to - from)) * (width - left - RIGHT);
  const by = step(to - from, Math.max(1, Math.floor((width - left - RIGHT) / room)));
  for (let at = Math.ceil(from / by) * by; at <= to; at += by) {
    svg.append(
      s("line", { class: "axis", x1: x(at), x2: x(at), y1: 0, y2: height - 18 }),
      s("text", { x: x(at), y: height - 4, "text-anchor": x(at) > width - 40 ? "end" : x(at) < left + 30 ? "start" : "middle" }, label(at)),
    );
  }
  return x;
}

/** What a lane is called; on a narrow drawing the medium is left to the table. */
function legName(leg, width) {
  const name = `${leg.purpose ?? "leg"}${leg.role ? ` (${leg.role})` : ""}`;
  return width < NARROW ? name : `${name} · ${leg.medium}`;
}

/** A conversation as legs over time. `now` is where open stretches end. */
export function legs(conversation, now, given) {
  const width = Math.max(NARROWEST, given);
  const times = conversation.legs.flatMap((leg) => leg.stretches.flatMap((one) => [one[1], one[2] ?? now]));
  const from = Math.min(...times, now - 1000);
  const to = Math.max(...times, from + 1000);
  const height = conversation.legs.length * ROW + 26;
  const svg = s("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label":
    `Timeline of ${conversation.legs.length} legs over ${duration(to - from)}; the table below tells the same` });
  const x = axis(svg, from, to, width, height, clock, CLOCK);
  conversation.legs.forEach((leg, row) => {
    const y = row * ROW + 4;
    svg.append(
      s("line", { class: "lane", x1: leftOf(width), x2: width - RIGHT, y1: y + ROW - 5, y2: y + ROW - 5 }),
      s("text", { class: "leg", x: 0, y: y + 13 }, legName(leg, width)),
    );
    for (const [state, since, until] of leg.stretches) {
      const left = x(since), right = x(until ?? now);
      svg.append(s("rect", { class: state, x: left, y, width: Math.max(1.5, right - left), height: ROW - 9, rx: 2 },
        s("title", {}, `${stateName(state)} ${duration((until ?? now) - since)}`)));
    }
  });
  return svg;
}

/** Whether a stretch is only read, and was not missed. */
export const isPale = (gap) => gap.kind !== "gap";

/** The gaps of the ledger, a lane for each shard. */
export function gaps(latest, now, given) {
  const width = Math.max(NARROWEST, given);
  const shards = [...new Set(latest.map((gap) => gap.shard))].sort((a, b) => a.localeCompare(b, "en", { numeric: true })).slice(0, 40);
  const to = now;
  const from = Math.min(...latest.map((gap) => gap.from), to - 3_600_000);
  const height = Math.max(1, shards.length) * 18 + 24;
  const svg = s("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label":
    `${latest.length} gaps of ${shards.length} shards since ${moment(from)}; the table below tells the same` });
  const isOneDay = new Date(from).toDateString() === new Date(to).toDateString();
  const x = axis(svg, from, to, width, height, isOneDay ? moment : dated, MOMENT);
  shards.forEach((shard, row) => {
    const y = row * 18 + 2;
    svg.append(
      s("text", { class: "leg", x: 0, y: y + 10 }, shard === "-" ? "by hand" : `shard ${shard}`),
      s("line", { class: "lane", x1: leftOf(width), x2: width - RIGHT, y1: y + 15, y2: y + 15 }),
    );
    for (const gap of latest.filter((one) => one.shard === shard)) {
      const left = x(gap.from);
      svg.append(s("rect", { class: gap.state, x: left, y: y + 1, width: Math.max(2, x(gap.to) - left), height: 11, rx: 2,
        "fill-opacity": isPale(gap) ? 0.4 : 1 },
        s("title", {}, `${gap.kind === "hand" ? "by hand" : gap.kind} ${moment(gap.from)} to ${moment(gap.to)}: ${gap.state}`)));
    }
  });
  return svg;
}
