/** Elements, and the names and colours that everything on the page agrees about. */

const NAMED = new Intl.NumberFormat("en");

/** An element with properties (or attributes, where there is no such property) and children; null children are left out. */
export function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in node) node[name] = value;
    else if (value !== null && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

/** The element of the page with this id. */
export const $ = (id) => document.getElementById(id);

/** What people read for an item. */
export const titled = (item) => item.title ?? item.item_id;

/** An interest's name: letters, since numbers are ranks here. */
export const letter = (interest) => (interest < 26 ? String.fromCharCode(65 + interest) : String(interest));

/** The class that gives an element an interest's colour. */
export const tint = (interest) => (interest === null ? "tint-none" : `tint-${interest % 8}`);

export const percent = (share) => `${Math.round(100 * share)} %`;
/** `4 steps`, `1 step` */
export const many = (number, noun) => `${NAMED.format(number)} ${noun}${number === 1 ? "" : "s"}`;
export const count = (number) => NAMED.format(number);
export const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/** Let a function run once its caller has been quiet for a moment. */
export function quietly(milliseconds, run) {
  let timer = 0;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => run(...given), milliseconds);
  };
}
