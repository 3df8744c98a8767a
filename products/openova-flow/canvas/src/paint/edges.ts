import { curveOf, markPoint, type Curve } from "../geometry/curve.js";
import type { Pen } from "./pen.js";
import { font } from "./pen.js";
import type { Scene } from "../scene/scene.js";
import { ACROSS, CONDITION_NAMES, CYCLIC, EDGE_TYPES, GHOSTLY, IMPLIED } from "../scene/edges.js";
import { isTile, onScreen, screenRect, visibleRegions, type View } from "../view/view.js";

/** Dashes by type, in the order of EDGE_TYPES. The type also shows in the sides where an edge is attached and in its end mark. */
const dashes: readonly (readonly number[])[] = [[], [8, 4], [8, 3, 2, 3], [3, 3], [1, 4]];

/** Minimum scale at which edges without emphasis are drawn. At a smaller one they would merge into a grey area. */
const edgeScale = 0.1;

interface Look {
  readonly type: number;
  readonly color: string;
  readonly width: number;
  readonly dash: readonly number[];
}

function boxOf(scene: Scene, i: number): { x: number; y: number; w: number; h: number } {
  return { x: scene.x[i]!, y: scene.y[i]!, w: scene.w[i]!, h: scene.h[i]! };
}

export function edgeCurve(view: View, e: number): Curve {
  const { scene, camera } = view;
  const { from, to, type } = scene.edges;
  return curveOf(EDGE_TYPES[type[e]!]!, screenRect(view, boxOf(scene, from[e]!)), screenRect(view, boxOf(scene, to[e]!)), camera.k);
}

/** The edges within visible regions and between regions, without those with an end in a tile; none at a scale below `edgeScale`. */
function candidates(view: View): number[] {
  const { scene, camera } = view;
  const out: number[] = [];
  if (camera.k < edgeScale) return out;
  for (const r of visibleRegions(view)) if (!isTile(r, camera.k)) for (const e of r.edges) out.push(e);
  for (const e of scene.edges.across) {
    const a = scene.regions[scene.region[scene.edges.from[e]!]!], b = scene.regions[scene.region[scene.edges.to[e]!]!];
    if ((a === undefined || !isTile(a, camera.k)) && (b === undefined || !isTile(b, camera.k))) out.push(e);
  }
  return out;
}

function hull(p: Curve["p"]): { x: number; y: number; w: number; h: number } {
  let x0 = Infinity, y0 = Infinity, x1 = -Infinity, y1 = -Infinity;
  for (let i = 0; i < p.length; i += 2) {
    x0 = Math.min(x0, p[i]!);
    x1 = Math.max(x1, p[i]!);
    y0 = Math.min(y0, p[i + 1]!);
    y1 = Math.max(y1, p[i + 1]!);
  }
  return { x: x0, y: y0, w: x1 - x0, h: y1 - y0 };
}

function look(pen: Pen, view: View, e: number): Look {
  const { theme } = pen;
  const { edges } = view.scene;
  const flags = edges.flags[e]!;
  const type = edges.type[e]!;
  const fine = view.level === "card" || view.level === "compact";
  const failing = CONDITION_NAMES[edges.condition[e]!] === "on-failure";
  const color = view.emphasis !== null ? theme.edgeQuiet
    : (flags & CYCLIC) !== 0 ? theme.warning
    : failing ? theme.failure
    : (flags & (IMPLIED | ACROSS)) !== 0 || !fine ? theme.edgeFaint
    : theme.edge;
  const dash = (flags & GHOSTLY) !== 0 && type === 0 ? [4, 4] : dashes[type]!;
  // Lines of one pixel are drawn much faster than wider ones, so the levels that show many edges use them.
  return { type, color, width: view.level === "card" && (flags & IMPLIED) === 0 ? 1.25 : 1, dash };
}

/** Draws the edges in view, those of the same look together. */
export function paintEdges(pen: Pen, view: View): void {
  const { c } = pen;
  const batches = new Map<string, { look: Look; curves: Curve[] }>();
  const drawn: { e: number; curve: Curve }[] = [];
  const fine = view.level === "card" || view.level === "compact";
  for (const e of candidates(view)) {
    const curve = edgeCurve(view, e);
    if (!onScreen(hull(curve.p), view.size)) continue;
    const l = look(pen, view, e);
    const key = `${l.type} ${l.color} ${l.width} ${l.dash.length}`;
    let batch = batches.get(key);
    if (batch === undefined) batches.set(key, (batch = { look: l, curves: [] }));
    batch.curves.push(curve);
    if (fine) drawn.push({ e, curve });
  }
  for (const { look: l, curves } of batches.values()) {
    strokeCurves(pen, curves, l.color, l.width, fine ? l.dash : []);
    if (fine) for (const curve of curves) endMark(pen, curve, l.type, l.color, view.camera.k);
  }
  if (view.emphasis === null) for (const d of drawn) marks(pen, view, d.e, d.curve);
  c.setLineDash([]);
}

/** Curves per stroke call. One long path is slow to rasterise in software; one path per curve is slow to record. */
const chunk = 64;

function strokeCurves(pen: Pen, curves: readonly Curve[], color: string, width: number, dash: readonly number[]): void {
  const { c } = pen;
  c.strokeStyle = color;
  c.lineWidth = width;
  c.lineCap = dash[0] === 1 ? "round" : "butt";
  c.setLineDash(dash as number[]);
  for (let at = 0; at < curves.length; at += chunk) {
    c.beginPath();
    for (let i = at; i < Math.min(at + chunk, curves.length); i++) {
      const p = curves[i]!.p;
      c.moveTo(p[0]!, p[1]!);
      for (let k = 2; k < p.length; k += 6) c.bezierCurveTo(p[k]!, p[k + 1]!, p[k + 2]!, p[k + 3]!, p[k + 4]!, p[k + 5]!);
    }
    c.stroke();
  }
  c.setLineDash([]);
  c.lineCap = "butt";
}

/** Draws the mark at the end: arrow, hollow arrow, two bars, diamond, chevron, in the order of EDGE_TYPES. */
function endMark(pen: Pen, curve: Curve, type: number, color: string, k: number): void {
  const { c } = pen;
  const s = Math.min(Math.max(7 * k, 3.5), 9);
  const { dx, dy } = curve;
  const x = curve.p.at(-2)!, y = curve.p.at(-1)!;
  const at = (back: number, side: number): [number, number] => [x - dx * back - dy * side, y - dy * back + dx * side];
  c.fillStyle = color;
  c.strokeStyle = color;
  c.lineWidth = 1.25;
  c.beginPath();
  switch (type) {
    case 0:
    case 1:
      c.moveTo(...at(0.5, 0));
      c.lineTo(...at(s, s * 0.5));
      c.lineTo(...at(s, -s * 0.5));
      c.closePath();
      break;
    case 2:
      c.moveTo(...at(2, s * 0.6));
      c.lineTo(...at(2, -s * 0.6));
      c.moveTo(...at(4.5, s * 0.6));
      c.lineTo(...at(4.5, -s * 0.6));
      break;
    case 3:
      c.moveTo(...at(0.5, 0));
      c.lineTo(...at(s * 0.6, s * 0.45));
      c.lineTo(...at(s * 1.2, 0));
      c.lineTo(...at(s * 0.6, -s * 0.45));
      c.closePath();
      break;
    default:
      c.moveTo(...at(s * 0.9, s * 0.55));
      c.lineTo(...at(0.5, 0));
      c.lineTo(...at(s * 0.9, -s * 0.55));
  }
  if (type === 0 || type === 3) c.fill();
  else if (type === 1) {
    c.fillStyle = pen.theme.lane;
    c.fill();
    c.stroke();
  } else c.stroke();
}

/** Draws the marks of condition and cycle before the end, and at level `card` the lag. */
function marks(pen: Pen, view: View, e: number, curve: Curve): void {
  const { edges } = view.scene;
  const { theme, c } = pen;
  const cyclic = (edges.flags[e]! & CYCLIC) !== 0;
  const condition = CONDITION_NAMES[edges.condition[e]!]!;
  if (!cyclic && condition === "on-success" && edges.lag[e] === 0) return;
  const size = Math.min(Math.max(14 * view.camera.k, 9), 16);
  const m = markPoint(curve, size * 1.2);
  const disc = (color: string, glyph: "cycle" | "on-failure" | "always", x: number): void => {
    c.fillStyle = theme.lane;
    c.strokeStyle = color;
    c.lineWidth = 1.25;
    c.beginPath();
    c.arc(x, m.y, size / 2, 0, Math.PI * 2);
    c.fill();
    c.stroke();
    pen.glyph(glyph, x, m.y, size * 0.8, color);
  };
  if (cyclic) disc(theme.warning, "cycle", m.x);
  if (condition !== "on-success") disc(condition === "on-failure" ? theme.failure : theme.muted, condition, m.x + (cyclic ? size + 2 : 0));
  if (edges.lag[e]! > 0 && view.level === "card") {
    c.font = font(pen, 10, 500);
    c.textAlign = "center";
    c.textBaseline = "alphabetic";
    c.fillStyle = theme.muted;
    c.fillText(`+${edges.lag[e]!} s`, m.x, m.y - size / 2 - 3);
  }
}

/** Draws the emphasised edges over the others: first the critical path, since it is widest. */
export function paintEmphasis(pen: Pen, view: View): void {
  const { emphasis, camera } = view;
  if (emphasis === null) return;
  const { theme } = pen;
  const fine = view.level === "card" || view.level === "compact";
  const layer = (list: readonly number[], color: string, width: number): void => {
    for (let type = 0; type < EDGE_TYPES.length; type++) {
      const curves: Curve[] = [];
      for (const e of list) {
        if (view.scene.edges.type[e] !== type || hidden(view, e)) continue;
        const curve = edgeCurve(view, e);
        if (onScreen(hull(curve.p), view.size)) curves.push(curve);
      }
      if (curves.length === 0) continue;
      strokeCurves(pen, curves, color, width, fine ? dashes[type]! : []);
      if (fine && width < 3) for (const curve of curves) endMark(pen, curve, type, color, Math.max(camera.k, 0.8));
    }
  };
  const thin = fine ? 1.75 : 1.25;
  layer(emphasis.critical, theme.critical, fine ? 5 : 3);
  layer(emphasis.near, theme.focus, thin);
  layer(emphasis.blocks, theme.blocks, thin);
  layer(emphasis.blockedBy, theme.blockedBy, thin + 0.5);
}

function hidden(view: View, e: number): boolean {
  const { scene, camera } = view;
  const inTile = (i: number): boolean => {
    const r = scene.regions[scene.region[i]!];
    return r !== undefined && isTile(r, camera.k);
  };
  return inTile(scene.edges.from[e]!) && inTile(scene.edges.to[e]!);
}
