/** The plane of `dmi build`: items by category, the user's history, and each interest on its way from coarse to refined. */

import { element, letter, tint, titled } from "./dom.js";
import { categoryColour } from "./theme.js";

const MARGIN = 26;
const NEAR = 14; // pixels within which the pointer finds an item
const [DISC, HEAD] = [12, 11]; // pixels: radius of an interest’s disc, length of an arrow’s head
const SVG = "http://www.w3.org/2000/svg";

export class ItemMap {
  #host;
  #canvas = element("canvas", { ariaHidden: "true" });
  #drawing = shape("svg", { role: "img" });
  #below = shape("g", {});
  #above = shape("g", {});
  #arrows = new Map(); // interest → its arrow, which moves from answer to answer
  #tip = element("p", { className: "tip", hidden: true });
  #catalogue = null;
  #shown = { interests: [], candidates: [], history: [], known: new Map(), active: null };
  #points = []; // {item, x, y} of everything that can be pointed at

  /** `add(item_id)` is called for an item that is clicked. */
  constructor(host, add) {
    this.#host = host;
    this.#drawing.append(this.#below, this.#above);
    new ResizeObserver(() => this.paint()).observe(host);
    host.addEventListener("pointermove", (event) => this.#tell(this.#nearest(event)));
    host.addEventListener("pointerleave", () => this.#tell(null));
    host.addEventListener("click", (event) => {
      const point = this.#nearest(event);
      if (point) add(point.item.item_id);
    });
  }

  /** The items to draw, as GET /explorer/catalogue has them. */
  setCatalogue(catalogue) {
    this.#catalogue = catalogue;
    if (catalogue.explained) this.#host.replaceChildren(this.#canvas, this.#drawing, this.#tip);
    else this.#host.replaceChildren(element("p", { className: "empty" }, "This bundle has no map. ", element("code", { textContent: "dmi build" }), " makes one, for models that have item vectors."));
    this.paint();
  }

  /** What to draw upon them; `known` has the place of each item, `active` is the interest pointed at. */
  show(shown) {
    this.#shown = shown;
    this.paint();
  }

  paint() {
    if (!this.#catalogue?.explained || !this.#host.clientWidth) return;
    const [width, height] = [this.#host.clientWidth, this.#host.clientHeight];
    const at = this.#projection(width, height);
    this.#paintItems(width, height, at);
    this.#drawing.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const { interests, candidates, history, known, active } = this.#shown;
    const placed = (items) => items.filter((item) => known.get(item.item_id)?.place);
    const point = (item) => ({ item, ...at(known.get(item.item_id).place) });
    const [past, found] = [placed(history).map(point), placed(candidates).map(point)];
    this.#points = [...this.#catalogue.items.map((item) => ({ item, ...at(item.place) })), ...past, ...found];
    const dim = (interest) => (active !== null && active !== interest ? "dim" : "");
    const pruned = new Set(interests.find((one) => one.interest === active)?.history.filter((one) => one.pruned).map((one) => one.item_id));
    const drawn = interests.filter((interest) => interest.path);
    this.#below.replaceChildren(
      ...found.map(({ item, x, y }) => shape("circle", { cx: x, cy: y, r: 4.5, class: `found ${tint(item.interest)} ${dim(item.interest)}` })),
      ...past.map(({ item, x, y }) => shape("rect", { x: x - 4.5, y: y - 4.5, width: 9, height: 9, class: `past ${pruned.has(item.item_id) ? "dim" : ""}`, transform: `rotate(45 ${x} ${y})` })),
      ...this.#labels(past, found),
    );
    for (const [number, arrow] of this.#arrows) {
      if (drawn.some((interest) => interest.interest === number)) continue;
      arrow.remove();
      this.#arrows.delete(number);
    }
    for (const { interest, path } of drawn) {
      if (!this.#arrows.has(interest)) {
        this.#arrows.set(interest, newArrow(interest));
        this.#above.append(this.#arrows.get(interest));
      }
      const arrow = this.#arrows.get(interest);
      arrow.setAttribute("class", `drawn-interest ${tint(interest)} ${dim(interest)}`);
      aim(arrow, path.map(at));
    }
    this.#drawing.setAttribute("aria-label", `${this.#catalogue.items.length} items; ${past.length} of the history, ${found.length} candidates, ${drawn.length} interests`);
  }

  /** Places → pixels: the same scale along both axes, everything inside. */
  #projection(width, height) {
    const ends = this.#shown.interests.flatMap((interest) => interest.path ?? []);
    const places = [...this.#catalogue.items.map((item) => item.place), ...ends];
    const [left, right, bottom, top] = places.reduce(
      ([l, r, b, t], [x, y]) => [Math.min(l, x), Math.max(r, x), Math.min(b, y), Math.max(t, y)],
      [Infinity, -Infinity, Infinity, -Infinity],
    );
    const scale = Math.min((width - 2 * MARGIN) / Math.max(right - left, 1e-6), (height - 2 * MARGIN) / Math.max(top - bottom, 1e-6));
    return ([x, y]) => ({
      x: width / 2 + (x - (left + right) / 2) * scale,
      y: height / 2 - (y - (bottom + top) / 2) * scale,
    });
  }

  #paintItems(width, height, at) {
    const ratio = devicePixelRatio || 1;
    Object.assign(this.#canvas, { width: width * ratio, height: height * ratio });
    const pen = this.#canvas.getContext("2d");
    pen.scale(ratio, ratio);
    pen.globalAlpha = 0.6;
    const numbers = new Map(this.#catalogue.categories.map((name, number) => [name, number]));
    for (const item of this.#catalogue.items) {
      const { x, y } = at(item.place);
      pen.fillStyle = categoryColour(numbers.get(item.category) ?? -1);
      pen.beginPath();
      pen.arc(x, y, 2.3, 0, 2 * Math.PI);
      pen.fill();
    }
  }

  /** The names of the categories that the user has to do with, in the middle of their items, none over another. */
  #labels(past, found) {
    const wanted = new Map();
    for (const { item } of [...past, ...found]) if (item.category) wanted.set(item.category, (wanted.get(item.category) ?? 0) + 1);
    const names = [...wanted].sort(([, one], [, other]) => other - one).slice(0, 8);
    const taken = [];
    return names.flatMap(([name]) => {
      const members = this.#points.filter(({ item }) => item.category === name);
      const x = middle(members.map((point) => point.x));
      const y = Math.min(middle(members.map((point) => point.y)), this.#host.clientHeight - MARGIN) - 12;
      if (taken.some((other) => Math.abs(other.y - y) < 15 && Math.abs(other.x - x) < 90)) return [];
      taken.push({ x, y });
      const label = shape("text", { x, y, class: "label", "text-anchor": "middle" });
      label.textContent = name;
      return [label];
    });
  }

  #nearest(event) {
    const box = this.#host.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const far = (point) => Math.hypot(point.x - x, point.y - y);
    const best = this.#points.reduce((one, other) => (one && far(one) <= far(other) ? one : other), null);
    return best && far(best) <= NEAR ? best : null;
  }

  #tell(point) {
    this.#tip.hidden = point === null;
    this.#host.style.cursor = point ? "pointer" : "";
    if (point === null) return;
    this.#tip.replaceChildren(element("b", { textContent: titled(point.item) }), ` ${point.item.category ?? ""}`);
    this.#tip.style.left = `${Math.min(Math.max(point.x, 80), this.#host.clientWidth - 80)}px`;
    this.#tip.style.top = `${point.y < 60 ? point.y + 22 : point.y - 42}px`;
  }
}

/** An interest: a ring where it was coarse, the way it went, and a disc with its letter where it is searched with. */
function newArrow(interest) {
  const name = shape("text", { class: "letter", "text-anchor": "middle", "dominant-baseline": "central" });
  name.textContent = letter(interest);
  const [arrow, end] = [shape("g", {}), shape("g", { class: "end" })];
  end.append(shape("circle", { r: DISC, class: "refined" }), name);
  arrow.append(shape("g", {}), end);
  return arrow;
}

/** Let an arrow go through these points, coarse first. */
function aim(arrow, points) {
  const [way, end] = arrow.children;
  const [from, to] = [points[0], points.at(-1)];
  const before = points.findLast((point) => Math.hypot(to.x - point.x, to.y - point.y) > DISC + HEAD);
  way.replaceChildren(
    shape("polyline", { points: points.map(({ x, y }) => `${x},${y}`).join(" ") }),
    shape("circle", { cx: from.x, cy: from.y, r: 5, class: "coarse" }),
    ...points.slice(1, -1).map(({ x, y }) => shape("circle", { cx: x, cy: y, r: 2.5, class: "between" })),
    ...(before ? [head(before, to)] : []),
  );
  end.style.transform = `translate(${to.x}px, ${to.y}px)`;
}

/** The head of an arrow that ends at the edge of the disc around `to`. */
function head(from, to) {
  const angle = Math.atan2(to.y - from.y, to.x - from.x);
  const corner = (distance, turn) => `${to.x - distance * Math.cos(angle + turn)},${to.y - distance * Math.sin(angle + turn)}`;
  return shape("polygon", { points: [corner(DISC + 1, 0), corner(DISC + HEAD, 0.26), corner(DISC + HEAD, -0.26)].join(" ") });
}

function middle(numbers) {
  const sorted = [...numbers].sort((one, other) => one - other);
  return sorted[sorted.length >> 1] ?? 0;
}

function shape(tag, attributes) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}
