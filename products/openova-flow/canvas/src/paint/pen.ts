import { glyphs, type GlyphName } from "../look/glyphs.js";
import type { TextFitter } from "../look/text.js";
import type { Theme } from "../look/theme.js";

/** The part of a 2D context that the painters use. `SvgContext` implements it too. */
export type Context = Pick<
  CanvasRenderingContext2D,
  | "fillStyle" | "strokeStyle" | "lineWidth" | "lineCap" | "lineJoin" | "globalAlpha" | "font" | "textAlign" | "textBaseline"
  | "setLineDash" | "beginPath" | "closePath" | "moveTo" | "lineTo" | "bezierCurveTo" | "rect" | "roundRect" | "arc"
  | "fill" | "stroke" | "fillRect" | "fillText"
>;

/** The drawing surface of painters. Coordinates are CSS pixels from its top left corner. */
export interface Pen {
  readonly c: Context;
  readonly theme: Theme;
  readonly text: TextFitter;
  readonly dpr: number;
  readonly family: string;
  /** Draws a glyph centred on a point, in a box of the given size. */
  glyph(name: GlyphName, x: number, y: number, size: number, color: string): void;
  /** Draws the stripes of working nodes over a filled box. */
  stripes(x: number, y: number, w: number, h: number): void;
}

/** Period of the stripes in both directions, in CSS pixels. */
export const stripePeriod = 10;

/** A tile of diagonal stripes for a pattern fill. */
export function stripeTile(dpr: number, color: string): HTMLCanvasElement {
  const n = Math.max(4, Math.round(stripePeriod * dpr));
  const tile = document.createElement("canvas");
  tile.width = tile.height = n;
  const c = tile.getContext("2d");
  if (c === null) return tile;
  c.fillStyle = color;
  for (const shift of [-n, 0, n]) {
    c.beginPath();
    c.moveTo(shift, n);
    c.lineTo(shift + n, 0);
    c.lineTo(shift + n * 1.5, 0);
    c.lineTo(shift + n / 2, n);
    c.fill();
  }
  return tile;
}

const paths = new Map<string, Path2D>();

function path(d: string): Path2D {
  let p = paths.get(d);
  if (p === undefined) paths.set(d, (p = new Path2D(d)));
  return p;
}

export interface CanvasPenOptions {
  readonly dpr: number;
  readonly theme: Theme;
  readonly text: TextFitter;
  readonly family: string;
}

export interface CanvasPen extends Pen {
  readonly c: CanvasRenderingContext2D;
  /** Moves the stripes to an offset in CSS pixels. */
  phase(shift: number): void;
}

/** A pen for a canvas. The context's transform must be the scale by the device pixel ratio; the pen restores it. */
export function canvasPen(c: CanvasRenderingContext2D, options: CanvasPenOptions): CanvasPen {
  const { dpr, theme, text, family } = options;
  const pattern = c.createPattern(stripeTile(dpr, theme.stripe), "repeat");
  const scale = stripePeriod / Math.max(4, Math.round(stripePeriod * dpr));
  const phase = (shift: number): void => pattern?.setTransform(new DOMMatrix([scale, 0, 0, scale, shift % stripePeriod, 0]));
  phase(0);
  return {
    c, dpr, theme, text, family, phase,
    stripes(x, y, w, h) {
      if (pattern === null) return;
      c.fillStyle = pattern;
      c.fillRect(x, y, w, h);
    },
    glyph(name, x, y, size, color) {
      const g = glyphs[name];
      const s = size / 16;
      c.setTransform(dpr * s, 0, 0, dpr * s, dpr * (x - 8 * s), dpr * (y - 8 * s));
      c.strokeStyle = color;
      c.lineWidth = g.width;
      c.lineCap = "round";
      c.lineJoin = "round";
      c.stroke(path(g.stroke));
      if (g.fill !== undefined) {
        c.fillStyle = color;
        c.fill(path(g.fill));
      }
      c.setTransform(dpr, 0, 0, dpr, 0, 0);
      c.lineCap = "butt";
      c.lineJoin = "miter";
    },
  };
}

export function font(pen: Pen, size: number, weight: number): string {
  return `${weight} ${size}px ${pen.family}`;
}

/** A font size in range, rounded to half pixels so that a zoom does not create a new font for every frame. */
export function textSize(wanted: number, least: number, most: number): number {
  return Math.round(Math.min(most, Math.max(least, wanted)) * 2) / 2;
}

/** The nearest boundary between device pixels. */
export function snap(v: number, dpr: number): number {
  return Math.round(v * dpr) / dpr;
}
