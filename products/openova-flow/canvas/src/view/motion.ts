import type { Rect } from "../geometry/camera.js";
import type { Scene } from "../scene/scene.js";

export function eased(t: number): number {
  return t < 0.5 ? 4 * t * t * t : 1 - Math.pow(-2 * t + 2, 3) / 2;
}

interface Mover {
  readonly target: { x: number; y: number; w: number; h: number };
  readonly from: Rect;
  readonly to: Rect;
}

/**
 * Moves the nodes and frames of a scene from their positions in the previous scene to their own. Those that the previous scene did not have
 * appear at once. `scene` must have just been laid out: its positions are where the move ends.
 */
export class Motion {
  readonly duration: number;
  readonly #scene: Scene;
  readonly #nodes: number[] = [];
  readonly #from: number[] = [];
  readonly #to: number[] = [];
  readonly #frames: Mover[] = [];

  constructor(previous: Scene, scene: Scene, duration: number) {
    this.duration = duration;
    this.#scene = scene;
    const before = new Map(previous.ids.map((id, i) => [id, i]));
    scene.ids.forEach((id, i) => {
      const b = before.get(id);
      if (b === undefined || (previous.x[b] === scene.x[i] && previous.y[b] === scene.y[i])) return;
      this.#nodes.push(i);
      this.#from.push(previous.x[b]!, previous.y[b]!);
      this.#to.push(scene.x[i]!, scene.y[i]!);
    });
    const regions = new Map(previous.regions.map((r) => [r.name, r]));
    for (const r of scene.regions) this.#frame(r, regions.get(r.name));
    const groups = new Map(previous.groups.map((g) => [g.id, g]));
    for (const g of scene.groups) this.#frame(g, groups.get(g.id));
  }

  #frame(target: { x: number; y: number; w: number; h: number }, before: Rect | undefined): void {
    if (before === undefined) return;
    const { x, y, w, h } = target;
    if (before.x === x && before.y === y && before.w === w && before.h === h) return;
    this.#frames.push({ target, from: { x: before.x, y: before.y, w: before.w, h: before.h }, to: { x, y, w, h } });
  }

  get empty(): boolean {
    return this.#nodes.length === 0 && this.#frames.length === 0;
  }

  /** Sets all positions for a share of the move: 0 is the start, 1 the end. */
  at(share: number): void {
    const t = eased(Math.min(1, Math.max(0, share)));
    this.#nodes.forEach((i, k) => {
      this.#scene.x[i] = this.#from[2 * k]! + (this.#to[2 * k]! - this.#from[2 * k]!) * t;
      this.#scene.y[i] = this.#from[2 * k + 1]! + (this.#to[2 * k + 1]! - this.#from[2 * k + 1]!) * t;
    });
    for (const { target, from, to } of this.#frames) {
      target.x = from.x + (to.x - from.x) * t;
      target.y = from.y + (to.y - from.y) * t;
      target.w = from.w + (to.w - from.w) * t;
      target.h = from.h + (to.h - from.h) * t;
    }
  }
}
