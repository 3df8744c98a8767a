import type { GlyphName } from "./glyphs.js";

/** How a display state looks: the colour that carries it, ink on that colour, and how loud it may be. */
export interface StateStyle {
  readonly color: string;
  readonly ink: string;
  /** Fill of a chip: quieter than `color` for what needs no attention. */
  readonly chip: string;
  readonly chipInk: string;
  /** Background of the card's rail. */
  readonly rail: string;
  readonly railInk: string;
  readonly card: string;
  readonly border: string;
  /** A border that names the state without shouting. */
  readonly soft: string;
  readonly dashed: boolean;
}

export type StateName =
  | "ready" | "working" | "waiting" | "broken" | "suspended" | "terminating" | "not-started" | "unconfirmed";

/** A stand-in for the end of an edge that is no node of this flow. */
export type GhostName = "missing" | "external";

export interface Theme {
  readonly name: "light" | "dark";
  readonly background: string;
  readonly lane: string;
  readonly laneBorder: string;
  readonly surface: string;
  readonly text: string;
  readonly muted: string;
  readonly faint: string;
  readonly track: string;
  readonly edge: string;
  readonly edgeFaint: string;
  readonly edgeQuiet: string;
  readonly failure: string;
  readonly warning: string;
  readonly focus: string;
  readonly blockedBy: string;
  readonly blocks: string;
  readonly critical: string;
  readonly stripe: string;
  readonly shade: string;
  readonly states: Readonly<Record<StateName | GhostName, StateStyle>>;
}

/** Left to right in a progress bar. */
export const stateOrder: readonly StateName[] = [
  "ready", "working", "waiting", "broken", "terminating", "suspended", "unconfirmed", "not-started",
];

export const stateGlyph = (s: StateName | GhostName): GlyphName => s;

type RGB = readonly [number, number, number];
const rgb = (hex: string): RGB => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)) as unknown as RGB;

/** `share` of the first colour on the second. */
export function mix(a: string, b: string, share: number): string {
  const p = rgb(a), q = rgb(b);
  return "#" + p.map((v, i) => Math.round(v * share + q[i]! * (1 - share)).toString(16).padStart(2, "0")).join("");
}

/** Contrast ratio of two colours as WCAG counts it. */
export function contrast(a: string, b: string): number {
  const lum = (hex: string): number => {
    const [r, g, bl] = rgb(hex).map((v) => {
      const s = v / 255;
      return s <= 0.04045 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4;
    }) as unknown as RGB;
    return 0.2126 * r + 0.7152 * g + 0.0722 * bl;
  };
  const [hi, lo] = [lum(a), lum(b)].sort((x, y) => y - x) as [number, number];
  return (hi + 0.05) / (lo + 0.05);
}

interface Ground {
  readonly surface: string;
  readonly border: string;
  readonly ink: string;
  readonly text: string;
}

/** The colour itself, or as little nearer to the text's as it takes to be read on a ground. */
function legible(color: string, on: string, text: string): string {
  for (let share = 1; share > 0; share -= 0.05) {
    const c = mix(color, text, share);
    if (contrast(c, on) >= 4.5) return c;
  }
  return text;
}

/** Loud: a filled rail and a coloured border. Calm: only the mark is coloured. Ghostly: dashed and without a rail. */
function style(color: string, ground: Ground, tone: "loud" | "calm" | "ghostly", chip: string): StateStyle {
  const { surface, border, ink, text } = ground;
  const rail = tone === "loud" ? color : tone === "calm" ? mix(color, surface, 0.14) : surface;
  return {
    color, ink, chip,
    chipInk: [ink, color, text].find((c) => contrast(c, chip) >= 3) ?? text,
    rail,
    railInk: tone === "loud" ? ink : legible(color, rail, text),
    card: tone === "loud" ? mix(color, surface, 0.07) : surface,
    border: tone === "loud" ? mix(color, surface, 0.85) : tone === "calm" ? mix(color, border, 0.2) : mix(color, surface, 0.6),
    soft: mix(color, border, 0.45),
    dashed: tone === "ghostly",
  };
}

function states(c: Record<StateName | GhostName, string>, g: Ground): Theme["states"] {
  const pale = (s: StateName | GhostName, share: number): string => mix(c[s], g.surface, share);
  return {
    ready: style(c.ready, g, "calm", pale("ready", 0.85)),
    working: style(c.working, g, "loud", c.working),
    waiting: style(c.waiting, g, "calm", pale("waiting", 0.45)),
    broken: style(c.broken, g, "loud", c.broken),
    suspended: style(c.suspended, g, "calm", pale("suspended", 0.35)),
    terminating: style(c.terminating, g, "loud", pale("terminating", 0.8)),
    "not-started": style(c["not-started"], g, "calm", pale("not-started", 0.22)),
    unconfirmed: style(c.unconfirmed, g, "ghostly", pale("unconfirmed", 0.12)),
    missing: style(c.missing, g, "ghostly", pale("missing", 0.1)),
    external: style(c.external, g, "ghostly", pale("external", 0.1)),
  };
}

export const light: Theme = {
  name: "light",
  background: "#f5f7fa",
  lane: "#fbfcfe",
  laneBorder: "#d9dfe7",
  surface: "#ffffff",
  text: "#1b2430",
  muted: "#5a6675",
  faint: "#8a95a3",
  track: "#e3e8ee",
  edge: "#a9b4c1",
  edgeFaint: "#d0d8e0",
  edgeQuiet: "#e1e6ec",
  failure: "#c2410c",
  warning: "#a15c00",
  focus: "#0b57d0",
  blockedBy: "#c2410c",
  blocks: "#6d4fc4",
  critical: "#9a6700",
  stripe: "rgba(255,255,255,0.38)",
  shade: "rgba(27,36,48,0.035)",
  states: states({
    ready: "#00805e", working: "#0072b2", waiting: "#7a5a9e", broken: "#c2410c", suspended: "#5b6b7d",
    terminating: "#a03a6e", "not-started": "#6e7781", unconfirmed: "#6e7781", missing: "#a15c00", external: "#0b6aa8",
  }, { surface: "#ffffff", border: "#cfd7e0", ink: "#ffffff", text: "#1b2430" }),
};

export const dark: Theme = {
  name: "dark",
  background: "#0b0f15",
  lane: "#10151c",
  laneBorder: "#232b36",
  surface: "#171d26",
  text: "#e8edf3",
  muted: "#9aa6b4",
  faint: "#6f7b89",
  track: "#252d38",
  edge: "#4a5666",
  edgeFaint: "#2c3541",
  edgeQuiet: "#1b222b",
  failure: "#ff8c42",
  warning: "#e3b341",
  focus: "#8ab8ff",
  blockedBy: "#ff8c42",
  blocks: "#b79cf7",
  critical: "#f0c44c",
  stripe: "rgba(9,18,28,0.30)",
  shade: "rgba(255,255,255,0.035)",
  states: states({
    ready: "#2bbf94", working: "#56b4e9", waiting: "#b39ad8", broken: "#ff8c42", suspended: "#93a1b1",
    terminating: "#e783b0", "not-started": "#8b949e", unconfirmed: "#8b949e", missing: "#e3b341", external: "#79b8ff",
  }, { surface: "#171d26", border: "#2d3744", ink: "#0b1118", text: "#e8edf3" }),
};
