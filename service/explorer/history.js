/** The history as a strip of titles: what each interest reads of it, and what it ignores. */

import { $, element, letter, many, percent, tint, titled } from "./dom.js";
import { showKeyed } from "./keyed.js";
import { categoryColour } from "./theme.js";

/**
 * Show the items, oldest first. `interests` are those of the answer; with `active` (one of them) the strip shows that one's
 * attention, and strikes what was pruned from it; without, how the interests share each item. `categories` are those of the map.
 */
export function showHistory(items, interests, active, categories, removable) {
  const readers = interests.filter((interest) => interest.history.length);
  const chosen = readers.find((interest) => interest.interest === active);
  const most = Math.max(...(chosen?.history.map((one) => one.weight) ?? []), 1e-9);
  const seen = new Map();
  const entries = items.map((item, place) => {
    const times = (seen.get(item.item_id) ?? 0) + 1; // an item may occur twice
    seen.set(item.item_id, times);
    return { key: `${item.item_id} ${times}`, item, place };
  });
  $("history").classList.toggle("reading", chosen !== undefined);
  showKeyed($("history"), entries, chip, (node, { item, place }) => {
    const read = chosen?.history[place];
    node.className = `event ${chosen ? tint(active) : ""} ${read?.pruned ? "pruned" : ""}`;
    node.dataset.item = item.item_id;
    node.querySelector(".title").textContent = titled(item);
    node.querySelector(".dot").style.background = categoryColour(categories.indexOf(item.category));
    node.querySelector(".said").textContent = `, ${item.category ?? "no category"}`;
    node.querySelector(".read").textContent = !read ? "" : read.pruned ? ", pruned" : `, attention ${percent(read.weight)}`;
    const keepers = shares(readers, place);
    const value = node.querySelector(".value"); // as wide with a figure as with a letter: nothing may move under the pointer
    value.textContent = read ? (read.pruned ? "" : percent(read.weight)) : (keepers[0] && letter(keepers[0].interest)) ?? "";
    value.className = `value ${read ? "" : tint(keepers[0]?.interest ?? null)}`;
    const attention = read ? `: attention ${percent(read.weight)}${read.pruned ? ", pruned before refinement" : ""}` : "";
    node.title = `${item.category ?? item.item_id}${attention}`;
    const bar = node.querySelector(".bar");
    if (read) bar.replaceChildren(piece(tint(active), read.pruned ? 0 : read.weight / most));
    else bar.replaceChildren(...keepers.map(({ interest, share }) => piece(tint(interest), share)));
    const remove = node.querySelector(".remove");
    remove.hidden = !removable;
    remove.dataset.place = place;
    remove.setAttribute("aria-label", `Remove ${titled(item)} from the history`);
  });
}

/** What to say beside the heading. */
export function tellHistory(items, chosen, name) {
  if (!items.length) $("history-said").textContent = "empty: choose items below, or search for some";
  else if (!chosen) $("history-said").textContent = `${many(items.length, "event")} that the model reads, oldest first`;
  else {
    const kept = chosen.history.filter((one) => !one.pruned).length;
    $("history-said").textContent = `interest ${name} keeps ${kept} of ${chosen.history.length}; the rest is pruned before refinement`;
  }
}

function chip() {
  return element(
    "li",
    { className: "event" },
    element("span", { className: "dot", ariaHidden: "true" }),
    element("span", { className: "title" }),
    element("span", { className: "unseen said" }),
    element("span", { className: "unseen read" }),
    element("span", { className: "value", ariaHidden: "true" }),
    element("span", { className: "bar", ariaHidden: "true" }),
    element("button", { type: "button", className: "remove", textContent: "×" }),
  );
}

/** The interests that kept an item and their shares of it, the largest first. */
function shares(readers, place) {
  const kept = readers.filter((interest) => interest.history[place] && !interest.history[place].pruned);
  const total = kept.reduce((sum, interest) => sum + interest.history[place].weight, 0);
  const found = kept.map(({ interest, history }) => ({ interest, share: history[place].weight / Math.max(total, 1e-9) }));
  return found.sort((one, other) => other.share - one.share);
}

function piece(className, share) {
  const node = element("span", { className });
  node.style.width = percent(share).replace(" ", "");
  return node;
}
