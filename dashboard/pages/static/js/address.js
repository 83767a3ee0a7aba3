// The page's address: view, filters, page and the open conversation, all behind the `#`.
//
// `#floor?queue=…&medium=…&state=…&agent=…&beginning=…&page=2&open=…`: it can be shared and
// reloaded. What is not there is not restricted.

export const FILTERS = ["queue", "medium", "state", "agent", "beginning"];
const FIELDS = [...FILTERS, "page", "open"];

let told = "";

/** `{view, queue, …}` of the address; null where it says nothing. */
export function read() {
  const [view, query = ""] = location.hash.slice(1).split("?");
  const given = new URLSearchParams(query);
  return { view, ...Object.fromEntries(FIELDS.map((name) => [name, given.has(name) ? given.get(name) : null])) };
}

/** Changes some fields (null takes one away); `quiet` leaves no step for the back button. */
export function change(fields, { quiet = false } = {}) {
  const wanted = { ...read(), ...fields };
  const hash = written(wanted.view || "floor", wanted);
  if (hash === location.hash) return;
  history[quiet ? "replaceState" : "pushState"](null, "", hash);
  notice();
}

/** The `#…` of a view with these fields. */
export function written(view, fields) {
  const query = new URLSearchParams(FIELDS.filter((name) => fields[name] != null).map((name) => [name, fields[name]]));
  return query.size ? `#${view}?${query}` : `#${view}`;
}

/** Whether a filter restricts what is shown. */
export const isFiltered = (place = read()) => FILTERS.some((name) => place[name] != null);

/** Calls back whenever the address changes, by this page or by the browser. */
export function watch(changed) {
  addEventListener("addresschange", () => changed(read()));
}

function notice() {
  if (told === location.hash) return;
  told = location.hash;
  dispatchEvent(new Event("addresschange"));
}

addEventListener("hashchange", notice);
