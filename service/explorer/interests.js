/** The interests as columns: what each stands for, how much of the user it is, how far refinement moved it, what it finds. */

import { $, element, letter, percent, tint, titled } from "./dom.js";
import { showItems } from "./items.js";
import { showKeyed } from "./keyed.js";

const SHOWN = 6;

/** Show the interests and what each of them finds; `answered` is how many of the answer are whose. */
export function showInterests(interests, found, answered, marks) {
  const entries = interests.map((interest) => ({ key: String(interest.interest), interest }));
  showKeyed($("interests"), entries, column, (node, { interest }) => {
    node.className = `interest ${tint(interest.interest)}`;
    node.dataset.interest = interest.interest;
    fill(node, interest);
    const own = found.filter((candidate) => candidate.interest === interest.interest);
    showItems(node.querySelector(".candidates"), own.slice(0, SHOWN), marks);
    const share = answered.filter((candidate) => candidate.interest === interest.interest).length;
    node.querySelector(".rest").textContent = share ? `${share} of the answer’s ${answered.length}` : `none of the answer’s ${answered.length}: others score higher`;
  });
}

/** Show which interest is selected; null: none. */
export function showSelected(selected) {
  for (const node of $("interests").querySelectorAll(".interest")) {
    node.querySelector(".choose").setAttribute("aria-pressed", String(node.dataset.interest === String(selected)));
  }
}

/** Pointing at an interest shows what it reads, for as long as that lasts; selecting it, until it is selected again. */
export function listenToInterests(point, select) {
  const list = $("interests");
  const at = (event) => event.target.closest?.(".interest")?.dataset.interest;
  const number = (text) => (text === undefined ? null : Number(text));
  list.addEventListener("pointerover", (event) => event.pointerType === "mouse" && point(number(at(event))));
  list.addEventListener("pointerleave", () => point(null));
  list.addEventListener("focusin", (event) => point(number(at(event))));
  list.addEventListener("focusout", () => point(null));
  list.addEventListener("click", (event) => event.target.closest(".choose") && select(number(at(event))));
}

function column() {
  return element(
    "article",
    { className: "interest" },
    element(
      "button",
      { type: "button", className: "choose" },
      element("span", { className: "badge" }),
      element("span", { className: "names" }, element("span", { className: "face" }), element("span", { className: "meta" })),
    ),
    element(
      "dl",
      { className: "measures" },
      measure("weight", "of the user"),
      measure("shift", "moved"),
      measure("kept", "kept"),
    ),
    element("div", { className: "gauge", ariaHidden: "true" }, element("span")),
    element("ol", { className: "candidates" }),
    element("p", { className: "rest hint" }),
  );
}

function measure(name, label) {
  return element("div", { className: name }, element("dt", { textContent: label }), element("dd"));
}

function fill(node, interest) {
  const name = letter(interest.interest);
  const choose = node.querySelector(".choose");
  choose.title = `Interest ${name} (number ${interest.interest} of the interface): show what it reads`;
  node.setAttribute("aria-label", `Interest ${name}`);
  node.querySelector(".badge").textContent = name;
  node.querySelector(".face").textContent = interest.face ? titled(interest.face) : "points at no item";
  node.querySelector(".choose .meta").textContent = interest.face?.category ?? "";
  node.querySelector(".weight dd").textContent = percent(interest.weight);
  const shift = node.querySelector(".shift");
  shift.querySelector("dd").textContent = Math.abs(interest.shift).toFixed(2); // −0.00 is no figure
  shift.title = "1 − cos(coarse, served): how far refinement turned it";
  const kept = interest.history.filter((one) => !one.pruned).length;
  node.querySelector(".kept").hidden = !interest.history.length;
  node.querySelector(".kept dd").textContent = `${kept}/${interest.history.length}`;
  node.querySelector(".gauge span").style.width = `${100 * interest.weight}%`;
  const list = node.querySelector(".candidates");
  list.dataset.list = "";
  list.setAttribute("aria-label", `Top candidates of interest ${name}`);
}
