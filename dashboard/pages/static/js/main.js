// The page: which view is shown, how the connection is, and what is wrong.

import { $, h, say, text } from "./dom.js";
import { moment } from "./format.js";
import * as floor from "./floor.js";
import * as mirror from "./mirror.js";
import { Stream } from "./stream.js";

const VIEWS = { floor, mirror };
const TITLES = { floor: "Floor", mirror: "Mirror" };
const THEMES = [["", "◐", "as the system"], ["light", "☀", "light"], ["dark", "☾", "dark"]];
const LATE_MS = 5_000;

const now = { view: null, connection: "connecting", lostAt: null, health: null, floorAt: 0 };

const stream = new Stream((kind, document) => {
  if (kind === "health") {
    now.health = document;
    about();
  } else {
    VIEWS[kind].heard(document);
    now.floorAt = Date.now();
  }
  banner();
}, (state) => {
  now.connection = state;
  if (state === "lost") now.lostAt ??= Date.now();
  if (state === "live") {
    if (now.lostAt) say("Connected again");
    now.lostAt = null;
  }
  $("connection").dataset.state = state;
  text($("connection"), { live: "live", lost: "connection lost", connecting: "connecting" }[state]);
  banner();
});

/** One line for each thing that keeps the page from telling the truth. */
function banner() {
  const lines = [];
  if (now.connection === "lost") lines.push(`Connection lost at ${moment(now.lostAt)}; retrying. What you see is from then.`);
  else {
    for (const [name, service] of [["Kafka", now.health?.kafka], ["Redis", now.health?.redis]]) {
      if (service?.state !== "away") continue;
      const shows = name === "Kafka" ? "the floor stands still" : "the mirror's state is from then";
      lines.push(`${name} unreachable since ${moment(service.since)}: ${shows}. ${service.why.startsWith("no broker") ? "" : service.why}`.trim());
    }
    if (now.view === "floor") lines.push(...floor.caveats());
  }
  const stale = now.connection === "lost" || now.health?.kafka.state === "away";
  document.body.classList.toggle("is-stale", stale);
  const box = $("banner");
  if (box.told === lines.join("\n")) return;
  box.told = lines.join("\n");
  box.replaceChildren(...lines.map((line) => h("p", { textContent: line })));
}

function about() {
  const { mirror: word, version, namespace, streams } = now.health;
  $("health-dot").dataset.state = word ?? "unknown";
  text($("health-word"), `, ${word ?? "unknown"}`);
  text($("about"), `interaction mirror ${version} · namespace ${namespace} · ${streams} ${streams === 1 ? "page" : "pages"} open`);
}

function show() {
  const view = location.hash.slice(1) in VIEWS ? location.hash.slice(1) : "floor";
  if (view === now.view) return;
  const first = now.view === null;
  now.view = view;
  for (const name of Object.keys(VIEWS)) $(name).hidden = name !== view;
  for (const link of document.querySelectorAll("nav a")) {
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
setInterval(banner, LATE_MS);
addEventListener("hashchange", show);
$("logout").hidden = !document.cookie.includes("signed_in");
show();
