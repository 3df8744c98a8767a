import type { Rect } from "./camera.js";
import { font, snap, textSize, type Pen } from "./pen.js";
import { STATES, type SceneRegion } from "./scene.js";
import { stateOrder, type StateName } from "./theme.js";
import { isTile, onScreen, screenRect, visibleRegions, type View } from "./view.js";

const column = new Map<StateName, number>(stateOrder.map((s) => [s, STATES.indexOf(s)]));

export function snapped(r: Rect, dpr: number): Rect {
  const x = snap(r.x, dpr), y = snap(r.y, dpr);
  return { x, y, w: Math.max(snap(r.x + r.w, dpr) - x, 1), h: Math.max(snap(r.y + r.h, dpr) - y, 1) };
}

const ready = STATES.indexOf("ready");
const broken = STATES.indexOf("broken");

/** The frames of regions and groups that are drawn with their nodes. */
export function paintFrames(pen: Pen, view: View): void {
  const { c, theme } = pen;
  const k = view.camera.k;
  c.fillStyle = theme.lane;
  c.strokeStyle = theme.laneBorder;
  c.lineWidth = 1;
  for (const region of visibleRegions(view)) {
    if (isTile(region, k)) continue;
    const r = snapped(screenRect(view, region), pen.dpr);
    c.beginPath();
    c.roundRect(r.x + 0.5, r.y + 0.5, r.w - 1, r.h - 1, Math.min(12 * k, 12));
    c.fill();
    c.stroke();
  }
  paintGroups(pen, view);
}

/** The part of the screen that `paintRegion` draws on for a region: the whole tile, or the strip with the title. */
export function regionFace(view: View, region: SceneRegion, dpr: number): Rect {
  const r = snapped(screenRect(view, region), dpr);
  if (isTile(region, view.camera.k)) return r;
  const strip = titleStrip(view, region);
  return { x: r.x + 1, y: r.y + 1, w: Math.max(0, snap(strip.w, dpr) - 2), h: Math.max(0, Math.floor(strip.h) - 2) };
}

/** Least height of a strip that a title can be read in, and from which it has room to breathe. */
const leastStrip = 14, airyStrip = 20;
/** Height of a title of two lines. */
const twoLines = 34;

/**
 * Where a lane's title goes: the strip above all nodes, or when that is thin on screen, the top left corner as far as no node reaches into
 * it. A width of 0 means that there is no room: a title never sits on a node.
 */
export function titleStrip(view: View, region: SceneRegion): { w: number; h: number } {
  const k = view.camera.k;
  const band = region.band * k;
  const strip = { w: region.w * k, h: band };
  if (band >= airyStrip) return strip;
  const corners = [...region.corner].reverse().map(([w, depth]) => ({ w: w * k - 2, h: depth * k - 2 }));
  const high = corners.find((c) => c.h >= twoLines && c.w >= 64);
  if (high !== undefined) return { w: high.w, h: twoLines };
  if (band >= leastStrip) return strip;
  const low = corners.find((c) => c.h >= leastStrip);
  return low === undefined ? { w: 0, h: 0 } : { w: low.w, h: Math.min(low.h, airyStrip) };
}

/** What changes with the states of a region's nodes: its tile, or the title of its lane. */
export function paintRegion(pen: Pen, view: View, region: SceneRegion): void {
  const r = snapped(screenRect(view, region), pen.dpr);
  if (isTile(region, view.camera.k)) paintTile(pen, region, r);
  else if (region.label !== "") {
    const strip = titleStrip(view, region);
    if (strip.w >= 30) laneTitle(pen, region, { ...r, w: strip.w }, strip.h);
  }
}

/** Name, count and a slim progress bar, in a line or, in a corner, in two. */
function laneTitle(pen: Pen, region: SceneRegion, r: Rect, room: number): void {
  const { c, theme, text } = pen;
  const stacked = room === twoLines;
  const size = stacked ? 11 : textSize(room * 0.5, 10, 16);
  const inset = stacked ? 8 : Math.min(14, room * 0.5);
  const y = snap(stacked ? r.y + 17 : r.y + room / 2 + size * 0.36, pen.dpr);
  const name = text.fit(region.label, r.w - 2 * inset, size, 650);
  const width = text.width(name, size, 650);
  // Edges pass below a title, not through it.
  c.fillStyle = theme.lane;
  c.fillRect(r.x + inset - 3, y - size, width + 6, size + 4);
  c.textAlign = "left";
  c.textBaseline = "alphabetic";
  c.font = font(pen, size, 650);
  c.fillStyle = theme.text;
  c.fillText(name, r.x + inset, y);
  const small = Math.max(9.5, size - 2);
  const done = `${region.counts[ready]!}/${region.total}`;
  const doneWidth = text.width(done, small, 500);
  const x = r.x + (stacked ? inset : inset + width + 12);
  if (x + doneWidth + inset > r.x + r.w) return;
  c.font = font(pen, small, 500);
  c.fillStyle = theme.muted;
  c.fillText(done, x, stacked ? y + 13 : y);
  const barX = x + doneWidth + (stacked ? 7 : 12);
  const barRoom = r.x + r.w - (stacked ? 2 : inset) - barX;
  if (barRoom >= 24) paintBar(pen, region, { x: barX, y: stacked ? y + 7.5 : r.y + room / 2 - 2.5, w: Math.min(barRoom, stacked ? 64 : 160), h: stacked ? 4 : 5 });
}

function paintGroups(pen: Pen, view: View): void {
  const { c, theme, text } = pen;
  const k = view.camera.k;
  for (const g of view.scene.groups) {
    const region = view.scene.regions[g.region];
    const r = snapped(screenRect(view, g), pen.dpr);
    if ((region !== undefined && isTile(region, k)) || !onScreen(r, view.size)) continue;
    c.strokeStyle = theme.laneBorder;
    c.lineWidth = 1;
    c.beginPath();
    c.roundRect(r.x + 0.5, r.y + 0.5, r.w - 1, r.h - 1, Math.min(9 * k, 9));
    c.fillStyle = theme.shade;
    c.fill();
    c.stroke();
    if (view.level !== "card") continue;
    const size = textSize(11 * k, 9.5, 16);
    c.font = font(pen, size, 600);
    c.fillStyle = theme.muted;
    c.textAlign = "left";
    c.textBaseline = "alphabetic";
    c.fillText(text.fit(g.label, r.w - 20 * k, size, 600), r.x + 10 * k, snap(r.y + 16 * k, pen.dpr));
  }
}

/** A bar of the states, each as wide as it is frequent and never narrower than two pixels. */
export function paintBar(pen: Pen, region: SceneRegion, r: Rect): void {
  const { c, theme } = pen;
  const radius = Math.min(r.h / 2, 3);
  c.fillStyle = theme.track;
  c.beginPath();
  c.roundRect(r.x, r.y, r.w, r.h, radius);
  c.fill();
  for (const s of segments(region, r.w)) {
    if (s.name === "not-started") continue;
    c.fillStyle = theme.states[s.name].color;
    const left = s.x < 0.5 ? radius : 0, right = s.x + s.w > r.w - 0.5 ? radius : 0;
    c.beginPath();
    c.roundRect(r.x + s.x, r.y, s.w, r.h, [left, right, right, left]);
    c.fill();
    if (s.name === "working") pen.stripes(r.x + s.x, r.y, s.w, r.h);
  }
}

export interface Segment {
  readonly name: StateName;
  readonly x: number;
  readonly w: number;
}

/** The widths of a progress bar's parts. They add up to the width; a state that occurs at all gets at least two pixels. */
export function segments(region: Pick<SceneRegion, "counts" | "total">, width: number): Segment[] {
  const present = stateOrder.map((name) => ({ name, n: region.counts[column.get(name)!]! })).filter((s) => s.n > 0);
  const least = Math.min(2, width / Math.max(present.length, 1));
  const spare = Math.max(0, width - least * present.length);
  let x = 0;
  return present.map(({ name, n }) => {
    const w = least + (spare * n) / region.total;
    const segment = { name, x, w };
    x += w;
    return segment;
  });
}

/** Where the parts of a tile go, from the room it has; sizes of zero are left out. */
export interface TilePlan {
  readonly name: number;
  readonly bar: Rect;
  /** Baseline of the name. */
  readonly base: number;
  /** Middle of the line of states, 0 for none. */
  readonly states: number;
}

export function planTile(r: Rect): TilePlan {
  // From the width alone where it can be, so that neighbours of unequal height keep their lines in one row.
  const pad = Math.min(10, Math.max(3, Math.min(r.h * 0.22, r.w * 0.07)));
  const w = Math.max(1, r.w - 2 * pad);
  if (r.h < 20 || r.w < 40) {
    const h = Math.max(2, Math.min(r.h - 4, 6));
    return { name: 0, base: 0, states: 0, bar: { x: r.x + pad, y: r.y + (r.h - h) / 2, w, h } };
  }
  const name = textSize(Math.min(r.h * 0.36, r.w * 0.09), 9, 15);
  const base = r.y + pad + name * 0.9;
  const bar = { x: r.x + pad, y: base + name * 0.42, w, h: r.h >= 34 ? 5 : 3.5 };
  const states = bar.y + bar.h + 11;
  return { name, base, bar, states: r.w >= 64 && states + 8 <= r.y + r.h ? states : 0 };
}

function paintTile(pen: Pen, region: SceneRegion, r: Rect): void {
  const { c, theme, text } = pen;
  const plan = planTile(r);
  const troubled = region.counts[broken]! > 0;
  c.fillStyle = theme.surface;
  c.strokeStyle = troubled ? theme.states.broken.soft : theme.laneBorder;
  c.lineWidth = 1;
  c.beginPath();
  c.roundRect(r.x + 0.5, r.y + 0.5, r.w - 1, r.h - 1, Math.min(6, r.h / 5));
  c.fill();
  c.stroke();
  paintBar(pen, region, plan.bar);
  if (plan.name === 0) return;
  const { x, w } = plan.bar;
  const base = snap(plan.base, pen.dpr);
  const count = `${region.counts[ready]!}/${region.total}`;
  const countSize = Math.max(9, plan.name - 1.5);
  const countWidth = text.width(count, countSize, 400) + 8;
  const full = text.width(region.label, plan.name, 600);
  c.textBaseline = "alphabetic";
  // The name matters more than the count, which the bar shows as well.
  if (full + countWidth <= w) {
    c.font = font(pen, countSize, 400);
    c.fillStyle = theme.muted;
    c.textAlign = "right";
    c.fillText(count, x + w, base);
  }
  c.textAlign = "left";
  c.font = font(pen, plan.name, 600);
  c.fillStyle = theme.text;
  c.fillText(text.fit(region.label, w, plan.name, 600), x, base);
  if (plan.states > 0) tileStates(pen, region, plan);
}

/** What is not ready, as glyph and number, as far as there is room. */
function tileStates(pen: Pen, region: SceneRegion, plan: TilePlan): void {
  const { c, theme, text } = pen;
  const y = plan.states;
  let x = plan.bar.x;
  for (const name of ["broken", "working", "waiting", "terminating", "suspended", "not-started"] as const) {
    const n = region.counts[column.get(name)!]!;
    if (n === 0) continue;
    const label = String(n);
    const w = 14 + text.width(label, 10.5, 500);
    if (x + w > plan.bar.x + plan.bar.w) return;
    const color = theme.states[name].color;
    pen.glyph(name, x + 5.5, y, 11, color);
    c.font = font(pen, 10.5, 500);
    c.fillStyle = color;
    c.textAlign = "left";
    c.fillText(label, x + 13, snap(y + 3.8, pen.dpr));
    x += w + 9;
  }
}
