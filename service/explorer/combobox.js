/** A text field that offers what it finds: the combobox pattern of the ARIA practices, with a list box below. */

import { element, quietly } from "./dom.js";

const PAUSE = 120; // milliseconds after a key until something is looked for

/**
 * Make `host` a combobox.
 *
 * `find(text)` resolves to options {value, label, note}; `choose(value)` gets the chosen one, or the text as typed where
 * `free` allows it. Returns the text field.
 */
export function combobox(host, { label, placeholder, find, choose, free = false }) {
  const id = `${host.id}-options`;
  const field = element("input", {
    type: "text",
    id: `${host.id}-field`,
    role: "combobox",
    placeholder,
    autocomplete: "off",
    spellcheck: false,
    "aria-expanded": "false",
    "aria-controls": id,
    "aria-autocomplete": "list",
  });
  const list = element("ul", { id, role: "listbox", "aria-label": label, hidden: true });
  host.replaceChildren(element("label", { htmlFor: field.id, textContent: label }), field, list);
  let [options, active, asked] = [[], -1, 0];

  const show = (found, note = "") => {
    [options, active] = [found, -1];
    const rows = found.map((option, place) =>
      element(
        "li",
        { id: `${id}-${place}`, role: "option", "aria-selected": "false" },
        element("span", { textContent: option.label }),
        element("small", { textContent: option.note ?? "" }),
      ),
    );
    list.replaceChildren(...rows, ...(note ? [element("li", { className: "none", role: "option", ariaDisabled: "true", textContent: note })] : []));
    list.hidden = !list.children.length;
    field.setAttribute("aria-expanded", String(!list.hidden));
    field.removeAttribute("aria-activedescendant");
  };
  const close = () => {
    asked += 1; // what is still being looked for comes too late
    show([]);
  };
  const look = quietly(PAUSE, async () => {
    const own = (asked += 1);
    const text = field.value.trim();
    try {
      const found = await find(text);
      if (own === asked && document.activeElement === field) show(found, text && !found.length && !free ? "nothing has this name" : "");
    } catch (error) {
      if (own === asked) show([], error.message);
    }
  });
  const mark = (place) => {
    const rows = [...list.querySelectorAll("[id]")];
    active = (place + rows.length) % rows.length;
    rows.forEach((row, number) => row.setAttribute("aria-selected", String(number === active)));
    field.setAttribute("aria-activedescendant", rows[active].id);
    rows[active].scrollIntoView({ block: "nearest" });
  };
  const take = (value) => {
    close();
    field.value = free ? value : "";
    choose(value);
  };

  field.addEventListener("input", look);
  field.addEventListener("focus", look);
  field.addEventListener("blur", close);
  list.addEventListener("pointerdown", (event) => {
    const row = event.target.closest("[id]");
    event.preventDefault(); // the field keeps the focus
    if (row && row !== list) take(options[[...list.children].indexOf(row)].value);
  });
  field.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" && options.length) mark(active + 1);
    else if (event.key === "ArrowUp" && options.length) mark(active < 0 ? options.length - 1 : active - 1);
    else if (event.key === "Enter" && active >= 0) take(options[active].value);
    else if (event.key === "Enter" && free && field.value.trim()) take(field.value.trim());
    else if (event.key === "Enter" && options.length) take(options[0].value);
    else if (event.key === "Escape") close();
    else return;
    event.preventDefault();
  });
  return field;
}
