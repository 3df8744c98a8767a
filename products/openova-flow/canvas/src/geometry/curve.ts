import type { RelationshipType } from "@openova/flow-core";
import type { Rect } from "./camera.js";

/** One or more cubic curves end to end, and the direction in which they arrive. */
export interface Curve {
  /** A start point, then for each curve two control points and an end point, as x and y in turn. */
  readonly p: readonly number[];
  /** Unit vector along which the end mark points. */
  readonly dx: number;
  readonly dy: number;
}

/** Side of a node: `start` is its left, where it begins, and `finish` its right. */
type Side = "start" | "finish" | "above" | "below";

const sides: Readonly<Record<RelationshipType, readonly [Side, Side]>> = {
  contains: ["finish", "start"],
  "finish-to-start": ["finish", "start"],
  "start-to-start": ["start", "start"],
  "finish-to-finish": ["finish", "finish"],
  "start-to-finish": ["start", "finish"],
  triggers: ["below", "above"],
};

const outward: Readonly<Record<Side, readonly [number, number]>> = { start: [-1, 0], finish: [1, 0], above: [0, -1], below: [0, 1] };

function point(r: Rect, side: Side): readonly [number, number] {
  switch (side) {
    case "start": return [r.x, r.y + r.h / 2];
    case "finish": return [r.x + r.w, r.y + r.h / 2];
    case "above": return [r.x + r.w / 2, r.y];
    case "below": return [r.x + r.w / 2, r.y + r.h];
  }
}

/** Vertical distance between a box and an edge that goes round it, in world units. */
const clearance = 6;

/** From the left side of a box round its corner, then along the gap between rows to its right end. */
function roundStart(r: Rect, down: boolean, unit: number): number[] {
  const y = down ? r.y + r.h + clearance * unit : r.y - clearance * unit;
  const x0 = r.x, y0 = r.y + r.h / 2, out = x0 - 15 * unit, turn = x0 + 6 * unit;
  return [x0, y0, out, y0, out, y, turn, y, r.x + r.w * 0.4, y, r.x + r.w * 0.7, y, r.x + r.w, y];
}

/** The reverse: from the left end of a box along the gap between rows, then round its corner to its right side. */
function roundFinish(r: Rect, down: boolean, unit: number): number[] {
  const y = down ? r.y + r.h + clearance * unit : r.y - clearance * unit;
  const x1 = r.x + r.w, y1 = r.y + r.h / 2, out = x1 + 15 * unit, turn = x1 - 6 * unit;
  return [r.x, y, r.x + r.w * 0.3, y, r.x + r.w * 0.6, y, turn, y, out, y, out, y1, x1, y1];
}

/**
 * The curve of a relationship between two boxes. The type decides at which sides it leaves and arrives. `unit` is the length of one world unit
 * in the coordinates of the boxes.
 */
export function curveOf(type: RelationshipType, from: Rect, to: Rect, unit: number): Curve {
  let [a, b] = sides[type];
  // A trigger that points up leaves at the top, so that it does not cross its own box.
  if (type === "triggers" && to.y + to.h < from.y) [a, b] = ["above", "below"];
  const [bx, by] = outward[b];
  const arrival = { dx: -bx, dy: -by };
  if ((a === "start" || b === "finish") && from.x + from.w < to.x) return { p: around(a === "start", b === "finish", from, to, unit), ...arrival };
  const [x0, y0] = point(from, a);
  const [x1, y1] = point(to, b);
  const [ax, ay] = outward[a];
  const reach = handleLength(a, b, x1 - x0, y1 - y0, unit);
  // An edge to the left would cover the boxes of its own row, so it is bent upwards.
  const bow = a === "finish" && b === "start" && x1 <= x0 ? -Math.max(54 * unit, Math.abs(y1 - y0) * 0.1) : 0;
  return { p: [x0, y0, x0 + ax * reach, y0 + ay * reach + bow, x1 + bx * reach, y1 + by * reach + bow, x1, y1], ...arrival };
}

/** A curve to a box further right, with a detour where it would pass under one of its own boxes. */
function around(leaving: boolean, arriving: boolean, from: Rect, to: Rect, unit: number): number[] {
  const down = to.y + to.h / 2 > from.y + from.h / 2;
  const head = leaving ? roundStart(from, down, unit) : [...point(from, "finish")];
  const tail = arriving ? roundFinish(to, !down, unit) : [...point(to, "start")];
  const x0 = head.at(-2)!, y0 = head.at(-1)!, x1 = tail[0]!, y1 = tail[1]!;
  const reach = Math.min(Math.max((x1 - x0) * 0.5, 14 * unit), 120 * unit);
  return [...head, x0 + reach, y0, x1 - reach, y1, ...tail];
}

function handleLength(a: Side, b: Side, dx: number, dy: number, unit: number): number {
  if (a === "finish" && b === "start") {
    return dx > 0 ? Math.min(Math.max(dx * 0.5, 14 * unit), 120 * unit) : 90 * unit;
  }
  if (a === b) return (30 + Math.min(40, Math.abs(dy / unit) * 0.06)) * unit;
  if (a === "start") return 56 * unit;
  return Math.max(24 * unit, Math.abs(dy) * 0.45);
}

/** The point at `t`, 0 to 1, of the last piece of a curve. */
function along(c: Curve, t: number): { x: number; y: number } {
  const p = c.p.slice(-8);
  const u = 1 - t;
  const mix = (i: number): number => u * u * u * p[i]! + 3 * u * u * t * p[i + 2]! + 3 * u * t * t * p[i + 4]! + t * t * t * p[i + 6]!;
  return { x: mix(0), y: mix(1) };
}

/** The position of marks: at least `before` pixels before the end, but at most half-way back on the last piece. */
export function markPoint(c: Curve, before: number): { x: number; y: number } {
  const x1 = c.p.at(-2)!, y1 = c.p.at(-1)!;
  for (let t = 0.95; t > 0.5; t -= 0.05) {
    const m = along(c, t);
    if (Math.hypot(m.x - x1, m.y - y1) >= before) return m;
  }
  return along(c, 0.5);
}
