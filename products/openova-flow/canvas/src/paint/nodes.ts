import type { GlyphName } from "../look/glyphs.js";
import { font, snap, textSize, type Pen } from "./pen.js";
import type { TextFitter } from "../look/text.js";
import { EXTERNAL, MISSING, STATES } from "../scene/scene.js";
import type { GhostName, StateName, StateStyle } from "../look/theme.js";
import type { View } from "../view/view.js";

/** Opacity of dimmed nodes, 0 to 1. */
const dimmed = 0.22;
/** Opacity of the nodes of a stale region, 0 to 1. */
const stale = 0.62;

export function stateName(index: number): StateName | GhostName {
  return index === MISSING ? "missing" : index === EXTERNAL ? "external" : STATES[index]!;
}

interface Box {
  readonly i: number;
  readonly x: number;
  readonly y: number;
  readonly w: number;
  readonly h: number;
}

/** The box of a node in whole device pixels, so that its edges are sharp. */
export function nodeBox(view: View, dpr: number, i: number): Box {
  const { scene, camera } = view;
  const x = snap((scene.x[i]! - camera.x) * camera.k, dpr);
  const y = snap((scene.y[i]! - camera.y) * camera.k, dpr);
  const w = Math.max(snap(scene.w[i]! * camera.k, dpr), 1 / dpr);
  const h = Math.max(snap(scene.h[i]! * camera.k, dpr), 1 / dpr);
  return { i, x, y, w, h };
}

/** Minimum and maximum width of a card, and the width that its name cannot use, in world units. */
const least = 168, most = 264, around = 40;

/**
 * The width of a card with this name, in world units. The name fits, up to the greatest width, at the smallest scale of level `card`. Rounded up to
 * a multiple of 8, so that one more letter seldom moves the layout.
 */
export function cardWidth(name: string, text: TextFitter): number {
  return Math.min(most, Math.max(least, 8 * Math.ceil((text.width(name, 15.4, 600) + around) / 8)));
}

/** Width of the strip at the left of a card that holds the glyph. */
export function railWidth(view: View): number {
  return (view.level === "compact" ? 30 : 26) * view.camera.k;
}

/** Font sizes of the name and the caption of a card, in CSS pixels. */
export function cardText(k: number): readonly [name: number, caption: number] {
  return [textSize(12.5 * k, 10, 28), textSize(10.5 * k, 9, 24)];
}

function textGap(k: number): number {
  return Math.max(3, 7 * k);
}

/** The width for the text of a card of width `w`, in CSS pixels. */
export function cardRoom(pen: Pen, view: View, w: number): number {
  return w - snap(railWidth(view), pen.dpr) - textGap(view.camera.k) - 4;
}

/** Draws nodes, grouped by look so that a style is set once for all that share it. */
export function paintNodes(pen: Pen, view: View, nodes: readonly number[]): void {
  const groups = new Map<number, Box[]>();
  const dim = view.emphasis?.dim;
  for (const i of nodes) {
    const key = view.scene.state[i]! * 4 + (view.scene.isStale(i) ? 2 : 0) + (dim?.[i] ?? 0);
    let group = groups.get(key);
    if (group === undefined) groups.set(key, (group = []));
    group.push(nodeBox(view, pen.dpr, i));
  }
  for (const [key, boxes] of groups) {
    const name = stateName(key >> 2), isDim = (key & 1) === 1, isStale = (key & 2) === 2;
    const style = isStale ? { ...pen.theme.states[name], dashed: true } : pen.theme.states[name];
    if (isDim || isStale) hideEdges(pen, boxes);
    pen.c.globalAlpha = isDim ? dimmed : isStale ? stale : 1;
    if (view.level === "card" || view.level === "compact") paintCards(pen, view, name, style, boxes, isDim);
    else paintChips(pen, name, style, boxes);
  }
  pen.c.globalAlpha = 1;
}

/** Covers the edges behind translucent nodes, which would show through their text. */
function hideEdges(pen: Pen, boxes: readonly Box[]): void {
  pen.c.globalAlpha = 1;
  pen.c.fillStyle = pen.theme.lane;
  for (const b of boxes) if (b.h > 4) pen.c.fillRect(b.x + 1, b.y + 1, b.w - 2, b.h - 2);
}

function outline(pen: Pen, boxes: readonly Box[], radius: number, inset: number): void {
  pen.c.beginPath();
  for (const b of boxes) pen.c.roundRect(b.x + inset, b.y + inset, b.w - 2 * inset, b.h - 2 * inset, radius);
}

function paintCards(pen: Pen, view: View, name: StateName | GhostName, style: StateStyle, boxes: readonly Box[], dim: boolean): void {
  const { c } = pen;
  const k = view.camera.k;
  const radius = Math.min(7 * k, 9);
  const rail = snap(railWidth(view), pen.dpr);
  fillBodies(pen, style, boxes, radius, rail);
  if (name === "working" && !style.dashed) for (const b of boxes) pen.stripes(b.x + 1, b.y + 1, rail - 0.5, b.h - 2);
  c.strokeStyle = style.border;
  c.lineWidth = 1;
  if (style.dashed) c.setLineDash([4, 3]);
  outline(pen, boxes, radius, 0.5);
  c.stroke();
  if (style.dashed) c.setLineDash([]);
  const size = Math.min(16 * k, 24);
  for (const b of boxes) pen.glyph(name as GlyphName, b.x + rail / 2 + 0.5, b.y + b.h / 2, Math.max(size, 9), style.railInk);
  paintWords(pen, view, name, style, boxes, rail, dim);
}

/** Radius below which the border covers the corners of a plain rectangle, which is much cheaper to fill. */
const plainRadius = 3;

function fillBodies(pen: Pen, style: StateStyle, boxes: readonly Box[], radius: number, rail: number): void {
  const { c } = pen;
  if (radius < plainRadius) {
    c.fillStyle = style.card;
    for (const b of boxes) c.fillRect(b.x + 1, b.y + 1, b.w - 2, b.h - 2);
    c.fillStyle = style.rail;
    for (const b of boxes) c.fillRect(b.x + 1, b.y + 1, rail, b.h - 2);
    return;
  }
  c.fillStyle = style.card;
  outline(pen, boxes, radius, 0.5);
  c.fill();
  c.fillStyle = style.rail;
  c.beginPath();
  for (const b of boxes) c.roundRect(b.x + 0.5, b.y + 0.5, rail, b.h - 1, [radius, 0, 0, radius]);
  c.fill();
}

function paintWords(pen: Pen, view: View, name: StateName | GhostName, style: StateStyle, boxes: readonly Box[], rail: number, dim: boolean): void {
  const { c, theme, text } = pen;
  const k = view.camera.k;
  const whole = view.level === "card";
  const gap = textGap(k);
  const [nameSize, small] = cardText(k);
  const quiet = name === "not-started" || name === "unconfirmed" || name === "missing" || name === "external";
  const size = whole ? nameSize : textSize(16 * k, 9, 11);
  c.textAlign = "left";
  c.textBaseline = "alphabetic";
  c.font = font(pen, size, whole ? 600 : 550);
  c.fillStyle = quiet ? theme.muted : theme.text;
  for (const b of boxes) {
    const label = view.scene.fitLabel(b.i, text, whole ? cardRoom(pen, view, b.w) : b.w - rail - gap - 2, size, whole ? 600 : 550, !whole);
    const y = whole ? b.y + b.h * 0.43 : b.y + b.h / 2 + size * 0.36;
    if (label !== "") c.fillText(label, b.x + rail + gap, snap(y, pen.dpr));
  }
  if (!whole || dim) return;
  c.font = font(pen, small, 400);
  c.fillStyle = name === "ready" || quiet ? theme.muted : style.color;
  for (const b of boxes) {
    const line = text.fit(view.scene.caption(b.i), cardRoom(pen, view, b.w), small, 400);
    if (line !== "") c.fillText(line, b.x + rail + gap, snap(b.y + b.h * 0.8, pen.dpr));
  }
}

/** Least height of a chip with a glyph; a broken chip keeps its glyph at a smaller height, because failures must stay visible. */
const glyphRoom = 9, brokenRoom = 6;

function paintChips(pen: Pen, name: StateName | GhostName, style: StateStyle, boxes: readonly Box[]): void {
  const { c } = pen;
  const h = boxes[0]!.h;
  c.fillStyle = style.chip;
  if (h < 5 && !style.dashed) {
    for (const b of boxes) c.fillRect(b.x, b.y, b.w, b.h);
    return;
  }
  const radius = Math.min(3, h / 4);
  outline(pen, boxes, radius, 0);
  c.fill();
  if (name === "working" && !style.dashed) for (const b of boxes) pen.stripes(b.x, b.y, b.w, b.h);
  if (style.dashed || name === "not-started") {
    c.strokeStyle = style.border;
    c.lineWidth = 1;
    if (style.dashed) c.setLineDash([2, 2]);
    outline(pen, boxes, radius, 0.5);
    c.stroke();
    if (style.dashed) c.setLineDash([]);
  }
  // The outline distinguishes a broken node from a ready one without colours.
  if (name === "broken") {
    c.strokeStyle = pen.theme.text;
    c.lineWidth = 1.5;
    outline(pen, boxes, radius, 0.5);
    c.stroke();
  }
  if (h < (name === "broken" ? brokenRoom : glyphRoom)) return;
  const size = Math.min(h, 14);
  for (const b of boxes) pen.glyph(name as GlyphName, b.x + size / 2 + 1, b.y + b.h / 2, size, style.chipInk);
}
