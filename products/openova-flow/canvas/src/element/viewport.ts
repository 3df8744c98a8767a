import { fitted, noPadding, opened, panned, revealed, zoomedAt, type Camera, type Padding, type Rect, type Size } from "../geometry/camera.js";
import type { Renderer } from "../paint/renderer.js";
import { BROKEN, WORKING, type Scene } from "../scene/scene.js";
import { compactScale, nodeScale } from "../view/lod.js";

/** Scale from which a node that is zoomed to can be read. */
const readable = 0.8;

/** Where the element looks: at the whole flow, until somebody moves the view. */
export class Viewport {
  readonly #renderer: Renderer;
  #padding: Padding = noPadding;
  #isMoved = false;
  #isWholeAsked = false;
  #wanted: { readonly id: string; readonly animate: boolean } | null = null;

  constructor(renderer: Renderer) {
    this.#renderer = renderer;
  }

  /** Pixels that something else covers on each side. */
  get padding(): Padding { return this.#padding; }
  set padding(padding: Partial<Padding>) {
    this.#padding = { ...noPadding, ...padding };
    if (!this.#isMoved) this.#fit(false);
  }

  resize(size: Size, dpr: number): void {
    const before = this.#renderer.size;
    this.#renderer.resize(size, dpr);
    if (size.width === 0 || size.height === 0) return;
    if (!this.#isMoved || before.width === 0) this.#fit(false);
    else this.#renderer.setCamera(panned(this.#renderer.goal, (before.width - size.width) / 2, (before.height - size.height) / 2));
    this.#zoomToWanted();
  }

  /** Another scene is drawn than `before`. */
  show(scene: Scene, before: Scene | null): void {
    // A view that was set before there was anything to see is kept, within reach of the flow.
    if (before === null && this.#isMoved) this.#renderer.setCamera(this.#renderer.goal);
    else if (before === null || before.count === 0 || before.graph.flowId !== scene.graph.flowId) this.#fit(false);
    else if (!this.#isMoved && !this.#isInView(scene.bounds)) this.#fit(true);
    this.#zoomToWanted();
  }

  #isInView(b: Rect): boolean {
    const { goal, size } = this.#renderer;
    return b.x >= goal.x - 1 && b.y >= goal.y - 1 && b.x + b.w <= goal.x + size.width / goal.k + 1 && b.y + b.h <= goal.y + size.height / goal.k + 1;
  }

  /** Shows the whole flow between the paddings, and goes on doing so until somebody moves the view. */
  fit(animate: boolean): void {
    this.#isMoved = false;
    this.#isWholeAsked = true;
    this.#fit(animate);
  }

  #fit(animate: boolean): void {
    const { scene, size } = this.#renderer;
    if (scene === null || size.width === 0) return;
    const whole = fitted(scene.bounds, size, this.#room(16));
    this.#renderer.setCamera((this.#isWholeAsked ? undefined : this.#opened(scene, whole.k)) ?? whole, animate);
  }

  /** Where a flow opens that as a whole is too small to read: at what is broken, else at what works, else at its first region. */
  #opened(scene: Scene, scale: number): Camera | undefined {
    const i = [BROKEN, WORKING].map((s) => scene.state.indexOf(s)).find((at) => at >= 0) ?? -1;
    const region = scene.regions[i < 0 ? 0 : scene.region[i]!] ?? scene.bounds;
    return opened(scale, region, i < 0 ? undefined : scene.rect(i), this.#renderer.size, this.#room(16), [nodeScale, compactScale]);
  }

  #room(by: number): Padding {
    const { top, right, bottom, left } = this.#padding;
    return { top: top + by, right: right + by, bottom: bottom + by, left: left + by };
  }

  /** Brings a node, region or group to the middle, large enough to be read. Waits for it when it is not there yet. */
  zoomTo(id: string, animate: boolean): void {
    this.#wanted = { id, animate };
    this.#zoomToWanted();
  }

  #zoomToWanted(): void {
    const wanted = this.#wanted;
    const { scene, size, goal } = this.#renderer;
    if (wanted === null || scene === null || size.width === 0) return;
    const rect = scene.rectOf(wanted.id);
    if (rect === undefined) return;
    this.#wanted = null;
    this.move(fitted(rect, size, this.#room(24), scene.index.has(wanted.id) ? Math.max(goal.k, readable) : 1), wanted.animate);
  }

  /** Brings all of these nodes into view, no larger than they can be read. */
  showAll(ids: Iterable<string>): void {
    const rects = [...ids].flatMap((id) => this.#renderer.scene?.rectOf(id) ?? []);
    if (rects.length === 0 || this.#renderer.size.width === 0) return;
    const x = Math.min(...rects.map((r) => r.x)), y = Math.min(...rects.map((r) => r.y));
    const w = Math.max(...rects.map((r) => r.x + r.w)) - x, h = Math.max(...rects.map((r) => r.y + r.h)) - y;
    this.move(fitted({ x, y, w, h }, this.#renderer.size, this.#room(24), 1), true);
  }

  /** Round a point of the viewport, else round the middle of what is free. */
  zoomBy(factor: number, animate: boolean, x?: number, y?: number): void {
    const { size, goal } = this.#renderer;
    const p = this.#padding;
    this.move(zoomedAt(goal, x ?? (p.left + size.width - p.right) / 2, y ?? (p.top + size.height - p.bottom) / 2, factor), animate);
  }

  panBy(dx: number, dy: number): void {
    this.move(panned(this.#renderer.goal, dx, dy));
  }

  /** The least pan that brings a rectangle into what is free. */
  reveal(r: Rect): void {
    const { goal, size } = this.#renderer;
    const camera = revealed(goal, r, size, this.#room(24));
    if (camera.x !== goal.x || camera.y !== goal.y) this.move(camera, true);
  }

  /** Goes to a view that somebody asked for. */
  move(camera: Camera, animate = false): void {
    this.#isMoved = true;
    this.#renderer.setCamera(camera, animate);
  }

  /** The box of a node, region or group in CSS pixels; undefined when it is not there. */
  boxOf(id: string): Rect | undefined {
    const { scene, camera } = this.#renderer;
    const r = scene?.rectOf(id);
    return r === undefined ? undefined : { x: (r.x - camera.x) * camera.k, y: (r.y - camera.y) * camera.k, w: r.w * camera.k, h: r.h * camera.k };
  }
}
