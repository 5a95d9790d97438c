// What an accessibility audit finds first: names, labels, ids, and the contrast of text with what is behind it.
const found = [];
const shown = (node) => node.checkVisibility({ opacityProperty: true, visibilityProperty: true });
const say = (problem, node) => found.push(`${problem}: ${node.outerHTML.slice(0, 120)}`);

for (const node of document.querySelectorAll("button, a, input, [role=combobox], [role=img], summary")) {
  const labels = [...(node.labels ?? [])].map((label) => label.textContent).join("");
  const by = (node.getAttribute("aria-labelledby") ?? "").split(" ").map((id) => document.getElementById(id)?.textContent ?? "");
  const name = [node.getAttribute("aria-label") ?? "", labels, ...by, node.textContent].join("").trim();
  if (shown(node) && !name) say("no name", node);
}
const ids = [...document.querySelectorAll("[id]")].map((node) => node.id);
for (const id of new Set(ids.filter((id, place) => ids.indexOf(id) !== place))) found.push(`two have the id ${id}`);
for (const node of document.querySelectorAll("[aria-controls], [aria-labelledby], [for]")) {
  for (const name of ["aria-controls", "aria-labelledby", "for"]) {
    for (const id of (node.getAttribute(name) ?? "").split(" ").filter(Boolean)) if (!document.getElementById(id)) say(`${name}=${id} names nothing`, node);
  }
}
for (const node of document.querySelectorAll("img:not([alt])")) say("no alt", node);
if (document.querySelectorAll("h1").length !== 1) found.push("not one h1");
if (!document.documentElement.lang) found.push("no lang");

// Colours as the canvas understands them, so that every notation is read.
const pen = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d", { willReadFrequently: true });
function over(colour, [r, g, b]) {
  pen.fillStyle = `rgb(${r} ${g} ${b})`;
  pen.fillRect(0, 0, 1, 1);
  pen.fillStyle = colour;
  pen.fillRect(0, 0, 1, 1);
  return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3);
}
function behind(node) {
  const backs = [];
  for (let at = node; at; at = at.parentElement) backs.push(getComputedStyle(at).backgroundColor);
  return backs.reverse().reduce((under, colour) => over(colour, under), [255, 255, 255]);
}
function luminance(colour) {
  const [r, g, b] = colour.map((part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
for (const node of document.querySelectorAll("body *")) {
  const text = [...node.childNodes].some((child) => child.nodeType === Node.TEXT_NODE && child.textContent.trim());
  if (!text || !shown(node) || node.closest("svg, noscript, .unseen, .skip, :disabled")) continue;
  const back = behind(node);
  const [light, dark] = [luminance(over(getComputedStyle(node).color, back)), luminance(back)].sort((one, other) => other - one);
  const ratio = (light + 0.05) / (dark + 0.05);
  if (ratio < 4.5) say(`contrast ${ratio.toFixed(2)}`, node);
}
return found;
