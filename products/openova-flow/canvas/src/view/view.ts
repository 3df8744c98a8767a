import type { Camera, Rect, Size } from "../geometry/camera.js";
import { nodeScale, type Level } from "./lod.js";
import type { Scene, SceneRegion } from "../scene/scene.js";

/** The nodes and edges that are highlighted; other nodes are dimmed, and other edges are drawn faintly. Nodes and edges are indices into the scene. */
export interface Emphasis {
  /** 1 for each node that is dimmed. */
  readonly dim: Uint8Array;
  /** Edges drawn on top, by kind. */
  readonly blockedBy: readonly number[];
  readonly blocks: readonly number[];
  readonly critical: readonly number[];
  /** The other edges of the selected node. */
  readonly near: readonly number[];
}

/** A scene as seen by a camera: everything that painting needs. */
export interface View {
  readonly scene: Scene;
  readonly camera: Camera;
  readonly size: Size;
  readonly level: Level;
  readonly emphasis: Emphasis | null;
  /** Whether nodes are moving to new positions. The spatial index has only the final ones. */
  readonly moving: boolean;
}

export function screenRect(view: View, r: Rect): Rect {
  const { camera } = view;
  return { x: (r.x - camera.x) * camera.k, y: (r.y - camera.y) * camera.k, w: r.w * camera.k, h: r.h * camera.k };
}

export function onScreen(r: Rect, size: Size, slack = 0): boolean {
  return r.x <= size.width + slack && r.y <= size.height + slack && r.x + r.w >= -slack && r.y + r.h >= -slack;
}

/** Width and height in CSS pixels. A region that is at least this wide or this high shows its nodes at any scale. */
const roomy = { w: 560, h: 360 };

/** Whether a region is drawn as one tile in place of its nodes. */
export function isTile(region: Rect, k: number): boolean {
  return k < nodeScale && region.w * k < roomy.w && region.h * k < roomy.h;
}

export function visibleRegions(view: View): SceneRegion[] {
  return view.scene.regions.filter((r) => onScreen(screenRect(view, r), view.size, 2));
}

/** Indices of the nodes to draw: at least those on screen, but none in a region that is drawn as a tile. */
export function visibleNodes(view: View): number[] {
  const { scene, camera, size } = view;
  const out: number[] = [];
  const world = { x: camera.x, y: camera.y, w: size.width / camera.k, h: size.height / camera.k };
  if (camera.k >= nodeScale && !view.moving) {
    scene.spatial.query(world, (i) => out.push(i));
    return out;
  }
  for (const r of visibleRegions(view)) {
    if (isTile(r, camera.k)) continue;
    for (const i of r.nodes) out.push(i);
  }
  return out;
}
