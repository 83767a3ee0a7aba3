// The view "Mirror": shards, listeners, budgets, gaps, dead letters, the janitor's findings.

import { $, command, h, keyed, marked, quoted, text } from "./dom.js";
import { age, count, counted, moment, short } from "./format.js";
import { gaps as drawGaps, isPale } from "./timeline.js";

const VERDICTS = { ok: "All is covered", degraded: "Degraded", down: "Down" };
const SHOWN_GAPS = 12;
const FIRST = "first reading";
/** Why a gap is in the ledger, by its kind. */
const WHY = { gap: "nobody received", snapshot: FIRST, recall: "the tracker forgot", hand: "read again by hand" };

let told = null;
let heardAt = 0;
let unknownSince = null; // since when nobody knows how the mirror is
let picked = null; // the seat whose details are shown
let drawn = "";

export function start() {
  new ResizeObserver(() => told && gaps()).observe($("gaps-chart"));
  $("commands").append(...[
    ["How the mirror is", "mirror status"],
    ["Spread channels anew over the listeners", "mirror rebalance"],
    ["Read a stretch of the past again", "mirror backfill --since 1h"],
    ["Check every dependency", "mirror doctor"],
  ].map(([words, line]) => h("li", {}, h("span", { textContent: words }), command(line))));
  $("shards").addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const seats = [...$("shards").querySelectorAll("button")];
    const at = seats.indexOf(document.activeElement);
    if (!by || at < 0) return;
    event.preventDefault();
    rove(seats, seats[Math.min(seats.length - 1, Math.max(0, at + by))]).focus();
  });
}

/** One message of the stream. */
export function heard(news) {
  told = news;
  for (const gap of news.gaps.latest) Object.assign(gap, { from: Date.parse(gap.from), to: Date.parse(gap.to) });
  heardAt = Date.now();
  draw();
}

/** Says since when nobody knows how the mirror is; null where that is known. Call every second. */
export function standing(since) {
  const changed = since !== unknownSince;
  unknownSince = since;
  $("mirror").classList.toggle("is-unknown", since !== null);
  if (told ? changed || since !== null : since !== null) draw();
}

/** How much older everything is than when it was read. */
const older = () => (unknownSince === null ? 0 : Math.max(0, Date.now() - heardAt));

/** A state as it was last seen. */
const seen = (word) => (unknownSince === null ? word : `was ${word}`);

function draw() {
  verdict();
  if (!told) return;
  shards();
  listeners();
  budgets();
  gaps();
  letters();
  janitor();
}

function verdict() {
  const title = $("verdict-title");
  title.dataset.state = unknownSince === null ? told.health : "unknown";
  text(title, unknownSince === null ? VERDICTS[told.health] ?? told.health : `Unknown since ${moment(unknownSince)}`);
  const before = told ? [`It was ${told.health} then. What stands below is from that time.`] : [];
  const reasons = unknownSince === null ? told.reasons : before;
  keyed($("reasons"), reasons, (reason) => reason, (reason) => h("li", {}, ...marked(reason)));
  if (!told) return;
  const seats = told.shards.flatMap((shard) => shard.replicas);
  const live = seats.filter((seat) => seat.state === "live" || seat.state === "rotating").length;
  const listeners = told.listeners.filter((one) => one.state === "live").length;
  const spool = told.listeners.reduce((all, one) => all + one.spool_records, 0);
  keyed($("mirror-figures"), [
    ["Leader", told.leader ?? "none"],
    ["Listeners live", `${listeners} of ${told.listeners.length}`],
    ["Channels live", `${live} of ${seats.length}`],
    ["Active conversations", count(told.conversations.active)],
    ["Gaps open", count(told.gaps.open)],
    ["In spools", counted(spool, "record")],
    ["Dead letters", count(told.letters.count)],
    ["Overdue", count(told.conversations.overdue)],
  ], (one) => one[0], ([name]) => h("div", {}, h("dt", { textContent: name }), h("dd", { "data-mirror": name })),
  (element, one) => text(element.lastElementChild, one[1]));
}

// --- shards × replicas -----------------------------------------------------------------------------

function shards() {
  $("shards-empty").hidden = told.shards.length > 0;
  const topics = told.shards.reduce((all, shard) => all + shard.topics, 0);
  const more = told.shards_in_all > told.shards.length ? `, the first ${told.shards.length} shown` : "";
  text($("shards-note"), told.shards.length ? `${told.shards_in_all} with ${counted(topics, "topic")}${more}; each replica in the colour of its channel` : "");
  keyed($("shards"), told.shards, (shard) => shard.id, (shard) => h("li", {}, h("span", { textContent: shard.id })), (element, shard) => {
    keyed((element.seats ??= element.appendChild(h("div", { role: "group", "aria-label": `shard ${shard.id}` }))), shard.replicas,
      (seat) => seat.replica, (seat) => makeSeat(shard.id, seat.replica), (button, seat) => fillSeat(button, shard, seat));
  });
  const seats = [...$("shards").querySelectorAll("button")];
  if (seats.length && !seats.some((seat) => seat.tabIndex === 0)) rove(seats, seats[0]);
  detail();
}

function rove(seats, to) {
  for (const seat of seats) seat.tabIndex = seat === to ? 0 : -1;
  return to;
}

function makeSeat(shard, replica) {
  const button = h("button", { type: "button", className: "seat", tabIndex: -1 });
  button.addEventListener("click", () => {
    picked = picked === `${shard}/${replica}` ? null : `${shard}/${replica}`;
    rove([...$("shards").querySelectorAll("button")], button);
    shards();
  });
  return button;
}

function fillSeat(button, shard, seat) {
  button.dataset.state = seat.state;
  text(button, seat.state === "live" ? seat.replica : `${seat.replica}${seat.state === "lost" ? "✕" : "↻"}`);
  const words = `shard ${shard.id} replica ${seat.replica}: ${seen(seat.state)}`;
  if (button.getAttribute("aria-label") !== words) button.setAttribute("aria-label", words);
  button.setAttribute("aria-pressed", picked === `${shard.id}/${seat.replica}`);
}

function detail() {
  const shard = told.shards.find((one) => picked?.startsWith(`${one.id}/`));
  const seat = shard?.replicas.find((one) => picked === `${shard.id}/${one.replica}`);
  const key = seat ? `${picked} ${seat.state} ${seat.channel} ${seat.listener} ${unknownSince === null ? "" : Date.now()}` : "";
  if (drawn === key) return;
  drawn = key;
  const box = $("shard-detail");
  if (!seat) return box.replaceChildren(told.shards.length ? "Choose a replica for its channel and the command that renews it." : "");
  const facts = [`Shard ${shard.id}, replica ${seat.replica}:`, seen(seat.state), counted(shard.topics, "topic")];
  if (shard.rejected) facts.push(`${shard.rejected} refused by Genesys`);
  if (seat.listener) facts.push(`on ${seat.listener}`);
  if (seat.client) facts.push(`client ${seat.client}`);
  if (seat.last_frame_ms != null) facts.push(`last frame ${age(seat.last_frame_ms + older())} ago`);
  box.replaceChildren(...facts.map((fact) => h("span", { textContent: fact })));
  box.append(seat.channel ? command(`mirror rotate ${seat.channel}`) : command("mirror rebalance"));
}

// --- listeners, budgets ----------------------------------------------------------------------------

function listeners() {
  $("listeners-empty").hidden = told.listeners.length > 0;
  keyed($("listeners"), told.listeners, (one) => one.id, (one) => h("tr", {},
    h("th", { scope: "row", textContent: one.id }), h("td", { textContent: one.host }), h("td", { className: "word" }),
    h("td"), h("td"), h("td"), h("td")),
  (element, one) => {
    const cells = element.children;
    cells[2].dataset.state = unknownSince === null ? one.state : "unknown";
    text(cells[2], one.state === "draining" ? `${seen(one.state)}: ${drains(one)}` : seen(one.state));
    const line = one.state === "dead" ? "" : `mirror ${one.state === "draining" ? "undrain" : "drain"} ${quoted(one.id)}`;
    if (cells[6].line !== line) {
      cells[6].line = line;
      cells[6].replaceChildren(...(line ? [command(line)] : []));
    }
    text(cells[3], one.channels);
    text(cells[4], `${age(one.last_beat_ms + older())} ago`);
    text(cells[5], one.spool_records ? counted(one.spool_records, "record") : "empty");
  });
}

/** What a draining listener still has to do: it takes no channel, and others take over its own. */
function drains({ channels }) {
  return channels ? `others take over its ${counted(channels, "channel")}` : "it holds nothing and can be stopped";
}

function budgets() {
  $("budgets-empty").hidden = told.budgets.length > 0;
  keyed($("budgets"), told.budgets, (one) => one.client, (one) => h("tr", {}, h("th", { scope: "row", textContent: one.client }), meter(), meter()),
    (element, one) => {
      fillMeter(element.children[1], `${one.channels} of ${one.most}`, one.channels / one.most);
      const spent = Math.min(1, one.spent);
      fillMeter(element.children[2], one.waits_ms ? `next in ${age(one.waits_ms)}` : `${Math.round(100 * spent)} % of the burst spent`, spent);
    });
}

const meter = () => h("td", {}, h("span"), h("span", { className: "meter", "aria-hidden": "true" }, h("i")));

function fillMeter(cell, words, share) {
  text(cell.firstElementChild, words);
  const track = cell.lastElementChild;
  track.firstElementChild.style.width = `${Math.round(100 * Math.min(1, share))}%`;
  track.toggleAttribute("data-full", share >= 0.9);
}

// --- gaps ------------------------------------------------------------------------------------------

function gaps() {
  const { latest, open, by_hand: asked, filled, states } = told.gaps;
  $("gaps-empty").hidden = latest.length > 0;
  const stuck = states.unfillable ?? 0;
  const pale = [...new Set(latest.filter(isPale).map((gap) => WHY[gap.kind]))].join(", ").replace(FIRST, `${FIRST} of what was active before the start`);
  text($("gaps-note"), latest.length ? `${open} open, ${asked ? `${asked} open by hand, ` : ""}${filled} filled${stuck ? `, ${stuck} unfillable` : ""}${pale ? `; pale: ${pale}` : ""}` : "");
  const width = $("gaps-chart").clientWidth;
  const key = `${JSON.stringify(latest.map((gap) => (gap.lasts ? { ...gap, to: 0 } : gap)))} ${Math.floor(told.now / 30_000)} ${width}`;
  if (gaps.key !== key) {
    gaps.key = key;
    $("gaps-chart").replaceChildren(...(latest.length ? [drawGaps(latest, told.now, width)] : []));
  }
  const order = { open: 0, filling: 0, unfillable: 1, filled: 2 };
  const shown = [...latest].sort((a, b) => order[a.state] - order[b.state] || b.to - a.to).slice(0, SHOWN_GAPS);
  keyed($("gaps"), shown, (gap) => `${gap.id} ${gap.from}`, (gap) => h("tr", {}, h("th", { scope: "row", className: "id", textContent: gap.id }), h("td", { textContent: gap.shard === "-" ? counted(gap.topics, "topic") : gap.shard }),
    h("td", { textContent: moment(gap.from) }), h("td", { textContent: gap.lasts ? "now" : moment(gap.to) }), h("td", { textContent: WHY[gap.kind] }), h("td", { className: "word" }), h("td"),
    h("td", { className: "acts" }, gap.lasts ? null : command(`mirror backfill --since ${iso(gap.from)} --until ${iso(gap.to + 999)}`))),
  (element, gap) => {
    element.children[5].dataset.state = gap.state;
    text(element.children[5], gap.state);
    element.children[5].title = gap.errors.join("; ");
    text(element.children[6], count(gap.events));
  });
}

/** A time in whole seconds, as commands take it; the end of a stretch is rounded up by its caller. */
const iso = (ms) => `${new Date(ms).toISOString().slice(0, 19)}Z`;

// --- what was found --------------------------------------------------------------------------------

function letters() {
  const { count: all, latest } = told.letters;
  text($("letters-count"), count(all));
  $("letters-empty").hidden = all > 0;
  const shown = [...latest].reverse().slice(0, 5);
  keyed($("letters"), shown, (one) => one.id, (one) => h("li", {},
    h("span", { textContent: `${moment(one.at)} · ${one.stage} · ${one.error}` }), command(`mirror dlq show ${quoted(one.id)}`)));
}

function janitor() {
  text($("overdue-count"), count(told.conversations.overdue));
  keyed($("overdue"), told.overdue.slice(0, 5), (one) => one.id, (one) => h("li", {}, h("span"), command(`mirror conversations ${quoted(one.id)}`)),
    (element, one) => text(element.firstElementChild, `active for ${age(told.now + older() - one.since)}, due ${age(told.now + older() - one.due)} ago`));
  text($("finalized-count"), count(told.finalized.count));
  text($("finalized-note"), "in what this page has read");
  const shown = [...told.finalized.latest].reverse().slice(0, 5);
  keyed($("finalized"), shown, (one) => one.id, (one) => h("li", {}, h("span", { textContent: `${moment(one.at)} · ${short(one.id)} · ${one.reason.replace("_", " ")}` })));
  text($("backfilled"), told.backfilled ? `${counted(told.backfilled, "event")} came from back-fills since this page's server began.` : "");
}
