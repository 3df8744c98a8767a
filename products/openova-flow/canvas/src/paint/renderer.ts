import { constrained, type Camera, type Size } from "../geometry/camera.js";
import { levelAt, type Level } from "../view/lod.js";
import { fromMinimap, mapMs, worthAMap } from "../view/minimap.js";
import { pensOf, resizeLayers, type Layers, type Pens } from "./layers.js";
import type { MapLayer } from "./minimap.js";
import { Motion } from "../view/motion.js";
import { Travel } from "../view/travel.js";
import { paintOverlay, type Pointed } from "./overlay.js";
import { paintEdges, paintEmphasis } from "./edges.js";
import { nodeBox, paintNodes } from "./nodes.js";
import { paintFrames, paintRegion, regionFace } from "./regions.js";
import { stripedIn } from "./stripes.js";
import { stripePeriod, type CanvasPen } from "./pen.js";
import type { Scene } from "../scene/scene.js";
import { TextFitter } from "../look/text.js";
import type { Theme } from "../look/theme.js";
import { isTile, visibleNodes, visibleRegions, type Emphasis, type View } from "../view/view.js";

export interface RendererHooks {
  /** Called after each frame that shows another view than the frame before. */
  viewChanged(): void;
  /** Called after the first frame that shows a scene. */
  painted(): void;
}

const GROUND = 1, NODES = 2, OVERLAY = 4, MAP = 8, MAP_FRAME = 16;
const EVERYTHING = GROUND | NODES | OVERLAY | MAP | MAP_FRAME;

/** Duration of the move to a new layout, in milliseconds. */
const moveMs = 420;

const notPointed: Pointed = { selected: -1, hovered: -1, selectedFrame: undefined, hoveredFrame: undefined, focused: false };

function textIn(family: string): TextFitter {
  const probe = document.createElement("canvas").getContext("2d");
  return new TextFitter((char, weight) => {
    if (probe === null) return 0.6;
    probe.font = `${weight} 100px ${family}`;
    return probe.measureText(char).width / 100;
  });
}

/**
 * Draws a scene on stacked canvases, only when something asks for it and only the layers that changed. Between `start` and `stop` it may
 * hold one animation frame and one timer; after `stop` it holds none.
 */
export class Renderer {
  readonly #layers: Layers;
  readonly #hooks: RendererHooks;
  #text: TextFitter;
  #pens: Pens | null = null;
  /** The minimap; loaded once a part of the flow is out of view. */
  #map: MapLayer | null = null;
  #isMapLoading = false;
  #isMapDirty = false;
  #family = "sans-serif";
  #theme: Theme | undefined;
  #scene: Scene | null = null;
  readonly #travel = new Travel();
  #level: Level = "card";
  #size: Size = { width: 0, height: 0 };
  #dpr = 1;
  #emphasis: Emphasis | null = null;
  #pointed: Pointed = notPointed;
  #calm = false;
  #mapWanted = true;
  #running = false;
  #frame = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #dirty = EVERYTHING;
  readonly #dirtyNodes = new Set<number>();
  readonly #dirtyRegions = new Set<number>();
  #motion: { motion: Motion; start: number } | null = null;
  #phase = 0;
  #shown = false;
  #overlaid = false;
  #viewDirty = false;

  constructor(layers: Layers, hooks: RendererHooks) {
    this.#layers = layers;
    this.#hooks = hooks;
    this.#text = textIn(this.#family);
  }

  get scene(): Scene | null { return this.#scene; }
  get emphasis(): Emphasis | null { return this.#emphasis; }
  get camera(): Camera { return this.#travel.camera; }
  /** The end of the current flight, or the camera if there is none. */
  get goal(): Camera { return this.#travel.goal; }
  get size(): Size { return this.#size; }
  get level(): Level { return this.#level; }
  get theme(): Theme | undefined { return this.#theme; }
  get family(): string { return this.#family; }
  get text(): TextFitter { return this.#text; }

  start(): void {
    this.#running = true;
    this.#redraw(EVERYTHING);
  }

  /** Stops drawing. Moves and flights jump to their ends. */
  stop(): void {
    this.#running = false;
    cancelAnimationFrame(this.#frame);
    clearTimeout(this.#timer);
    this.#frame = 0;
    this.#timer = undefined;
    this.#land();
  }

  #land(): void {
    this.#travel.land();
    this.#motion?.motion.at(1);
    this.#motion = null;
  }

  /** Sets size in CSS pixels and device pixel ratio. */
  resize(size: Size, dpr: number): void {
    if (size.width === this.#size.width && size.height === this.#size.height && dpr === this.#dpr && this.#pens !== null) return;
    this.#size = size;
    this.#dpr = dpr;
    resizeLayers(this.#layers, size, dpr);
    this.#makePens();
  }

  setTheme(theme: Theme, family: string): void {
    this.#theme = theme;
    if (family !== this.#family) this.#text = textIn(family);
    this.#family = family;
    this.#makePens();
  }

  /** With reduced motion nothing flies or moves; stripes stand still. */
  setCalm(calm: boolean): void {
    this.#calm = calm;
    if (calm) this.#land();
    this.#redraw(EVERYTHING);
  }

  setMap(wanted: boolean): void {
    this.#mapWanted = wanted;
    this.#redraw(MAP);
  }

  #makePens(): void {
    if (this.#theme === undefined) return;
    this.#map?.forget();
    this.#pens = pensOf(this.#layers, { dpr: this.#dpr, theme: this.#theme, text: this.#text, family: this.#family });
    this.#redraw(EVERYTHING);
  }

  /** Replaces the scene. Nodes and frames move from their previous positions to the new ones, unless motion is reduced, the page is hidden or drawing is stopped. */
  setScene(scene: Scene | null): void {
    const previous = this.#scene;
    this.#motion?.motion.at(1);
    this.#motion = null;
    this.#scene = scene;
    this.#emphasis = null;
    this.#pointed = notPointed;
    this.#dirtyNodes.clear();
    this.#dirtyRegions.clear();
    if (scene !== null && previous !== null && !this.#calm && this.#running && document.visibilityState === "visible") {
      const motion = new Motion(previous, scene, moveMs);
      if (!motion.empty) {
        motion.at(0);
        this.#motion = { motion, start: performance.now() };
      }
    }
    this.#redraw(EVERYTHING);
  }

  setEmphasis(emphasis: Emphasis | null): void {
    this.#emphasis = emphasis;
    this.#redraw(GROUND | NODES);
  }

  setPointed(pointed: Pointed): void {
    this.#pointed = pointed;
    this.#redraw(OVERLAY);
  }

  /** Redraws a node and the face of its region, after the node's look changed. */
  touch(i: number): void {
    const scene = this.#scene;
    if (scene === null) return;
    this.#dirtyNodes.add(i);
    const r = scene.region[i]!;
    if (r >= 0) this.#dirtyRegions.add(r);
    this.#redraw(0);
    if (i === this.#pointed.hovered || i === this.#pointed.selected) this.#redraw(OVERLAY);
    if (this.#mapWanted) this.#redraw(MAP);
  }

  /** Redraws the face of a region, after its note changed. `tone`: the note's tone changed too, so all layers that show it are redrawn. */
  note(region: number, tone: boolean): void {
    this.#dirtyRegions.add(region);
    this.#redraw(tone ? GROUND | NODES | MAP : 0);
  }

  /** Updates captions that count time. */
  tick(now: number): void {
    const view = this.view();
    if (view === null || !this.#running) return;
    const { selected, hovered } = this.#pointed;
    for (const i of [selected, hovered]) if (i >= 0 && view.scene.retime(i, now)) this.#redraw(OVERLAY);
    if (view.level !== "card") return;
    for (const i of visibleNodes(view)) if (view.scene.retime(i, now)) this.#dirtyNodes.add(i);
    if (this.#dirtyNodes.size > 0) this.#redraw(0);
  }

  /** Moves the camera, at once or, with `animate`, in a short flight. */
  setCamera(camera: Camera, animate = false): void {
    const goal = this.#constrain(camera);
    if (animate && !this.#calm && this.#running && this.#size.width > 0) {
      this.#travel.fly(goal, performance.now());
      this.#redraw(0);
    } else if (this.#travel.jump(goal)) this.#viewMoved();
  }

  #constrain(camera: Camera): Camera {
    const bounds = this.#scene?.bounds;
    return bounds === undefined || this.#size.width === 0 ? camera : constrained(camera, bounds, this.#size);
  }

  #viewMoved(): void {
    this.#viewDirty = true;
    this.#redraw(GROUND | NODES | OVERLAY | MAP_FRAME);
  }

  view(): View | null {
    const scene = this.#scene;
    if (scene === null || this.#size.width === 0 || this.#size.height === 0) return null;
    this.#level = levelAt(this.camera.k, this.#level);
    return { scene, camera: this.camera, size: this.#size, level: this.#level, emphasis: this.#emphasis, moving: this.#motion !== null };
  }

  /** The camera for a press on the map at (x, y); null without a scene. */
  fromMap(x: number, y: number): Camera | null {
    if (this.#scene === null) return null;
    const p = fromMinimap(this.#scene.bounds, x, y);
    const { k } = this.camera;
    return { x: p.x - this.#size.width / 2 / k, y: p.y - this.#size.height / 2 / k, k };
  }

  #redraw(what: number): void {
    this.#dirty |= what;
    if (this.#running && this.#frame === 0) this.#frame = requestAnimationFrame((t) => this.#draw(t));
  }

  #draw(now: number): void {
    this.#frame = 0;
    this.#advance(now);
    const view = this.view();
    const pens = this.#pens;
    if (pens === null || this.#size.width === 0) return;
    if (view === null) {
      for (const pen of [pens.ground, pens.nodes, pens.overlay]) this.#clear(pen);
      this.#layers.map.hidden = true;
      this.#dirty = 0;
      return;
    }
    const dirty = this.#dirty;
    this.#dirty = 0;
    if ((dirty & GROUND) !== 0) this.#drawGround(pens.ground, view);
    if ((dirty & NODES) !== 0) this.#drawNodes(pens.nodes, view);
    else this.#drawDirty(pens.nodes, view);
    this.#dirtyNodes.clear();
    this.#dirtyRegions.clear();
    if ((dirty & OVERLAY) !== 0) this.#drawOverlay(pens.overlay, view);
    if ((dirty & (MAP | MAP_FRAME)) !== 0) this.#drawMap(pens.map, view, now, (dirty & MAP) !== 0);
    if ((dirty & (GROUND | NODES)) !== 0) this.#scheduleStripes(view);
    if (this.#travel.isFlying || this.#motion !== null) this.#redraw(0);
    if (this.#viewDirty) {
      this.#viewDirty = false;
      this.#hooks.viewChanged();
    }
    if (!this.#shown) {
      this.#shown = true;
      this.#hooks.painted();
    }
  }

  #advance(now: number): void {
    if (this.#travel.advance(now, this.#size)) this.#viewMoved();
    const motion = this.#motion;
    if (motion !== null) {
      const t = (now - motion.start) / motion.motion.duration;
      motion.motion.at(t);
      this.#dirty |= GROUND | NODES | OVERLAY;
      if (t >= 1) {
        this.#motion = null;
        this.#dirty |= MAP;
      }
    }
  }

  #clear(pen: CanvasPen): void {
    pen.c.clearRect(0, 0, this.#size.width, this.#size.height);
  }

  /** An empty overlay is not touched, because a change of a canvas costs a copy of all of it. */
  #drawOverlay(pen: CanvasPen, view: View): void {
    const { selected, hovered, selectedFrame, hoveredFrame } = this.#pointed;
    const empty = selected < 0 && hovered < 0 && selectedFrame === undefined && hoveredFrame === undefined;
    if (!empty || this.#overlaid) this.#clear(pen);
    if (!empty) paintOverlay(pen, view, this.#pointed);
    this.#overlaid = !empty;
  }

  #drawGround(pen: CanvasPen, view: View): void {
    this.#clear(pen);
    paintFrames(pen, view);
    paintEdges(pen, view);
    paintEmphasis(pen, view);
  }

  #drawNodes(pen: CanvasPen, view: View): void {
    this.#clear(pen);
    for (const region of visibleRegions(view)) paintRegion(pen, view, region);
    paintNodes(pen, view, visibleNodes(view));
  }

  /** Draws only the nodes and region faces that changed. Boxes are whole device pixels, so clearing one leaves its neighbours alone. */
  #drawDirty(pen: CanvasPen, view: View): void {
    const { scene, size, camera } = view;
    const nodes: number[] = [];
    for (const i of this.#dirtyNodes) {
      if (i >= scene.count) continue;
      const r = scene.regions[scene.region[i]!];
      if (r !== undefined && isTile(r, camera.k)) continue;
      const b = nodeBox(view, pen.dpr, i);
      if (b.x > size.width || b.y > size.height || b.x + b.w < 0 || b.y + b.h < 0) continue;
      pen.c.clearRect(b.x, b.y, b.w, b.h);
      nodes.push(i);
    }
    paintNodes(pen, view, nodes);
    for (const r of this.#dirtyRegions) {
      const region = scene.regions[r];
      if (region === undefined) continue;
      const face = regionFace(view, region, this.text, pen.dpr);
      if (face === undefined || face.x > size.width || face.y > size.height || face.x + face.w < 0 || face.y + face.h < 0) continue;
      pen.c.clearRect(face.x, face.y, face.w, face.h);
      paintRegion(pen, view, region);
    }
  }

  #drawMap(pen: CanvasPen, view: View, now: number, changed: boolean): void {
    const { map } = this.#layers;
    const isWorth = this.#mapWanted && view.scene.count > 0 && worthAMap(view.scene.bounds, view.camera, view.size);
    map.hidden = !isWorth || this.#map === null;
    if (isWorth && this.#map === null) return this.#loadMap();
    if (!isWorth) {
      if (changed) this.#map?.forget();
      return;
    }
    this.#isMapDirty = this.#map?.draw(pen, view, now, changed || this.#isMapDirty) === false;
    if (this.#isMapDirty) this.#later(mapMs);
  }

  #loadMap(): void {
    if (this.#isMapLoading) return;
    this.#isMapLoading = true;
    // A failed load leaves the flow usable without a map; the next frame that needs the map tries again.
    void import("./later.js").then(({ MapLayer }) => void (this.#map = new MapLayer()), () => undefined).then(() => {
      this.#isMapLoading = false;
      if (this.#map !== null) this.#redraw(MAP);
    });
  }

  /** Starts the timer of the stripes and the map, if it does not run. It runs only while one of them needs it. */
  #later(ms: number): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#wake();
    }, ms);
  }

  #wake(): void {
    if (!this.#running || document.visibilityState !== "visible") return;
    if (this.#isMapDirty) this.#redraw(MAP);
    const view = this.view();
    if (view === null || this.#calm) return;
    const seen = stripedIn(view, this.text);
    if (seen === null) return;
    this.#phase = (this.#phase + 1) % stripePeriod;
    this.#pens?.nodes.phase(this.#phase);
    for (const i of seen.nodes) this.#dirtyNodes.add(i);
    for (const r of seen.regions) this.#dirtyRegions.add(r);
    this.#redraw(0);
    this.#later(seen.paceMs);
  }

  #scheduleStripes(view: View): void {
    if (this.#calm || document.visibilityState !== "visible") return;
    const seen = stripedIn(view, this.text);
    if (seen !== null) this.#later(seen.paceMs);
  }

  redrawAll(): void {
    this.#redraw(EVERYTHING);
  }
}
