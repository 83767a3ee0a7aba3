// Tables that are wider than the screen: says so, and fades where they go on.

import { h } from "./dom.js";

/** Watches every table that may scroll sideways. */
export function more() {
  const watching = new ResizeObserver((entries) => entries.forEach((entry) => look(entry.target.closest(".scroll"))));
  for (const box of document.querySelectorAll(".scroll")) {
    box.before(h("p", { className: "sideways note", hidden: true, "aria-hidden": "true", textContent: "more columns: scroll sideways →" }));
    box.addEventListener("scroll", () => look(box), { passive: true });
    watching.observe(box);
    if (box.firstElementChild) watching.observe(box.firstElementChild);
  }
}

function look(box) {
  if (!box) return;
  const left = box.scrollWidth - box.clientWidth;
  box.previousElementSibling.hidden = left < 2;
  box.toggleAttribute("data-more", left - box.scrollLeft > 2);
}
