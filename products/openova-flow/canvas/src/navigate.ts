import type { Boxes } from "./spatial.js";
import type { SceneEdges } from "./scene-edges.js";

export type Direction = "left" | "right" | "up" | "down";

const unit: Readonly<Record<Direction, readonly [number, number]>> = { left: [-1, 0], right: [1, 0], up: [0, -1], down: [0, 1] };

/** Distance in a direction, with what lies aside counting more; Infinity for what lies the other way. */
function cost(boxes: Boxes, from: number, to: number, direction: Direction): number {
  const [ux, uy] = unit[direction];
  const dx = boxes.x[to]! + boxes.w[to]! / 2 - boxes.x[from]! - boxes.w[from]! / 2;
  const dy = boxes.y[to]! + boxes.h[to]! / 2 - boxes.y[from]! - boxes.h[from]! / 2;
  const along = dx * ux + dy * uy;
  return to === from || along <= 1 ? Infinity : along + 2.5 * Math.abs(dx * uy + dy * ux);
}

function least(count: number, rate: (i: number) => number): number {
  let best = -1, low = Infinity;
  for (let i = 0; i < count; i++) {
    const c = rate(i);
    if (c < low) {
      low = c;
      best = i;
    }
  }
  return best;
}

/** The box nearest in a direction, or -1. From none (-1) it is the one nearest to the top left. */
export function nearest(boxes: Boxes, from: number, direction: Direction): number {
  return from < 0 || from >= boxes.count
    ? least(boxes.count, (i) => boxes.x[i]! + boxes.y[i]!)
    : least(boxes.count, (i) => cost(boxes, from, i, direction));
}

/** The node that an arrow key goes to: sideways along an edge where one leads that way, else the nearest in that direction; -1 for none. */
export function step(boxes: Boxes, edges: Pick<SceneEdges, "count" | "from" | "to">, from: number, direction: Direction): number {
  let best = -1, low = Infinity;
  if (from >= 0 && (direction === "left" || direction === "right")) {
    const [here, there] = direction === "right" ? [edges.from, edges.to] : [edges.to, edges.from];
    for (let e = 0; e < edges.count; e++) {
      if (here[e] !== from || there[e]! >= boxes.count) continue;
      const c = cost(boxes, from, there[e]!, direction);
      if (c < low) {
        low = c;
        best = there[e]!;
      }
    }
  }
  return best >= 0 ? best : nearest(boxes, from, direction);
}
