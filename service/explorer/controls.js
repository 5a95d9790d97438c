/** What may be asked: the fields beside the answer, filled from the view and changing it. */

import * as api from "./api.js";
import { combobox } from "./combobox.js";
import { $, element, many, still, titled } from "./dom.js";

const PLAY = 900; // milliseconds for each step

export class Controls {
  #change;
  #playing = 0;
  #steps = 0;
  #users = []; // options of the field for a user

  /** `change(part)` takes over a part of the view; `act` adds and excludes items; `view()` is the view. */
  constructor(change, act, view) {
    this.#change = change;
    const number = (field) => (field.value !== "" && field.checkValidity() ? Number(field.value) : null);
    $("steps").addEventListener("input", () => (this.stop(), change({ steps: Number($("steps").value) })));
    $("diversity").addEventListener("input", () => change({ diversity: Number($("diversity").value) }));
    $("play").addEventListener("click", () => (this.#playing ? this.stop() : this.#play()));
    $("n").addEventListener("change", () => change({ n: number($("n")) ?? view().n }));
    $("max").addEventListener("change", () => change({ max: number($("max")) }));
    $("seen").addEventListener("change", () => change({ seen: $("seen").checked }));
    $("merge").addEventListener("change", (event) => change({ merge: event.target.value }));
    $("all-categories").addEventListener("click", () => change({ category: [] }));
    $("categories").addEventListener("change", () => {
      change({ category: [...$("categories").querySelectorAll(":checked")].map((box) => box.value) });
    });
    $("excluded").addEventListener("click", (event) => {
      const item = event.target.closest("button")?.dataset.item;
      if (item) change({ exclude: view().exclude.filter((other) => other !== item) });
    });
    $("users").addEventListener("click", (event) => {
      const user = event.target.closest("button")?.dataset.user;
      if (user) act.choose(user);
    });
    const find = async (text) => {
      if (!text) return [];
      const found = (await api.items({ q: text, limit: 8 }, view().session ? null : view().user)).items;
      return found.map((item) => ({ value: item.item_id, label: titled(item), note: item.category ?? item.item_id }));
    };
    combobox($("add"), { label: "Add to the history", placeholder: "search items by title", find, choose: act.add });
    combobox($("exclude"), { label: "Exclude", placeholder: "search items by title", find, choose: act.exclude });
    this.user = combobox($("user"), {
      label: "User",
      placeholder: "a user id",
      free: true,
      choose: act.choose,
      find: async (text) => this.#users.filter((user) => user.value.includes(text)).slice(0, 12),
    });
  }

  /** The users to offer. */
  offerUsers(users) {
    this.#users = users.map(({ user_id, events }) => ({ value: user_id, label: user_id, note: many(events, "event") }));
    const chips = users.slice(0, 6).map(({ user_id, events }) =>
      element("li", {}, element("button", { type: "button", className: "chip", "data-user": user_id, title: many(events, "event"), textContent: user_id })),
    );
    $("users").replaceChildren(...chips);
  }

  /** The categories to filter by, those of the most items first. */
  offerCategories(names) {
    const chip = (name) => element("li", {}, element("label", { className: "chip" }, element("input", { type: "checkbox", value: name }), element("span", { textContent: name })));
    $("categories").replaceChildren(...names.map(chip));
    $("category-title").hidden = !names.length;
  }

  /** Let every field say what the view is; the served model has `steps` refinement steps. */
  show(view, steps, known) {
    this.#steps = steps;
    const step = Math.min(view.steps ?? steps, steps);
    Object.assign($("steps"), { max: Math.max(steps, 1), value: step, disabled: !steps });
    $("steps").setAttribute("aria-valuetext", said(step, steps));
    $("steps-said").textContent = said(step, steps);
    $("play").disabled = !steps;
    Object.assign($("diversity"), { value: view.diversity });
    $("diversity-said").textContent = view.diversity ? view.diversity.toFixed(2) : "off";
    $("n").value = view.n;
    $("max").value = view.max ?? "";
    $("seen").checked = view.seen;
    for (const box of $("merge").querySelectorAll("input")) box.checked = box.value === view.merge;
    for (const box of $("mode").querySelectorAll("input")) box.checked = box.value === (view.session ? "session" : "user");
    for (const box of $("categories").querySelectorAll("input")) box.checked = view.category.includes(box.value);
    $("all-categories").hidden = !view.category.length;
    $("user-part").hidden = view.session;
    $("session-part").hidden = !view.session;
    if (document.activeElement !== this.user) this.user.value = view.user ?? "";
    for (const chip of $("users").querySelectorAll("button")) chip.setAttribute("aria-pressed", chip.dataset.user === view.user);
    const excluded = view.exclude.map((item) => {
      const name = titled(known.get(item) ?? { item_id: item });
      return element("li", {}, element("button", { type: "button", className: "chip gone", "data-item": item, title: "Allow it again", ariaLabel: `Allow ${name} again`, textContent: `${name} ×` }));
    });
    $("excluded").replaceChildren(...excluded);
  }

  /** Stop a playing refinement. */
  stop() {
    clearInterval(this.#playing);
    this.#playing = 0;
    $("play").textContent = "▶";
    $("play").setAttribute("aria-label", "Play the refinement from coarse to refined");
  }

  #play() {
    let step = 0;
    const go = () => {
      this.#change({ steps: step });
      if (step === this.#steps) this.stop();
      step += 1;
    };
    $("play").textContent = "❚❚";
    $("play").setAttribute("aria-label", "Stop");
    this.#playing = setInterval(go, still() ? 2 * PLAY : PLAY);
    go();
  }
}

function said(step, steps) {
  if (!steps) return "this model does not refine";
  return step === 0 ? `coarse, 0 of ${many(steps, "step")}` : `${step} of ${many(steps, "step")}`;
}
