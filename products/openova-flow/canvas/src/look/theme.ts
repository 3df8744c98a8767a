/** The look of a display state: its colour, the text colour on it (`ink`), and the fills and borders made from it. */
export interface StateStyle {
  readonly color: string;
  readonly ink: string;
  /** Fill of a chip: `color`, or weaker, so that the states that need attention stand out. */
  readonly chip: string;
  readonly chipInk: string;
  /** Background of the card's rail. */
  readonly rail: string;
  readonly railInk: string;
  readonly card: string;
  readonly border: string;
  /** A weaker border, for the frame of a region. */
  readonly soft: string;
  readonly dashed: boolean;
}

export type StateName =
  | "ready" | "working" | "waiting" | "broken" | "suspended" | "terminating" | "not-started" | "unconfirmed";

/** The placeholder at the end of an edge that leads to no node of this flow. */
export type GhostName = "missing" | "external";

export interface Theme {
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

/** The base colours, from which all others are mixed. Each is the custom property `--flow-<name>` of the page. */
export type PaletteName =
  | "background" | "surface" | "raised" | "border" | "text" | "muted" | "track" | "hover" | "focus" | "on-accent" | "stripe" | "critical" | StateName;

/** The order of the states in a progress bar, from left to right. */
export const stateOrder: readonly StateName[] = [
  "ready", "working", "waiting", "broken", "terminating", "suspended", "unconfirmed", "not-started",
];

type RGB = readonly [number, number, number];
const rgb = (hex: string): RGB => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)) as unknown as RGB;

/** Mixes two `#rrggbb` colours: `share`, from 0 to 1, of the first, and the rest of the second. */
export function mix(a: string, b: string, share: number): string {
  const p = rgb(a), q = rgb(b);
  return "#" + p.map((v, i) => Math.round(v * share + q[i]! * (1 - share)).toString(16).padStart(2, "0")).join("");
}

/** The contrast ratio of two colours as defined by WCAG, from 1 to 21. */
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

/** The colour, mixed with as little of the text's colour as it needs for a contrast of 4.5 on the background `on`. */
function legible(color: string, on: string, text: string): string {
  for (let share = 1; share > 0; share -= 0.05) {
    const c = mix(color, text, share);
    if (contrast(c, on) >= 4.5) return c;
  }
  return text;
}

/** Loud: a filled rail and a coloured border. Calm: a faint rail and border. Ghostly: dashed and without a rail. */
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

/** The theme of a palette. Its colours must be `#rrggbb`, except `stripe`, which may be any CSS colour. */
export function themeOf(color: (name: PaletteName) => string): Theme {
  const text = color("text"), muted = color("muted"), raised = color("raised"), broken = color("broken"), critical = color("critical");
  const background = color("background"), border = color("border"), focus = color("focus");
  const lane = mix(color("surface"), background, 0.6);
  const ground: Ground = { surface: raised, border, ink: color("on-accent"), text };
  /** The look of a state; its chip has `share` of its colour. */
  const state = (name: StateName, tone: "loud" | "calm" | "ghostly", share: number): StateStyle => style(color(name), ground, tone, mix(color(name), raised, share));
  const ghost = (c: string): StateStyle => style(c, ground, "ghostly", mix(c, raised, 0.1));
  return {
    background, lane, laneBorder: border, surface: raised, text, muted, faint: mix(muted, lane, 0.7), track: color("track"),
    edge: mix(muted, lane, 0.5), edgeFaint: mix(muted, lane, 0.25), edgeQuiet: mix(muted, lane, 0.13),
    failure: broken, warning: critical, focus, blockedBy: broken, blocks: color("waiting"), critical,
    stripe: color("stripe"), shade: mix(text, lane, 0.035),
    states: {
      ready: state("ready", "calm", 0.85),
      working: state("working", "loud", 1),
      waiting: state("waiting", "calm", 0.45),
      broken: state("broken", "loud", 1),
      suspended: state("suspended", "calm", 0.35),
      terminating: state("terminating", "loud", 0.8),
      "not-started": state("not-started", "calm", 0.22),
      unconfirmed: state("unconfirmed", "ghostly", 0.12),
      missing: ghost(critical),
      external: ghost(focus),
    },
  };
}
