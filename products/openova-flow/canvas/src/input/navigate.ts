import type { Rect } from "../geometry/camera.js";
import type { Boxes } from "../geometry/spatial.js";
import type { SceneEdges } from "../scene/edges.js";
import type { Scene } from "../scene/scene.js";
import type { Level } from "../view/lod.js";

export type Direction = "left" | "right" | "up" | "down";

const unit: Readonly<Record<Direction, readonly [number, number]>> = { left: [-1, 0], right: [1, 0], up: [0, -1], down: [0, 1] };

/** The distance between two boxes, with the offset across the direction weighted 2.5 times; Infinity if `to` is not in that direction. */
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

/** The index of the nearest box in a direction, or -1 for none. If `from` is no box, it is the box nearest to the top left corner. */
export function nearest(boxes: Boxes, from: number, direction: Direction): number {
  return from < 0 || from >= boxes.count
    ? least(boxes.count, (i) => boxes.x[i]! + boxes.y[i]!)
    : least(boxes.count, (i) => cost(boxes, from, i, direction));
}

/** The node that an arrow key goes to, or -1: the nearest in that direction. Left and right prefer the nearest at the other end of an edge. */
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

export interface Stop {
  readonly id: string;
  readonly kind: "node" | "missing" | "external" | "region";
  readonly rect: Rect;
  /** The text that a screen reader announces. */
  readonly announcement: string;
}

/**
 * Where an arrow key moves the selection: to a region if there are several, the level is `tile` and no node is selected, otherwise to a node.
 * Null if there is none in that direction.
 */
export function stopAfter(scene: Scene, selected: string | null, level: Level, direction: Direction): Stop | null {
  const from = scene.index.get(selected ?? "") ?? -1;
  if (level === "tile" && scene.regions.length > 1 && from < 0) return regionAfter(scene, selected, direction);
  const next = scene.count === 0 ? -1 : step(scene, scene.edges, from, direction);
  return next < 0 ? null : { id: scene.ids[next]!, kind: scene.kind(next), rect: scene.rect(next), announcement: scene.description(next) };
}

function regionAfter({ regions, readyIndex }: Scene, selected: string | null, direction: Direction): Stop | null {
  const boxes = { count: regions.length, x: regions.map((r) => r.x), y: regions.map((r) => r.y), w: regions.map((r) => r.w), h: regions.map((r) => r.h) };
  const at = regions.findIndex((r) => selected !== null && (r.name === selected || r.containerId === selected));
  const region = regions[nearest(boxes, at, direction)];
  if (region === undefined) return null;
  const announcement = [region.label, region.note.text, `${region.counts[readyIndex]!} of ${region.total} ready`].filter((t) => t !== "").join(", ");
  return { id: region.containerId ?? region.name, kind: "region", rect: region, announcement };
}
