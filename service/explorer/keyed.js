/** Lists whose elements keep their identity: what stays moves to its new place, the rest fades in or out. */

import { still } from "./dom.js";

const MOVE = { duration: 320, easing: "cubic-bezier(0.2, 0.7, 0.2, 1)" };

/**
 * Make the children of `list` those of `entries`, in order.
 *
 * Each entry has a `key`; `make(entry)` builds an element and `update(element, entry)` fills it. The element that has the
 * focus keeps it; if it leaves, the one that takes its place gets it.
 */
export function showKeyed(list, entries, make, update) {
  const before = new Map();
  for (const child of [...list.children]) {
    if (child.dataset.leaving) child.remove();
    else before.set(child.dataset.key, { child, box: child.getBoundingClientRect() });
  }
  const focused = [...list.children].findIndex((child) => child.contains(document.activeElement));
  const focus = focused >= 0 ? document.activeElement : null;
  const frame = list.getBoundingClientRect();
  const entered = [];
  const kept = entries.map((entry) => {
    const known = before.get(entry.key);
    const child = known?.child ?? make(entry);
    child.dataset.key = entry.key;
    update(child, entry);
    if (known) before.delete(entry.key);
    else entered.push(child);
    return { child, box: known?.box };
  });
  // An element that is put where it stands loses the focus all the same.
  if (before.size || kept.some(({ child }, place) => list.children[place] !== child)) {
    list.replaceChildren(...kept.map(({ child }) => child));
    if (focus) keepFocus(list, focus, focused);
  }
  if (still()) return;
  for (const { child, box } of kept) {
    if (box && !child.hidden) slide(child, box);
  }
  for (const child of entered) child.animate([{ opacity: 0, transform: "translateY(6px)" }, { opacity: 1, transform: "none" }], MOVE);
  for (const { child, box } of before.values()) fade(list, child, box, frame);
}

function keepFocus(list, focus, index) {
  const heir = list.children[Math.min(index, list.children.length - 1)];
  (focus.isConnected ? focus : heir?.querySelector("button"))?.focus({ preventScroll: true });
}

function slide(child, from) {
  const to = child.getBoundingClientRect();
  const [x, y] = [from.left - to.left, from.top - to.top];
  if (x || y) child.animate([{ transform: `translate(${x}px, ${y}px)` }, { transform: "none" }], MOVE);
}

/** What leaves stays for a moment where it was, out of everybody's way. */
function fade(list, child, box, frame) {
  Object.assign(child.style, {
    position: "absolute",
    left: `${box.left - frame.left + list.scrollLeft}px`,
    top: `${box.top - frame.top + list.scrollTop}px`,
    width: `${box.width}px`,
  });
  Object.assign(child, { inert: true });
  child.dataset.leaving = "true";
  child.setAttribute("aria-hidden", "true");
  list.append(child);
  child.animate([{ opacity: 0.6 }, { opacity: 0 }], { ...MOVE, duration: 220 }).finished.then(
    () => child.remove(),
    () => child.remove(),
  );
}
