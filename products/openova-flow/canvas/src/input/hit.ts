import { toWorld } from "../geometry/camera.js";
import { isNamespace } from "../scene/namespaces.js";
import type { SceneGroup, SceneRegion } from "../scene/scene.js";
import { isTile, type View } from "../view/view.js";

/** The target at a point of the viewport. */
export type Hit =
  | { readonly kind: "node" | "missing" | "external"; readonly index: number }
  | { readonly kind: "tile" | "lane"; readonly region: SceneRegion }
  | { readonly kind: "group"; readonly group: SceneGroup };

function within(r: { x: number; y: number; w: number; h: number }, x: number, y: number): boolean {
  return x >= r.x && y >= r.y && x <= r.x + r.w && y <= r.y + r.h;
}

/** A point this close to a node still hits it, in screen pixels. */
const slack = 2;

export function hitAt(view: View, sx: number, sy: number): Hit | null {
  const { scene, camera } = view;
  const { x, y } = toWorld(camera, sx, sy);
  const region = scene.regions.find((r) => within(r, x, y));
  if (region !== undefined && isTile(region, camera.k)) return { kind: "tile", region };
  const index = scene.spatial.at(x, y, slack / camera.k);
  if (index >= 0) return { kind: scene.kind(index), index };
  const group = scene.groups.findLast((g) => !isNamespace(g.id) && within(g, x, y));
  if (group !== undefined) return { kind: "group", group };
  return region !== undefined && y <= region.y + region.band ? { kind: "lane", region } : null;
}
