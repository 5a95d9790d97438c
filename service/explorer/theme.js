/** Light or dark: as the system says, until somebody says otherwise on the page. */

import { $ } from "./dom.js";

const CHOSEN = "dmi-theme";
const system = matchMedia("(prefers-color-scheme: dark)");
const root = document.documentElement;

export const isDark = () => (root.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";

/** Make the button work; `repaint` is called when the colours change. */
export function installTheme(repaint) {
  const show = () => {
    $("theme").textContent = isDark() ? "Light" : "Dark";
    $("theme").setAttribute("aria-label", `Change to ${isDark() ? "light" : "dark"} colours`);
    repaint();
  };
  if (localStorage.getItem(CHOSEN)) root.dataset.theme = localStorage.getItem(CHOSEN);
  $("theme").addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    localStorage.setItem(CHOSEN, root.dataset.theme);
    show();
  });
  system.addEventListener("change", show);
  show();
}

/** The colour of category number `index` (−1: none): hues apart by the golden angle, equally light, so that none shouts. */
export function categoryColour(index) {
  if (index < 0) return "#888";
  const hue = (index * 137.508) % 360;
  return isDark() ? `oklch(0.74 0.1 ${hue})` : `oklch(0.66 0.13 ${hue})`;
}
