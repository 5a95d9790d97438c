/** Where the time goes: the stages of Server-Timing as one bar, and how long the page waited. */

import { $, element } from "./dom.js";

/** Show the stages, [name, milliseconds] each, and the milliseconds until the answer was here. */
export function showTiming(stages, waited) {
  const total = stages.reduce((sum, [, milliseconds]) => sum + milliseconds, 0);
  const bar = element("div", { className: "stages", role: "img" });
  bar.setAttribute("aria-label", stages.map(([name, milliseconds]) => `${name} ${milliseconds.toFixed(2)} ms`).join(", "));
  const legend = element("ul", { className: "legend" });
  for (const [name, milliseconds] of stages) {
    const piece = element("span", { className: `stage stage-${name}`, title: `${name} ${milliseconds.toFixed(2)} ms` });
    piece.style.flexGrow = Math.max(milliseconds / Math.max(total, 1e-9), 0.005);
    bar.append(piece);
    legend.append(
      element("li", {}, element("i", { className: `stage stage-${name}` }), `${name} `, element("b", { textContent: milliseconds.toFixed(1) })),
    );
  }
  const said = element(
    "p",
    { className: "took" },
    "Answered in ",
    element("b", { textContent: `${total.toFixed(1)} ms` }),
    element("small", { textContent: ` ${waited.toFixed(0)} ms with the network` }),
  );
  $("timing").replaceChildren(said, bar, legend);
}
