// Numbers, times and ids as people read them.

const two = (number) => String(number).padStart(2, "0");

/** `0:42`, `12:05`, `1:02:33`, `3 d 4 h` from milliseconds. */
export function duration(ms) {
  const all = Math.max(0, Math.floor(ms / 1000));
  const days = Math.floor(all / 86400);
  const hours = Math.floor(all / 3600);
  const minutes = Math.floor(all / 60) % 60;
  if (days >= 1) return `${days} d ${hours % 24} h`;
  return hours ? `${hours}:${two(minutes)}:${two(all % 60)}` : `${minutes}:${two(all % 60)}`;
}

/** The same in words, for screen readers. */
export function spoken(ms) {
  const all = Math.max(0, Math.floor(ms / 1000));
  if (all < 60) return `${all} seconds`;
  if (all < 3600) return `${Math.floor(all / 60)} minutes ${all % 60} seconds`;
  return `${Math.floor(all / 3600)} hours ${Math.floor(all / 60) % 60} minutes`;
}

/** An age in milliseconds: `0.4 s`, `12 s`, `3 min`, `5 h`, `2 d`. */
export function age(ms) {
  if (ms == null) return "–";
  if (ms < 10_000) return `${(Math.max(0, ms) / 1000).toFixed(1)} s`;
  if (ms < 120_000) return `${Math.round(ms / 1000)} s`;
  if (ms < 7_200_000) return `${Math.round(ms / 60_000)} min`;
  if (ms < 172_800_000) return `${Math.round(ms / 3_600_000)} h`;
  return `${Math.round(ms / 86_400_000)} d`;
}

/** `12:03:44` in the browser's zone. */
export function clock(ms) {
  const when = new Date(ms);
  return `${two(when.getHours())}:${two(when.getMinutes())}:${two(when.getSeconds())}`;
}

/** `12:03`, with the day where it is another one. */
export function moment(ms) {
  const when = new Date(ms);
  if (when.toDateString() !== new Date().toDateString()) return dated(ms);
  return `${two(when.getHours())}:${two(when.getMinutes())}`;
}

/** `31 Oct 12:03`. */
export function dated(ms) {
  const when = new Date(ms);
  const month = when.toLocaleString("en", { month: "short" });
  return `${when.getDate()} ${month} ${two(when.getHours())}:${two(when.getMinutes())}`;
}

/** The first eight characters of an id. */
export const short = (id) => (id ? id.slice(0, 8) : "");

export const count = (number) => number.toLocaleString("en");

/** `1 topic`, `2 topics`. */
export const counted = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;

const NAMES = {
  talking: "talking", held: "on hold", parked: "parked", waiting: "waiting", ringing: "ringing",
  ivr: "in a menu", other: "other", acw: "after-call work", connected: "connected", over: "over",
};

const ROLES = { monitor: "monitors", coach: "coaches", barge: "barges in", consult: "is consulted" };

/** A state in words. */
export const stateName = (state) => NAMES[state] ?? state;

/** What somebody does beside a conversation, or a state, in words. */
export const roleName = (role) => ROLES[role] ?? stateName(role);
