import { fitted, noPadding, openingView, panned, revealed, zoomedAt, type Camera, type Padding, type Rect, type Size } from "../geometry/camera.js";
import type { Renderer } from "../paint/renderer.js";
import { BROKEN, WORKING, type Scene } from "../scene/scene.js";
import { compactScale, nodeScale } from "../view/lod.js";

/** Minimum scale after zooming to a node that fits into the viewport. */
const readable = 0.8;

/** The view of the element. It follows the extent of the flow until it is moved. */
export class Viewport {
  readonly #renderer: Renderer;
  #padding: Padding = noPadding;
  #isMoved = false;
  #isFitRequested = false;
  #pendingZoom: { readonly id: string; readonly animate: boolean } | null = null;

  constructor(renderer: Renderer) {
    this.#renderer = renderer;
  }

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
    this.#zoomToPending();
  }

  /** Updates the view for a new scene. */
  show(scene: Scene, before: Scene | null): void {
    // A view that was set before the first scene is kept, but moved so that part of the flow is visible.
    if (before === null && this.#isMoved) this.#renderer.setCamera(this.#renderer.goal);
    else if (before === null || before.count === 0 || before.graph.flowId !== scene.graph.flowId) this.#fit(false);
    else if (!this.#isMoved && !this.#isInView(scene.bounds)) this.#fit(true);
    this.#zoomToPending();
  }

  #isInView(b: Rect): boolean {
    const { goal, size } = this.#renderer;
    return b.x >= goal.x - 1 && b.y >= goal.y - 1 && b.x + b.w <= goal.x + size.width / goal.k + 1 && b.y + b.h <= goal.y + size.height / goal.k + 1;
  }

  fit(animate: boolean): void {
    this.#isMoved = false;
    this.#isFitRequested = true;
    this.#fit(animate);
  }

  #fit(animate: boolean): void {
    const { scene, size } = this.#renderer;
    if (scene === null || size.width === 0) return;
    const whole = fitted(scene.bounds, size, this.#room(16));
    this.#renderer.setCamera((this.#isFitRequested ? undefined : this.#openingView(scene, whole.k)) ?? whole, animate);
  }

  /** The view of a flow that a narrow viewport cannot show readably as a whole: of a broken node, else of a working one, else of the first region. */
  #openingView(scene: Scene, scale: number): Camera | undefined {
    const i = [BROKEN, WORKING].map((s) => scene.state.indexOf(s)).find((at) => at >= 0 && at < scene.count) ?? -1;
    const region = scene.regions[i < 0 ? 0 : scene.region[i]!] ?? scene.bounds;
    return openingView(scale, region, i < 0 ? undefined : scene.rect(i), this.#renderer.size, this.#room(16), [nodeScale, compactScale]);
  }

  #room(by: number): Padding {
    const { top, right, bottom, left } = this.#padding;
    return { top: top + by, right: right + by, bottom: bottom + by, left: left + by };
  }

  zoomTo(id: string, animate: boolean): void {
    this.#pendingZoom = { id, animate };
    this.#zoomToPending();
  }

  #zoomToPending(): void {
    const pending = this.#pendingZoom;
    const { scene, size, goal } = this.#renderer;
    if (pending === null || scene === null || size.width === 0) return;
    const rect = scene.rectOf(pending.id);
    if (rect === undefined) return;
    this.#pendingZoom = null;
    this.move(fitted(rect, size, this.#room(24), scene.index.has(pending.id) ? Math.max(goal.k, readable) : 1), pending.animate);
  }

  showAll(ids: Iterable<string>): void {
    const rects = [...ids].flatMap((id) => this.#renderer.scene?.rectOf(id) ?? []);
    if (rects.length === 0 || this.#renderer.size.width === 0) return;
    const x = Math.min(...rects.map((r) => r.x)), y = Math.min(...rects.map((r) => r.y));
    const w = Math.max(...rects.map((r) => r.x + r.w)) - x, h = Math.max(...rects.map((r) => r.y + r.h)) - y;
    this.move(fitted({ x, y, w, h }, this.#renderer.size, this.#room(24), 1), true);
  }

  /** Zooms round a point of the viewport, by default the middle of its free area. */
  zoomBy(factor: number, animate: boolean, x?: number, y?: number): void {
    const { size, goal } = this.#renderer;
    const p = this.#padding;
    this.move(zoomedAt(goal, x ?? (p.left + size.width - p.right) / 2, y ?? (p.top + size.height - p.bottom) / 2, factor), animate);
  }

  panBy(dx: number, dy: number): void {
    this.move(panned(this.#renderer.goal, dx, dy));
  }

  /** Pans as little as possible to bring a rectangle into the free area. */
  reveal(r: Rect): void {
    const { goal, size } = this.#renderer;
    const camera = revealed(goal, r, size, this.#room(24));
    if (camera.x !== goal.x || camera.y !== goal.y) this.move(camera, true);
  }

  /** Moves the view, which then no longer follows the extent of the flow. */
  move(camera: Camera, animate = false): void {
    this.#isMoved = true;
    this.#renderer.setCamera(camera, animate);
  }

  boxOf(id: string): Rect | undefined {
    const { scene, camera } = this.#renderer;
    const r = scene?.rectOf(id);
    return r === undefined ? undefined : { x: (r.x - camera.x) * camera.k, y: (r.y - camera.y) * camera.k, w: r.w * camera.k, h: r.h * camera.k };
  }
}
