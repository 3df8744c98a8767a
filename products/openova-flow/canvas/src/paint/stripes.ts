import type { TextFitter } from "../look/text.js";
import { WORKING } from "../scene/scene.js";
import { isTile, visibleNodes, visibleRegions, type View } from "../view/view.js";
import { planTitle } from "./regions.js";

/** The parts of a view with moving stripes: working nodes, and the progress bars of their regions. Both are lists of indices into the scene. */
export interface Striped {
  readonly nodes: readonly number[];
  readonly regions: readonly number[];
  /** Milliseconds to the next step. It grows with the number of parts, so that stripes stay cheap. */
  readonly paceMs: number;
}

const leastMs = 80;

/** The striped parts of a view; null if there are none. */
export function stripedIn(view: View, text: TextFitter): Striped | null {
  const { scene, camera } = view;
  const nodes = visibleNodes(view).filter((i) => scene.state[i] === WORKING && !scene.isStale(i));
  const index = new Map(scene.regions.map((r, i) => [r, i]));
  const regions = visibleRegions(view)
    .filter((r) => r.counts[WORKING]! > 0 && r.note.tone !== "stale" && (isTile(r, camera.k) || planTitle(view, r, text) !== undefined))
    .map((r) => index.get(r)!);
  const count = nodes.length + regions.length;
  return count === 0 ? null : { nodes, regions, paceMs: leastMs + count };
}
