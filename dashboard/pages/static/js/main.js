// The page: which view is shown, how the connection is, and what is wrong.

import { $, h, marked, say, text } from "./dom.js";
import { counted, moment } from "./format.js";
import { read, watch, written } from "./address.js";
import * as floor from "./floor.js";
import * as mirror from "./mirror.js";
import { more } from "./scrolling.js";
import { Stream } from "./stream.js";

const VIEWS = { floor, mirror };
const TITLES = { floor: "Floor", mirror: "Mirror" };
const THEMES = [["", "◐", "as the system"], ["light", "☀", "light"], ["dark", "☾", "dark"]];
const LATE_MS = 1_000;
// A look at Redis and Kafka takes some seconds where both are silent.
const SILENT_MS = 30_000;

const now = { view: null, connection: "connecting", lostAt: null, health: null, healthAt: 0 };

const stream = new Stream((kind, document) => {
  if (kind === "health") {
    now.health = document;
    now.healthAt = Date.now();
    about();
  } else VIEWS[kind].heard(document);
  banner();
}, (state) => {
  now.connection = state;
  if (state === "lost") now.lostAt ??= Date.now();
  if (state === "live") {
    if (now.lostAt) say("Connected again");
    now.lostAt = null;
  }
  banner();
});

/** What keeps the page from being live: the words, and since when (0: nobody knows; epoch ms). */
function troubles() {
  if (now.connection === "lost") {
    return [{ since: now.lostAt, words: `Connection lost at ${moment(now.lostAt)}; retrying. What you see is from then.` }];
  }
  if (!now.health) return [];
  const found = [];
  const { kafka, redis, mirror: standing } = now.health;
  if (kafka.state === "away") found.push({ since: kafka.since, words: away("Kafka", kafka, "the floor stands still") });
  if (redis.state === "away") {
    found.push({ since: redis.since, words: away("Redis", redis, "whether anything is mirrored is not known") });
  } else if (standing.state === "down") found.push({ since: standing.since, words: down(standing) });
  if (Date.now() - now.healthAt > SILENT_MS) {
    found.push({ since: now.healthAt, words: `The state of the mirror was last read at ${moment(now.healthAt)}.` });
  }
  return found;
}

function away(name, service, shows) {
  const reason = service.reason.startsWith("no broker") ? "" : ` ${service.reason}`;
  return `${name} unreachable since ${moment(service.since)}: ${shows}.${reason}`;
}

function down({ since }) {
  const [reason = "the mirror is down"] = now.health.reasons;
  return since ? `Nothing is mirrored since ${moment(since)}: ${reason}. These figures are from then.` : `Nothing has been mirrored yet: ${reason}.`;
}

/** Some shards are not received: the page lives on, and their figures do not. */
function unreceived() {
  if (now.health?.redis.state !== "ok" || !now.health.unreceived) return [];
  const { shards, more, topics, since } = now.health.unreceived;
  const isOne = shards.length === 1;
  const names = `${shards.join(", ")}${more ? ` and ${more} more` : ""} (${counted(topics, "topic")})`;
  const from = since ? `${isOne ? "" : ", the first"} since ${moment(Date.parse(since))}` : "";
  return [`${isOne ? "Shard" : "Shards"} ${names} ${isOne ? "is" : "are"} not received${from}. Figures of ${isOne ? "its" : "their"} queues and agents may stand still.`];
}

/** One line for each thing that keeps the page from telling the truth. */
function banner() {
  const found = troubles();
  const since = found.map((one) => one.since).filter(Boolean);
  const lines = found.map((one) => one.words);
  if (now.view === "floor" && now.connection !== "lost") lines.push(...unreceived(), ...floor.caveats());
  const isStale = found.length > 0;
  floor.freeze(isStale ? Math.min(...since, Date.now()) : null);
  document.body.classList.toggle("is-stale", isStale);
  connection(isStale);
  mirror.standing(unknownSince());
  const box = $("banner");
  if (box.told === lines.join("\n")) return;
  box.told = lines.join("\n");
  box.replaceChildren(...lines.map((line) => h("p", {}, ...marked(line))));
}

function connection(isStale) {
  const state = now.connection === "live" && isStale ? "stale" : now.connection;
  $("connection").dataset.state = state;
  text($("connection"), { live: "live", stale: "not live", lost: "connection lost", connecting: "connecting" }[state]);
  const word = unknownSince() ? "unknown" : now.health?.mirror.state ?? "unknown";
  $("health-dot").dataset.state = word;
  text($("health-word"), `, ${word}`);
}

/** Since when nobody knows how the mirror is; null where that is known. */
function unknownSince() {
  if (now.connection === "lost") return now.lostAt;
  if (now.health?.redis.state === "away") return now.health.redis.since;
  return now.health && Date.now() - now.healthAt > SILENT_MS ? now.healthAt : null;
}

function about() {
  const { version, namespace, streams, opened } = now.health;
  const parts = [`interaction mirror ${version}`, `namespace ${namespace}`, `${streams} ${streams === 1 ? "page" : "pages"} open`];
  if (opened.from) parts.push(`opened from ${opened.from}${opened.reason ? ` (at the start: ${opened.reason})` : ""}`);
  text($("about"), parts.join(" · "));
}

function show(place = read()) {
  for (const link of document.querySelectorAll("nav a[data-view]")) link.setAttribute("href", written(link.dataset.view, { ...place, open: null }));
  const view = place.view in VIEWS ? place.view : "floor";
  if (view === now.view) return;
  const first = now.view === null;
  now.view = view;
  for (const name of Object.keys(VIEWS)) $(name).hidden = name !== view;
  for (const link of document.querySelectorAll("nav a[data-view]")) {
    if (link.dataset.view === view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${TITLES[view]} · Interaction mirror`;
  if (!first) {
    scrollTo(0, 0);
    $("main").focus({ preventScroll: true });
  }
  stream.open(view);
}

function theme() {
  const button = $("theme");
  let chosen = "";
  try { chosen = localStorage.getItem("theme") ?? ""; } catch { /* without storage it is for this page only */ }
  let at = Math.max(0, THEMES.findIndex(([word]) => word === chosen));
  const tell = () => {
    text(button, THEMES[at][1]);
    button.setAttribute("aria-label", `Theme: ${THEMES[at][2]}`);
    button.title = `Theme: ${THEMES[at][2]}`;
  };
  button.addEventListener("click", () => {
    at = (at + 1) % THEMES.length;
    dispatchEvent(new CustomEvent("themechoice", { detail: THEMES[at][0] }));
    tell();
  });
  tell();
}

floor.start();
mirror.start();
theme();
more();
setInterval(banner, LATE_MS);
watch(show);
$("logout").hidden = !document.cookie.includes("signed_in");
show();
