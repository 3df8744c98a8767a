/** Names of glyphs: display states, ghosts, and marks of edges. */
export type GlyphName =
  | "ready" | "working" | "waiting" | "broken" | "suspended" | "terminating" | "not-started" | "unconfirmed"
  | "missing" | "external" | "cycle" | "on-failure" | "always";

/** SVG paths in a 16 by 16 box: `stroke` is stroked with round caps, `fill` is filled. */
export interface Glyph {
  readonly stroke: string;
  readonly fill?: string;
  readonly width: number;
}

const ring = (r: number): string => `M${8 + r} 8a${r} ${r} 0 1 1-${2 * r} 0a${r} ${r} 0 1 1 ${2 * r} 0Z`;

/** Paths need no font. Each display state has its own outline, so that it can be recognised without colour. */
export const glyphs: Readonly<Record<GlyphName, Glyph>> = {
  ready: { stroke: "M3.6 8.4 6.7 11.5 12.4 4.9", width: 2 },
  working: { stroke: ring(4.6), fill: "M8 3.4a4.6 4.6 0 0 1 0 9.2Z", width: 1.5 },
  waiting: { stroke: `${ring(4.9)}M8 5.2V8.1L10 9.4`, width: 1.5 },
  broken: { stroke: "M4.4 4.4 11.6 11.6M11.6 4.4 4.4 11.6", width: 2.1 },
  suspended: { stroke: "M5.8 4.4V11.6M10.2 4.4V11.6", width: 2.2 },
  terminating: { stroke: "M3.4 5H12.6M6.3 4.8V3.3H9.7V4.8M4.8 5.2 5.4 12.6H10.6L11.2 5.2M8 7.2V10.6", width: 1.4 },
  "not-started": { stroke: ring(4.3), width: 1.7 },
  unconfirmed: { stroke: "M5.7 6.1A2.3 2.3 0 1 1 9.2 8C8.4 8.5 8 8.9 8 9.7M8 12.1V12.2", width: 1.8 },
  missing: { stroke: "M9.3 3.6A4.6 4.6 0 0 1 12.4 6.7M12.4 9.3A4.6 4.6 0 0 1 9.3 12.4M6.7 12.4A4.6 4.6 0 0 1 3.6 9.3M3.6 6.7A4.6 4.6 0 0 1 6.7 3.6", width: 1.7 },
  external: { stroke: "M4.6 11.4 11.2 4.8M6.2 4.6H11.4V9.8", width: 1.8 },
  cycle: { stroke: "M12.3 8.3A4.4 4.4 0 1 1 10.9 4.9M11.2 2.2V5.2H8.2", width: 1.7 },
  "on-failure": { stroke: "M5 5 11 11M11 5 5 11", width: 2.2 },
  always: { stroke: ring(3.4), width: 2 },
};
