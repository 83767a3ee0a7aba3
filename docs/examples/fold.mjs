// Folds events into the view of a conversation (docs/event.md, "Folding events into a view").
//
//   node fold.mjs docs/vectors/*.json     compares it with the test vectors
//
// In a consumer: view = fold(view, event), and view undefined at first: one view per conversation.

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { isDeepStrictEqual } from "node:util";

const RANK = { start: 0, dial: 1, alert: 1, answer: 2, hold: 3, resume: 3, park: 3, unpark: 3,
  transfer: 4, disconnect: 4, acw: 5, acw_end: 6, wrapup: 6, end: 7, finalize: 8 };
const COUNT_AGAIN = new Set(["hold", "resume", "park", "unpark", "wrapup"]);
const AFTER_CALL = new Set(["acw", "acw_end", "wrapup"]);
const BEGAN = 0, OVER = 1;

const later = (a, b) => (a > b ? a : b);
const isOver = (event) => event.state === "disconnected" || event.state === "terminated";
const atLeast = (a, b) => a[0] > b[0] || (a[0] === b[0] && a[1] >= b[1]);

export function fold(view, event) {
  view ??= { id: event.conversation_id, state: "active", started_at: null, ended_at: null,
    linked: null, legs: new Map(), seen: new Set(), joinedLate: AFTER_CALL.has(event.event_type) };
  const repeated = view.seen.has(event.event_id);
  if (event.origin !== "snapshot") view.seen.add(event.event_id);
  if (repeated && !COUNT_AGAIN.has(event.event_type)) return view;
  view.linked = event.linked_conversation_id ?? view.linked;
  if (event.participant_id === null) {
    if (event.event_type === "start") {
      view.started_at = event.occurred_at;
    } else {
      view.ended_at = later(view.ended_at ?? "", event.occurred_at);
      if (event.event_type === "finalize") {
        for (const leg of view.legs.values()) if (!leg.ended) end(leg, event);
      }
    }
  } else {
    const leg = legOf(view, event);
    const readAt = event.event_type === "wrapup" ? leg.codeReadAt : leg.stateReadAt;
    if (!repeated || event.received_at >= readAt) apply(leg, event);
  }
  const over = view.ended_at !== null || view.joinedLate;
  view.state = over && [...view.legs.values()].every((leg) => leg.ended) ? "ended" : "active";
  return view;
}

function legOf(view, event) {
  const name = `${event.participant_id} ${event.communication_id ?? event.media_type}`;
  if (!view.legs.has(name)) {
    view.legs.set(name, { participant_id: event.participant_id, communication_id: null,
      media_type: event.media_type, purpose: null, agent_id: null, queue_id: null,
      direction: null, role: null, role_participant_id: null, state: "none", held: false,
      hold_started_at: null, parked_at: null, answered_at: null, ended_at: null, ended: false,
      disconnect_type: null, wrapup_code: null, acwStartedAt: null, acwEndedAt: null, rank: 0,
      lastHold: ["", BEGAN], lastPark: ["", BEGAN], stateReadAt: "", roleReadAt: "", codedAt: "",
      codeReadAt: "" });
  }
  return view.legs.get(name);
}

function apply(leg, event) {
  const type = event.event_type;
  for (const name of ["communication_id", "purpose", "agent_id", "queue_id", "direction"]) {
    leg[name] = event[name] ?? leg[name];
  }
  if ((event.role !== null || !isOver(event)) && event.received_at >= leg.roleReadAt) {
    leg.role = event.role;
    leg.role_participant_id = event.role_participant_id;
    leg.roleReadAt = event.received_at;
  }
  if (type === "acw") leg.acwStartedAt = event.occurred_at;
  if (type === "acw_end") leg.acwEndedAt = event.occurred_at;
  if (type === "wrapup") code(leg, event);
  if (type === "disconnect" || type === "transfer" || isOver(event)) {
    if (!leg.ended || type === "disconnect") end(leg, event);
  }
  if (type === "answer" && event.origin !== "snapshot") leg.answered_at = event.occurred_at;
  if (!leg.ended) move(leg, event);
  leg.rank = Math.max(leg.rank, RANK[type]);
}

function end(leg, event) {
  leg.ended = true;
  leg.ended_at = event.occurred_at;
  leg.held = false;
  leg.hold_started_at = leg.parked_at = null;
  if (isOver(event)) leg.state = event.state;
  leg.disconnect_type = event.disconnect_type ?? leg.disconnect_type;
}

function code(leg, event) {
  const saved = event.estimated ? "" : event.occurred_at;
  if (event.origin !== "snapshot" && saved && saved < leg.codedAt) return;
  leg.wrapup_code = event.wrapup_code;
  leg.codedAt = saved;
  leg.codeReadAt = later(leg.codeReadAt, event.received_at);
}

function move(leg, event) {
  const type = event.event_type;
  if (event.origin === "snapshot") {
    if (event.received_at < leg.stateReadAt) return;
    stand(leg, event);
    leg.lastHold = [leg.lastHold[0], BEGAN];
    leg.lastPark = [leg.lastPark[0], BEGAN];
    if (type === "answer") leg.answered_at ??= event.occurred_at;
  } else if (type === "hold" || type === "resume") {
    const since = event.hold_started_at;
    const place = [since ?? leg.lastHold[0], type === "hold" ? BEGAN : OVER];
    const always = since === null || since === leg.hold_started_at;
    if (!always && !atLeast(place, leg.lastHold)) return;
    if (atLeast(place, leg.lastHold)) leg.lastHold = place;
    if (always || since >= leg.lastPark[0]) stand(leg, event);
  } else if (type === "park" || type === "unpark") {
    const since = leg.lastPark[0];
    let place = [since, BEGAN], always = false;
    if (type === "park" && !event.estimated) place = [event.occurred_at, BEGAN];
    else if (type === "park" || since === "") always = true;
    else if (event.event_id === idOfUnpark(event, since)) place = [since, OVER];
    else return; // the end of an earlier park
    if (!always && !atLeast(place, leg.lastPark)) return;
    if (atLeast(place, leg.lastPark)) leg.lastPark = place;
    if (type === "park" || leg.parked_at !== null) stand(leg, event);
  } else if (RANK[type] >= leg.rank && RANK[type] <= RANK.answer) {
    leg.state = event.state;
  }
}

function stand(leg, event) {
  leg.state = event.state;
  leg.held = event.held;
  leg.hold_started_at = event.held ? event.hold_started_at : null;
  leg.parked_at = event.state === "parked" ? leg.lastPark[0] || event.occurred_at : null;
  leg.stateReadAt = later(leg.stateReadAt, event.received_at);
}

function idOfUnpark(event, since) {
  const leg = event.communication_id ?? event.media_type;
  const parts = [event.conversation_id, event.participant_id, leg, "unpark", since];
  return blake2b16(Buffer.from(parts.join("\u001f")));
}

// BLAKE2b with a digest of 16 bytes and no key (RFC 7693), which node:crypto does not offer.
const WORD = (1n << 64n) - 1n;
const IV = [0x6a09e667f3bcc908n, 0xbb67ae8584caa73bn, 0x3c6ef372fe94f82bn, 0xa54ff53a5f1d36f1n,
  0x510e527fade682d1n, 0x9b05688c2b3e6c1fn, 0x1f83d9abfb41bd6bn, 0x5be0cd19137e2179n];
const SIGMA = ["0123456789abcdef", "ea489fd61c02b753", "b8c052fdae367194", "7931dcbe265a40f8",
  "905724afe1bc683d", "2c6a0b834d75fe19", "c51fed4a0763928b",
  "db7ec13950f4862a", "6fe9b308c2d714a5", "a2847615fb9e3cd0"];
const MIX = [[0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15],
  [0, 5, 10, 15], [1, 6, 11, 12], [2, 7, 8, 13], [3, 4, 9, 14]];
const rotate = (x, bits) => ((x >> bits) | (x << (64n - bits))) & WORD;

function blake2b16(data) {
  const h = [...IV];
  h[0] ^= 0x01010010n;
  const blocks = Math.max(1, Math.ceil(data.length / 128));
  const padded = Buffer.concat([data, Buffer.alloc(blocks * 128 - data.length)]);
  for (let block = 0; block < blocks; block++) {
    const last = block === blocks - 1;
    const m = Array.from({ length: 16 }, (_, i) => padded.readBigUInt64LE(block * 128 + i * 8));
    const v = [...h, ...IV];
    v[12] ^= BigInt(last ? data.length : (block + 1) * 128);
    if (last) v[14] ^= WORD;
    for (let round = 0; round < 12; round++) {
      MIX.forEach(([a, b, c, d], i) => {
        const order = SIGMA[round % 10];
        for (const [word, first, second] of [[0, 32n, 24n], [1, 16n, 63n]]) {
          v[a] = (v[a] + v[b] + m[parseInt(order[2 * i + word], 16)]) & WORD;
          v[d] = rotate(v[d] ^ v[a], first);
          v[c] = (v[c] + v[d]) & WORD;
          v[b] = rotate(v[b] ^ v[c], second);
        }
      });
    }
    for (let i = 0; i < 8; i++) h[i] ^= v[i] ^ v[i + 8];
  }
  const digest = Buffer.alloc(16);
  digest.writeBigUInt64LE(h[0], 0);
  digest.writeBigUInt64LE(h[1], 8);
  return digest.toString("hex");
}

// The part of a view that the vectors compare.
export function shown(view) {
  const legs = [...view.legs.values()].map((leg) => ({
    participant_id: leg.participant_id, communication_id: leg.communication_id,
    media_type: leg.media_type, purpose: leg.purpose, agent_id: leg.agent_id,
    queue_id: leg.queue_id, role: leg.role, role_participant_id: leg.role_participant_id,
    state: leg.state, held: leg.held, hold_started_at: leg.hold_started_at,
    parked_at: leg.parked_at, answered_at: leg.answered_at, ended_at: leg.ended_at,
    disconnect_type: leg.disconnect_type,
    acw: leg.acwEndedAt !== null ? "done" : leg.acwStartedAt !== null ? "working" : "none",
    wrapup_code: leg.wrapup_code }));
  return { conversation_id: view.id, state: view.state, started_at: view.started_at,
    ended_at: view.ended_at, linked_conversation_id: view.linked, legs };
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const failed = process.argv.slice(2).filter((name) => {
    const { events, view } = JSON.parse(readFileSync(name, "utf8"));
    return !isDeepStrictEqual(shown(events.reduce(fold, undefined)), view);
  });
  console.log(`${process.argv.length - 2} vectors, ${failed.length} differ`);
  for (const name of failed) console.error(name);
  process.exitCode = failed.length ? 1 : 0;
}
