/** Items as they stand in lists: a button that adds one to the history, another that excludes it, marks of what is new. */

import { $, element, letter, tint, titled } from "./dom.js";
import { showKeyed } from "./keyed.js";

/** What changed since the last answer: "new", or how many ranks an item rose (or fell, below 0). */
export class Marks {
  #ranks = null;

  /** Compare an answer with the one before; `fresh` forgets that one, where it was somebody else's. */
  compare(candidates, fresh) {
    const last = fresh ? null : this.#ranks;
    this.#ranks = new Map(candidates.map((candidate, rank) => [candidate.item_id, rank]));
    const mark = ({ item_id }, rank) => (last.has(item_id) ? last.get(item_id) - rank : "new");
    return new Map(candidates.map((candidate, rank) => [candidate.item_id, last === null ? 0 : mark(candidate, rank)]));
  }

  /** The same without the ranks, for lists that have none in common. */
  news(candidates, fresh) {
    return new Map([...this.compare(candidates, fresh)].filter(([, mark]) => mark === "new"));
  }
}

/** Show candidates with their rank in the answer, if any; `named` says whose they are, where that is not plain. */
export function showItems(list, candidates, marks, { named = false } = {}) {
  const entries = candidates.map((candidate) => ({ key: candidate.item_id, candidate, mark: marks.get(candidate.item_id) }));
  showKeyed(list, entries, row, (node, entry) => fill(node, entry, named));
  roam(list);
}

function row() {
  return element(
    "li",
    { className: "item" },
    element(
      "button",
      { type: "button", className: "add", "aria-keyshortcuts": "Enter Delete" },
      element("span", { className: "rank" }),
      element("span", { className: "names" }, element("span", { className: "title" }), element("span", { className: "meta" })),
      element("span", { className: "mark" }),
      element("span", { className: "score" }),
    ),
    element("button", { type: "button", className: "exclude", tabIndex: -1, textContent: "×" }),
  );
}

function fill(node, { candidate, mark }, named) {
  const [add, exclude] = node.querySelectorAll("button");
  node.className = `item ${tint(candidate.interest)}`;
  node.dataset.item = candidate.item_id;
  node.dataset.interest = candidate.interest;
  const by = candidate.interest === null ? "popular" : `interest ${letter(candidate.interest)}`;
  const answered = candidate.rank !== null;
  const place = node.querySelector(".rank");
  place.textContent = answered ? candidate.rank + 1 : "–";
  place.title = answered ? `number ${candidate.rank + 1} of the answer` : "not in the answer";
  node.querySelector(".title").textContent = titled(candidate);
  const about = [named && candidate.interest !== null ? letter(candidate.interest) : null, candidate.category];
  node.querySelector(".meta").textContent = about.filter(Boolean).join(" · ");
  node.querySelector(".score").textContent = candidate.interest === null ? candidate.score : candidate.score.toFixed(2);
  showMark(node.querySelector(".mark"), mark);
  add.title = `Add ${titled(candidate)} (${candidate.item_id}, ${by}) to the history`;
  exclude.title = "Exclude (Delete)";
  exclude.setAttribute("aria-label", `Exclude ${titled(candidate)}`);
}

function showMark(node, mark) {
  const [text, kind, said] =
    mark === "new" ? ["new", "new", "new in the answer"]
    : mark > 0 ? [`▲${mark}`, "up", `up ${mark}`]
    : mark < 0 ? [`▼${-mark}`, "down", `down ${-mark}`]
    : ["", "", ""];
  node.textContent = text;
  node.className = `mark ${kind}`;
  node.title = said;
}

/** One stop of the Tab key for each list; the arrow keys do the rest. */
function roam(list) {
  const buttons = [...list.querySelectorAll("li:not([data-leaving]) .add")];
  const current = buttons.find((button) => button === document.activeElement) ?? buttons[0];
  for (const button of buttons) button.tabIndex = button === current ? 0 : -1;
}

/** Clicks and keys on items anywhere in the page: add, exclude, move. */
export function listenToItems(act) {
  $("main").addEventListener("click", (event) => {
    const row = event.target.closest(".item");
    if (row === null) return;
    if (event.target.closest(".exclude")) act.exclude(row.dataset.item);
    else if (event.target.closest(".add")) act.add(row.dataset.item);
  });
  $("main").addEventListener("keydown", (event) => {
    const row = event.target.closest(".item");
    if (row === null) return;
    if (event.key === "Delete") act.exclude(row.dataset.item);
    else if (!move(row, event.key)) return;
    event.preventDefault();
  });
}

function move(row, key) {
  const lists = [...document.querySelectorAll("[data-list]")].filter((list) => list.children.length);
  const [list, items] = [lists.indexOf(row.parentElement), [...row.parentElement.children]];
  const place = items.indexOf(row);
  const beside = (step) => {
    const others = lists[list + step]?.children;
    return others?.[Math.min(place, others.length - 1)];
  };
  const target = {
    ArrowDown: () => items[place + 1],
    ArrowUp: () => items[place - 1],
    ArrowRight: () => beside(1),
    ArrowLeft: () => beside(-1),
    Home: () => items[0],
    End: () => items.at(-1),
  }[key];
  if (target === undefined) return false;
  const button = target()?.querySelector(".add");
  if (button) {
    button.focus();
    roam(button.closest("[data-list]"));
  }
  return true;
}
