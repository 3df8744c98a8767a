import type { PaletteName } from "./theme.js";

/** The default palette, for pages that set none. */
export const palette: Readonly<Record<PaletteName, readonly [light: string, dark: string]>> = {
  background: ["#f5f7fa", "#0b0f15"],
  surface: ["#ffffff", "#10151c"],
  raised: ["#ffffff", "#171d26"],
  border: ["#d9dfe7", "#2d3744"],
  text: ["#1b2430", "#e8edf3"],
  muted: ["#5a6675", "#9aa6b4"],
  track: ["#e3e8ee", "#252d38"],
  hover: ["#eef3f8", "#1c232d"],
  focus: ["#0b57d0", "#8ab8ff"],
  "on-accent": ["#ffffff", "#0b1118"],
  stripe: ["rgb(255 255 255 / 38%)", "rgb(9 18 28 / 30%)"],
  critical: ["#875a00", "#f0c44c"],
  ready: ["#007857", "#2bbf94"],
  working: ["#006fae", "#56b4e9"],
  waiting: ["#7a5a9e", "#b39ad8"],
  broken: ["#be3f0b", "#ff8c42"],
  suspended: ["#5b6b7d", "#93a1b1"],
  terminating: ["#a03a6e", "#e783b0"],
  "not-started": ["#5f6872", "#8b949e"],
  unconfirmed: ["#5f6872", "#8b949e"],
};

/** Adds the default palette to the document, in a rule of zero specificity, which a rule for `:root` or `html` overrides. */
export function adoptPalette(): void {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(`:where(:root) { ${Object.entries(palette).map(([name, [light, dark]]) => `--flow-${name}: light-dark(${light}, ${dark});`).join(" ")} }`);
  document.adoptedStyleSheets.push(sheet);
}
