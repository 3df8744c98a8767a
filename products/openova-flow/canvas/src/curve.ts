import type { RelationshipType } from "@openova/flow-core";
import type { Rect } from "./camera.js";

/** A cubic curve as x0 y0, two control points, x1 y1, and the direction in which it arrives. */
export interface Curve {
  readonly p: readonly [number, number, number, number, number, number, number, number];
  /** Unit vector along which the end marker points. */
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

/**
 * The curve of a relationship between two boxes. It leaves and arrives at the sides that the type speaks of, so that the four orders
 * in time differ by where they are attached. `unit` is the length of one world unit.
 */
export function curveOf(type: RelationshipType, from: Rect, to: Rect, unit: number): Curve {
  let [a, b] = sides[type];
  // A trigger that points up leaves by the top instead of running through its own box.
  if (type === "triggers" && to.y + to.h < from.y) [a, b] = ["above", "below"];
  const [x0, y0] = point(from, a);
  const [x1, y1] = point(to, b);
  const [ax, ay] = outward[a];
  const [bx, by] = outward[b];
  const reach = pull(a, b, x1 - x0, y1 - y0, unit);
  // A way back would lie flat on the boxes of its own row: bow it upwards.
  const bow = a === "finish" && b === "start" && x1 <= x0 ? -Math.max(54 * unit, Math.abs(y1 - y0) * 0.1) : 0;
  return {
    p: [x0, y0, x0 + ax * reach, y0 + ay * reach + bow, x1 + bx * reach, y1 + by * reach + bow, x1, y1],
    dx: -bx,
    dy: -by,
  };
}

function pull(a: Side, b: Side, dx: number, dy: number, unit: number): number {
  if (a === "finish" && b === "start") {
    return dx > 0 ? Math.min(Math.max(dx * 0.5, 14 * unit), 120 * unit) : 90 * unit;
  }
  if (a === b) return (30 + Math.min(40, Math.abs(dy / unit) * 0.06)) * unit;
  if (a === "start") return 56 * unit;
  return Math.max(24 * unit, Math.abs(dy) * 0.45);
}

/** The point of the curve half-way, for marks. */
export function middle(c: Curve): { x: number; y: number } {
  const [x0, y0, x1, y1, x2, y2, x3, y3] = c.p;
  return { x: (x0 + 3 * x1 + 3 * x2 + x3) / 8, y: (y0 + 3 * y1 + 3 * y2 + y3) / 8 };
}
