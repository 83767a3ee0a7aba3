// Small helpers over the DOM. Text is only ever set as text.

export const $ = (id) => document.getElementById(id);

/** An element with properties, attributes (`data-…`, `aria-…`) and children. */
export function h(tag, given = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (value == null) continue;
    if (name.includes("-") || name === "role" || name === "scope" || name === "for") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

/** The same for SVG; everything is an attribute. */
export function s(tag, given = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(given)) if (value != null) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Sets text where it differs. */
export function text(element, value) {
  const wanted = String(value);
  if (element.textContent !== wanted) element.textContent = wanted;
}

/** Makes the children of `parent` those of `items`, in order, and keeps elements by key. */
export function keyed(parent, items, key, make, update) {
  const known = (parent.known ??= new Map());
  const wanted = new Set();
  let at = parent.firstElementChild;
  for (const item of items) {
    const id = key(item);
    if (wanted.has(id)) continue;
    wanted.add(id);
    let element = known.get(id);
    if (!element) known.set(id, (element = make(item)));
    update?.(element, item);
    if (element === at) at = at.nextElementSibling;
    else parent.insertBefore(element, at);
  }
  for (const [id, element] of known) {
    if (!wanted.has(id)) {
      element.remove();
      known.delete(id);
    }
  }
}

/** Text in which `commands` stand as such. */
export const marked = (line) => line.split("`").map((part, index) => (index % 2 ? h("code", { textContent: part }) : part));

let last = 0;
/** Says something to screen readers; routine words at most twice a minute. */
export function say(words, { routine = false } = {}) {
  const now = Date.now();
  if (routine && now - last < 30_000) return;
  last = now;
  text($("spoken"), words);
}

/** A command that a click copies. */
export function command(words) {
  const button = h("button", { type: "button", className: "command", title: `Copy: ${words}` }, h("span", { textContent: words }));
  button.setAttribute("aria-label", `Copy the command: ${words}`);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(words);
    } catch {
      // Clipboards need https or loopback: leave it selected instead.
      getSelection().selectAllChildren(button);
      return say("Selected; copy it by keyboard");
    }
    button.dataset.copied = "";
    say("Copied");
    setTimeout(() => delete button.dataset.copied, 1500);
  });
  return button;
}

/** A word for a shell: quoted where it has to be. */
export const quoted = (word) => (/^[\w.,:/@+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);
