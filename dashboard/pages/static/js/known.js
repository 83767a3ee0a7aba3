// What the stream has told of the floor, and what time it is there.

import { duration, short } from "./format.js";

// The order of the counts in every row, as dashboard/reader/floor_position.py has it.
export const STATES = ["talking", "held", "parked", "waiting", "ringing", "ivr", "other"];
export const AT = Object.fromEntries(STATES.map((state, index) => [state, index]));
export const NONE = STATES.map(() => 0);

export const known = {
  queues: new Map(), rows: [], people: {}, ticker: [], total: NONE, acw: 0, agents: {}, offset: 0,
  chosen: null, // the server's answer to the filters; null where nothing is filtered
};

let frozenAt = null;

/** Lets ages stand still from a moment on, where nobody knows what happened since; null lets them go on. */
export function freeze(ms) {
  frozenAt = ms;
}

/** The server's time now, or when it stopped. */
export const now = () => Math.min(Date.now() + known.offset, frozenAt ?? Infinity);

/** How long ago that was; a dash for what began when time stood still already. */
export function elapsed(since) {
  const ms = now() - since;
  return frozenAt !== null && ms < 0 ? "–" : duration(ms);
}

export const nameOf = (queue) => known.queues.get(queue)?.name ?? (queue ? short(queue) : "no queue");
export const person = (agent) => known.people[agent] ?? short(agent);
export const sum = (counts) => counts.reduce((all, one) => all + one, 0);
