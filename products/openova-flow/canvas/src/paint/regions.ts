import type { Rect } from "../geometry/camera.js";
import { font, snap, textSize, type Pen } from "./pen.js";
import { STATES, type Scene, type SceneRegion } from "../scene/scene.js";
import type { TextFitter } from "../look/text.js";
import { stateOrder, type StateName, type Theme } from "../look/theme.js";
import { isTile, onScreen, screenRect, visibleRegions, type View } from "../view/view.js";

const column = new Map<StateName, number>(stateOrder.map((s) => [s, STATES.indexOf(s)]));

export function snapped(r: Rect, dpr: number): Rect {
  const x = snap(r.x, dpr), y = snap(r.y, dpr);
  return { x, y, w: Math.max(snap(r.x + r.w, dpr) - x, 1), h: Math.max(snap(r.y + r.h, dpr) - y, 1) };
}

const ready = STATES.indexOf("ready");
const broken = STATES.indexOf("broken");

/** Draws the frames of the regions and groups in view, except of tiles. */
export function paintFrames(pen: Pen, view: View): void {
  const { c, theme } = pen;
  const k = view.camera.k;
  c.lineWidth = 1;
  for (const region of visibleRegions(view)) {
    if (isTile(region, k)) continue;
    const r = snapped(screenRect(view, region), pen.dpr);
    c.fillStyle = theme.lane;
    c.beginPath();
    c.roundRect(r.x + 0.5, r.y + 0.5, r.w - 1, r.h - 1, Math.min(12 * k, 12));
    c.fill();
    strokeFrame(pen, region, theme.laneBorder);
  }
  paintGroups(pen, view);
}

/** Strokes the current path: dashed for a stale region, and in the colour of the region's note if it has one. */
function strokeFrame({ c, theme }: Pen, region: SceneRegion, color: string): void {
  c.strokeStyle = region.note.tone === "none" ? color : toneOf(theme, region);
  if (region.note.tone === "stale") c.setLineDash([5, 4]);
  c.stroke();
  c.setLineDash([]);
}

const toneOf = (theme: Theme, region: SceneRegion): string => (region.note.tone === "refused" ? theme.failure : theme.warning);

/** The area of the tile, or of the title, on which `paintRegion` draws; undefined if there is neither. No node is drawn there. */
export function regionFace(view: View, region: SceneRegion, text: TextFitter, dpr: number): Rect | undefined {
  const r = snapped(screenRect(view, region), dpr);
  if (isTile(region, view.camera.k)) return r;
  const title = planTitle(view, region, text);
  if (title === undefined) return undefined;
  const y = Math.ceil(r.y + title.y) + 1;
  return { x: r.x + 1, y, w: Math.max(0, Math.floor(title.w) - 2), h: Math.max(0, Math.floor(r.y + title.y + title.h - y) - 1) };
}

/** Draws the part of a region that depends on the states of its nodes: its tile, or the title of its lane. */
export function paintRegion(pen: Pen, view: View, region: SceneRegion): void {
  const r = snapped(screenRect(view, region), pen.dpr);
  if (isTile(region, view.camera.k)) {
    const dim = view.emphasis?.dim;
    pen.c.globalAlpha = dim !== undefined && region.nodes.every((i) => dim[i] === 1) ? 0.3 : 1;
    paintTile(pen, region, r, tilePartsOf(view, pen.text));
    pen.c.globalAlpha = 1;
    return;
  }
  const title = planTitle(view, region, pen.text);
  if (title !== undefined) paintTitle(pen, region, title, r);
}

/** The area of a lane's title, relative to the top left of its frame. */
export interface TitlePlan {
  /** `strip`: one line above all nodes. `corner`: two lines in a corner without nodes. `legend`: one line on the frame. */
  readonly kind: "strip" | "corner" | "legend";
  readonly y: number;
  readonly w: number;
  readonly h: number;
}

/** Heights in pixels: the least of a high strip, that of a title of two lines, and the most of a title on the frame. */
const roomyStrip = 20, twoLines = 34, legend = 13;
const cornerSize = 11, cornerInset = 8;

/**
 * Finds an area for the title that covers no node. In order of preference: a high strip above all nodes; the top left corner, if the titles of
 * all regions fit into their corners; a low strip; the upper edge of the frame, as far as the gap to the region above allows. Undefined if
 * there is no label or no room.
 */
export function planTitle(view: View, region: SceneRegion, text: TextFitter): TitlePlan | undefined {
  if (region.label === "") return undefined;
  const k = view.camera.k;
  const band = region.band * k;
  if (band >= roomyStrip) return { kind: "strip", y: 0, w: region.w * k, h: band };
  if (cornersFit(view, text)) return { kind: "corner", y: 0, w: corner(region, k, text)!, h: twoLines };
  if (band >= legend + 1) return { kind: "strip", y: 0, w: region.w * k, h: band };
  const above = Math.min(region.headroom * k - 1, legend / 2);
  return band + above >= legend - 2 ? { kind: "legend", y: -above, w: region.w * k, h: Math.min(legend, band + above) } : undefined;
}

/** Width of the widest corner area that holds a title of two lines; undefined if none does. */
function corner(region: SceneRegion, k: number, text: TextFitter): number | undefined {
  const wanted = text.width(region.label, cornerSize, 650) + 2 * cornerInset;
  const found = region.corner.findLast(([right, depth]) => depth * k - 2 >= twoLines && right * k - 2 >= wanted);
  return found === undefined ? undefined : found[0] * k - 2;
}

const fits = new WeakMap<Scene, { readonly k: number; readonly text: TextFitter; readonly all: boolean }>();

/** Whether all titles fit into their corners. Otherwise none is drawn there, so that lanes look alike. */
function cornersFit({ scene, camera: { k } }: View, text: TextFitter): boolean {
  let known = fits.get(scene);
  if (known?.k !== k || known.text !== text) fits.set(scene, (known = { k, text, all: scene.regions.every((r) => r.label === "" || corner(r, k, text) !== undefined) }));
  return known.all;
}

/** Draws name, count and a slim progress bar: on one line, or in a corner on two. */
function paintTitle(pen: Pen, region: SceneRegion, plan: TitlePlan, r: Rect): void {
  const { c, theme, text } = pen;
  const stacked = plan.kind === "corner";
  const size = stacked ? cornerSize : textSize(plan.h * 0.5, plan.kind === "legend" ? 9 : 10, 16);
  const inset = stacked || plan.kind === "legend" ? cornerInset : Math.min(14, plan.h * 0.5);
  const top = r.y + plan.y;
  const y = snap(stacked ? top + 17 : top + plan.h / 2 + size * 0.36, pen.dpr);
  const name = text.fit(region.label, plan.w - 2 * inset, size, 650);
  const width = text.width(name, size, 650);
  const small = Math.max(9, size - 2);
  const done = countOf(region);
  const doneWidth = text.width(done, small, 500);
  const x = r.x + (stacked ? inset : inset + width + 10);
  const counted = x + doneWidth + inset <= r.x + plan.w;
  // Covers edges and the frame behind the title.
  c.fillStyle = theme.lane;
  c.fillRect(r.x + inset - 4, y - size, width + (counted && !stacked ? doneWidth + 10 : 0) + 8, size + 3);
  c.textAlign = "left";
  c.textBaseline = "alphabetic";
  c.font = font(pen, size, 650);
  c.fillStyle = theme.text;
  c.fillText(name, r.x + inset, y);
  if (counted) {
    c.font = font(pen, small, 500);
    c.fillStyle = theme.muted;
    c.fillText(done, x, stacked ? y + 13 : y);
  } else if (region.note.tone !== "stale") return;
  const end = r.x + plan.w - (stacked ? 2 : inset);
  const noteX = counted ? x + doneWidth + 12 : x;
  const noted = paintNote(pen, region, noteX, stacked ? y + 13 : y, end - noteX, small, theme.lane);
  const barX = noted > 0 ? noteX + noted + 12 : x + doneWidth + (stacked ? 7 : 12);
  const room = end - barX;
  const h = stacked || plan.kind === "legend" ? 4 : 5;
  if (room >= 24) paintBar(pen, region, { x: barX, y: stacked ? y + 7.5 : top + plan.h / 2 - h / 2, w: Math.min(room, plan.kind === "strip" ? 160 : 64), h });
}

/** Draws a region's mark and note on the baseline `y`. `ground` is the colour that covers lines behind them. Returns the drawn width. */
function paintNote(pen: Pen, region: SceneRegion, x: number, y: number, room: number, size: number, ground?: string): number {
  const { c, theme, text } = pen;
  const { text: long, short, tone } = region.note;
  const mark = size + 2;
  if (tone === "none" || room < mark) return 0;
  const color = toneOf(theme, region);
  const left = room - mark - 3;
  const line = [long, short].find((t) => text.width(t, size, 600) <= left) ?? "";
  const width = line === "" ? mark : mark + 3 + text.width(line, size, 600);
  if (ground !== undefined) {
    c.fillStyle = ground;
    c.fillRect(x - 3, y - size, width + 6, size + 3);
  }
  pen.glyph(tone === "stale" ? "unconfirmed" : "broken", x + mark / 2, y - size * 0.36, mark, color);
  c.font = font(pen, size, 600);
  c.fillStyle = color;
  c.textAlign = "left";
  if (line !== "") c.fillText(line, x + mark + 3, y);
  return width;
}

/** Height that the layout leaves above the content of a frame, in world units. */
const titleHeight = 36;

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
    const size = textSize(11 * k, 9.5, 16);
    if (titleHeight * k < size) continue;
    c.font = font(pen, size, 600);
    c.fillStyle = theme.muted;
    c.textAlign = "left";
    c.textBaseline = "alphabetic";
    c.fillText(text.fit(g.label, r.w - 20 * k, size, 600), r.x + 10 * k, snap(r.y + Math.max(16 * k, size - 1.5), pen.dpr));
  }
}

/** Draws a progress bar: a segment for each state, except `not-started`, which is the empty track. */
export function paintBar(pen: Pen, region: SceneRegion, r: Rect): void {
  const { c, theme } = pen;
  const radius = Math.min(r.h / 2, 3);
  const isStale = region.note.tone === "stale";
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
    c.globalAlpha = isStale ? 0.55 : 1;
    c.fill();
    c.globalAlpha = 1;
    if (s.name === "working" && !isStale) pen.stripes(r.x + s.x, r.y, s.w, r.h);
  }
}

export interface Segment {
  readonly name: StateName;
  readonly x: number;
  readonly w: number;
}

/** The segments of a progress bar. They add up to `width`, in proportion to the number of nodes, but each is at least two pixels wide if all can be. */
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

/** The parts that tiles show besides their bar. */
export interface TileParts {
  readonly name: boolean;
  readonly count: boolean;
  readonly states: boolean;
}
const everything: TileParts = { name: true, count: true, states: true };
/** Minimum size of a tile with a name. */
const tileName = { w: 40, h: 20 };

/** Positions and sizes of the parts of a tile. A part of size 0 is left out. */
export interface TilePlan {
  readonly name: number;
  readonly bar: Rect;
  /** Baseline of the name. */
  readonly base: number;
  /** Middle of the line of states, or 0 for none. */
  readonly states: number;
}

export function planTile(r: Rect, have: TileParts = everything): TilePlan {
  // Sizes depend on the width alone where possible, so that lines of text align between neighbours of different height.
  const pad = Math.min(10, Math.max(3, Math.min(r.h * 0.22, r.w * 0.07)));
  const w = Math.max(1, r.w - 2 * pad);
  if (!have.name || r.h < tileName.h || r.w < tileName.w) {
    const h = Math.max(2, Math.min(r.h - 4, 6));
    return { name: 0, base: 0, states: 0, bar: { x: r.x + pad, y: r.y + (r.h - h) / 2, w, h } };
  }
  const name = textSize(Math.min(r.h * 0.36, r.w * 0.09), 9, 15);
  const base = r.y + pad + name * 0.9;
  const bar = { x: r.x + pad, y: base + name * 0.42, w, h: r.h >= 34 ? 5 : 3.5 };
  const states = bar.y + bar.h + 11;
  return { name, base, bar, states: have.states && r.w >= 64 && states + 8 <= r.y + r.h ? states : 0 };
}

const countGap = 8;
const countOf = (r: SceneRegion): string => `${r.counts[ready]!}/${r.total}`;
const countSize = (plan: TilePlan): number => Math.max(9, plan.name - 1.5);

const tiles = new WeakMap<Scene, { readonly k: number; readonly text: TextFitter; readonly have: TileParts }>();

/** The parts of all tiles at the current scale. So that tiles look alike, a part is shown only if nine in ten have room for it. */
function tilePartsOf({ scene, camera: { k } }: View, text: TextFitter): TileParts {
  let known = tiles.get(scene);
  if (known?.k !== k || known.text !== text) {
    const all = scene.regions.filter((r) => isTile(r, k));
    const most = (fits: (plan: TilePlan, r: SceneRegion) => boolean): boolean =>
      10 * all.filter((r) => fits(planTile({ x: 0, y: 0, w: r.w * k, h: r.h * k }), r)).length >= 9 * all.length;
    const name = most((p, r) => p.name > 0 && text.width(r.label, p.name, 600) <= p.bar.w);
    const count = name && most((p, r) => text.width(r.label, p.name, 600) + text.width(countOf(r), countSize(p), 400) + countGap <= p.bar.w);
    tiles.set(scene, (known = { k, text, have: { name, count, states: name && most((p) => p.states > 0) } }));
  }
  return known.have;
}

function paintTile(pen: Pen, region: SceneRegion, r: Rect, have: TileParts): void {
  const { c, theme, text } = pen;
  const plan = planTile(r, have);
  const hasBroken = region.counts[broken]! > 0;
  c.fillStyle = theme.surface;
  c.lineWidth = 1;
  c.beginPath();
  c.roundRect(r.x + 0.5, r.y + 0.5, r.w - 1, r.h - 1, Math.min(6, r.h / 5));
  c.fill();
  strokeFrame(pen, region, hasBroken ? theme.states.broken.soft : theme.laneBorder);
  paintBar(pen, region, plan.bar);
  if (plan.name === 0) return;
  const { x, w } = plan.bar;
  const base = snap(plan.base, pen.dpr);
  const count = countOf(region);
  const countWidth = text.width(count, countSize(plan), 400) + countGap;
  const full = text.width(region.label, plan.name, 600);
  c.textBaseline = "alphabetic";
  // The name matters more than the count, because the bar shows the count too.
  if (have.count && full + countWidth <= w) {
    c.font = font(pen, countSize(plan), 400);
    c.fillStyle = theme.muted;
    c.textAlign = "right";
    c.fillText(count, x + w, base);
  }
  c.textAlign = "left";
  c.font = font(pen, plan.name, 600);
  c.fillStyle = theme.text;
  c.fillText(text.fit(region.label, w, plan.name, 600), x, base);
  if (plan.states <= 0) return;
  if (region.note.tone !== "stale") tileStates(pen, region, plan);
  else paintNote(pen, region, x, snap(plan.states + 3.8, pen.dpr), w, 10);
}

/** Draws glyph and number of each state but ready and unconfirmed, as far as there is room. */
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
