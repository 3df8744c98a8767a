import { between, leashed, type Camera, type Size } from "./camera.js";
import { levelAt, type Level } from "./lod.js";
import { fromMinimap, minimapSize, paintMap, paintMapFrame, worthAMap } from "./minimap.js";
import { eased, Motion } from "./motion.js";
import { paintOverlay, type Pointed } from "./overlay.js";
import { paintEdges, paintEmphasis } from "./paint-edges.js";
import { nodeBox, paintNodes } from "./paint-nodes.js";
import { paintFrames, paintRegion, planTitle, regionFace } from "./paint-regions.js";
import { canvasPen, stripePeriod, type CanvasPen } from "./pen.js";
import { WORKING, type Scene } from "./scene.js";
import { TextFitter } from "./text.js";
import type { Theme } from "./theme.js";
import { isTile, visibleNodes, visibleRegions, type Emphasis, type View } from "./view.js";

/** The canvases of the element, lowest first, and the map's. */
export interface Layers {
  /** Frames and edges: drawn anew when the view or the topology changes. */
  readonly ground: HTMLCanvasElement;
  /** Nodes, tiles and titles: redrawn in part when a status changes. */
  readonly nodes: HTMLCanvasElement;
  /** Rings and the tip. */
  readonly overlay: HTMLCanvasElement;
  readonly map: HTMLCanvasElement;
}

export interface RendererHooks {
  /** After a frame in which the view was another one. */
  viewChanged(): void;
  /** After the first frame that showed a scene. */
  painted(): void;
}

const GROUND = 1, NODES = 2, OVERLAY = 4, MAP = 8, MAP_FRAME = 16;
const EVERYTHING = GROUND | NODES | OVERLAY | MAP | MAP_FRAME;

/** Milliseconds: of a move, between redraws of the map, and between steps of the stripes when few are seen. */
const moveMs = 420, mapMs = 250, stripeMs = 80;

const nothing: Pointed = { selected: -1, hovered: -1, selectedFrame: undefined, hoveredFrame: undefined, focused: false };

/**
 * Draws a scene on stacked canvases, only when something asks for it and only the layers that changed. Between `start` and `stop` it may
 * hold one animation frame and one timer; after `stop` it holds nothing.
 */
export class Renderer {
  readonly #layers: Layers;
  readonly #hooks: RendererHooks;
  readonly text: TextFitter;
  #pens: { ground: CanvasPen; nodes: CanvasPen; overlay: CanvasPen; map: CanvasPen } | null = null;
  #mapImage: HTMLCanvasElement | null = null;
  #mapAt = 0;
  #mapStale = false;
  #family = "sans-serif";
  #theme: Theme;
  #scene: Scene | null = null;
  #camera: Camera = { x: 0, y: 0, k: 1 };
  #level: Level = "card";
  #size: Size = { width: 0, height: 0 };
  #dpr = 1;
  #emphasis: Emphasis | null = null;
  #pointed: Pointed = nothing;
  #calm = false;
  #mapWanted = true;
  #running = false;
  #frame = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #stale = EVERYTHING;
  readonly #staleNodes = new Set<number>();
  readonly #staleRegions = new Set<number>();
  #flight: { from: Camera; to: Camera; start: number; ms: number } | null = null;
  #motion: { motion: Motion; start: number } | null = null;
  #phase = 0;
  #shown = false;
  #overlaid = false;
  #viewDirty = false;

  constructor(layers: Layers, theme: Theme, hooks: RendererHooks) {
    this.#layers = layers;
    this.#theme = theme;
    this.#hooks = hooks;
    const probe = document.createElement("canvas").getContext("2d");
    this.text = new TextFitter((char, weight) => {
      if (probe === null) return 0.6;
      probe.font = `${weight} 100px ${this.#family}`;
      return probe.measureText(char).width / 100;
    });
  }

  get scene(): Scene | null { return this.#scene; }
  get emphasis(): Emphasis | null { return this.#emphasis; }
  get camera(): Camera { return this.#camera; }
  /** Where a flight under way ends, else the camera. */
  get goal(): Camera { return this.#flight?.to ?? this.#camera; }
  get size(): Size { return this.#size; }
  get level(): Level { return this.#level; }
  get theme(): Theme { return this.#theme; }
  get family(): string { return this.#family; }

  start(): void {
    this.#running = true;
    this.#redraw(EVERYTHING);
  }

  /** Ends everything under way: moves jump to their ends. */
  stop(): void {
    this.#running = false;
    cancelAnimationFrame(this.#frame);
    clearTimeout(this.#timer);
    this.#frame = 0;
    this.#timer = undefined;
    this.#land();
  }

  #land(): void {
    if (this.#flight !== null) this.#camera = this.#flight.to;
    this.#flight = null;
    this.#motion?.motion.at(1);
    this.#motion = null;
  }

  /** Sets size in CSS pixels and device pixel ratio. */
  resize(size: Size, dpr: number): void {
    if (size.width === this.#size.width && size.height === this.#size.height && dpr === this.#dpr && this.#pens !== null) return;
    this.#size = size;
    this.#dpr = dpr;
    const fit = (canvas: HTMLCanvasElement, s: Size): void => {
      canvas.width = Math.max(1, Math.round(s.width * dpr));
      canvas.height = Math.max(1, Math.round(s.height * dpr));
      // Exactly as large as its pixels: scaled by a hair, text would blur.
      canvas.style.width = `${canvas.width / dpr}px`;
      canvas.style.height = `${canvas.height / dpr}px`;
    };
    for (const canvas of [this.#layers.ground, this.#layers.nodes, this.#layers.overlay]) fit(canvas, size);
    fit(this.#layers.map, minimapSize);
    this.#mapImage = null;
    this.#makePens();
  }

  setTheme(theme: Theme, family: string): void {
    if (theme === this.#theme && family === this.#family && this.#pens !== null) return;
    this.#theme = theme;
    if (family !== this.#family) this.text.clear();
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
    const pen = (canvas: HTMLCanvasElement): CanvasPen | null => {
      const c = canvas.getContext("2d");
      if (c === null) return null;
      c.setTransform(this.#dpr, 0, 0, this.#dpr, 0, 0);
      return canvasPen(c, { dpr: this.#dpr, theme: this.#theme, text: this.text, family: this.#family });
    };
    const { ground, nodes, overlay, map } = this.#layers;
    const pens = [pen(ground), pen(nodes), pen(overlay), pen(map)];
    const [g, n, o, m] = pens;
    this.#pens = g && n && o && m ? { ground: g, nodes: n, overlay: o, map: m } : null;
    this.#redraw(EVERYTHING);
  }

  /** Shows another scene; what has another place than before moves there. */
  setScene(scene: Scene | null): void {
    const previous = this.#scene;
    this.#motion?.motion.at(1);
    this.#motion = null;
    this.#scene = scene;
    this.#emphasis = null;
    this.#pointed = nothing;
    this.#staleNodes.clear();
    this.#staleRegions.clear();
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

  /** A node looks different: it and the face of its region are drawn anew. */
  touch(i: number): void {
    const scene = this.#scene;
    if (scene === null) return;
    this.#staleNodes.add(i);
    const r = scene.region[i]!;
    if (r >= 0) this.#staleRegions.add(r);
    this.#redraw(0);
    if (i === this.#pointed.hovered || i === this.#pointed.selected) this.#redraw(OVERLAY);
    if (this.#mapWanted) this.#redraw(MAP);
  }

  /** Something else is said of a region. Its frame is drawn anew when that is in another tone. */
  note(region: number, tone: boolean): void {
    this.#staleRegions.add(region);
    this.#redraw(tone ? GROUND : 0);
  }

  /** Writes the captions anew that count time, of what is on screen. */
  tick(now: number): void {
    const view = this.view();
    if (view === null || !this.#running) return;
    const { selected, hovered } = this.#pointed;
    for (const i of [selected, hovered]) if (i >= 0 && view.scene.retime(i, now)) this.#redraw(OVERLAY);
    if (view.level !== "card") return;
    for (const i of visibleNodes(view)) if (view.scene.retime(i, now)) this.#staleNodes.add(i);
    if (this.#staleNodes.size > 0) this.#redraw(0);
  }

  /** Goes to a view, at once or in a short flight. */
  setCamera(camera: Camera, animate = false): void {
    const goal = this.#leash(camera);
    if (animate && !this.#calm && this.#running && this.#size.width > 0) {
      this.#flight = { from: this.#camera, to: goal, start: performance.now(), ms: 260 };
      this.#redraw(0);
      return;
    }
    this.#flight = null;
    if (goal.x === this.#camera.x && goal.y === this.#camera.y && goal.k === this.#camera.k) return;
    this.#camera = goal;
    this.#viewMoved();
  }

  #leash(camera: Camera): Camera {
    const bounds = this.#scene?.bounds;
    return bounds === undefined || this.#size.width === 0 ? camera : leashed(camera, bounds, this.#size);
  }

  #viewMoved(): void {
    this.#viewDirty = true;
    this.#redraw(GROUND | NODES | OVERLAY | MAP_FRAME);
  }

  view(): View | null {
    const scene = this.#scene;
    if (scene === null || this.#size.width === 0 || this.#size.height === 0) return null;
    this.#level = levelAt(this.#camera.k, this.#level);
    return { scene, camera: this.#camera, size: this.#size, level: this.#level, emphasis: this.#emphasis, moving: this.#motion !== null };
  }

  /** The view that a press on the map asks for. */
  fromMap(x: number, y: number): Camera | null {
    if (this.#scene === null) return null;
    const p = fromMinimap(this.#scene.bounds, x, y);
    const { k } = this.#camera;
    return { x: p.x - this.#size.width / 2 / k, y: p.y - this.#size.height / 2 / k, k };
  }

  #redraw(what: number): void {
    this.#stale |= what;
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
      this.#stale = 0;
      return;
    }
    const stale = this.#stale;
    this.#stale = 0;
    if ((stale & GROUND) !== 0) this.#drawGround(pens.ground, view);
    if ((stale & NODES) !== 0) this.#drawNodes(pens.nodes, view);
    else this.#drawStale(pens.nodes, view);
    this.#staleNodes.clear();
    this.#staleRegions.clear();
    if ((stale & OVERLAY) !== 0) this.#drawOverlay(pens.overlay, view);
    if ((stale & (MAP | MAP_FRAME)) !== 0) this.#drawMap(pens.map, view, now, (stale & MAP) !== 0);
    if ((stale & (GROUND | NODES)) !== 0) this.#seeStripes(view);
    if (this.#flight !== null || this.#motion !== null) this.#redraw(0);
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
    const flight = this.#flight;
    if (flight !== null) {
      const t = (now - flight.start) / flight.ms;
      this.#camera = between(flight.from, flight.to, eased(Math.max(0, Math.min(1, t))), this.#size);
      if (t >= 1) this.#flight = null;
      this.#viewMoved();
    }
    const motion = this.#motion;
    if (motion !== null) {
      const t = (now - motion.start) / motion.motion.duration;
      motion.motion.at(t);
      if (t >= 1) this.#motion = null;
      this.#stale |= GROUND | NODES | OVERLAY;
    }
  }

  #clear(pen: CanvasPen): void {
    pen.c.clearRect(0, 0, this.#size.width, this.#size.height);
  }

  /** An overlay with nothing on it is left alone: touching a canvas costs a copy of all of it. */
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

  /** Only the nodes and region faces that changed. Boxes are whole device pixels and never overlap, so clearing one harms none. */
  #drawStale(pen: CanvasPen, view: View): void {
    const { scene, size, camera } = view;
    const nodes: number[] = [];
    for (const i of this.#staleNodes) {
      if (i >= scene.count) continue;
      const r = scene.regions[scene.region[i]!];
      if (r !== undefined && isTile(r, camera.k)) continue;
      const b = nodeBox(view, pen.dpr, i);
      if (b.x > size.width || b.y > size.height || b.x + b.w < 0 || b.y + b.h < 0) continue;
      pen.c.clearRect(b.x, b.y, b.w, b.h);
      nodes.push(i);
    }
    paintNodes(pen, view, nodes);
    for (const r of this.#staleRegions) {
      const region = scene.regions[r];
      if (region === undefined) continue;
      const face = regionFace(view, region, this.text, pen.dpr);
      if (face === undefined || face.x > size.width || face.y > size.height || face.x + face.w < 0 || face.y + face.h < 0) continue;
      pen.c.clearRect(face.x, face.y, face.w, face.h);
      paintRegion(pen, view, region);
    }
  }

  #drawMap(pen: CanvasPen, view: View, now: number, contents: boolean): void {
    const { map } = this.#layers;
    map.hidden = !this.#mapWanted || view.scene.count === 0 || !worthAMap(view.scene.bounds, view.camera, view.size);
    if (contents && this.#mapImage !== null && now - this.#mapAt < mapMs) {
      this.#mapStale = true;
      this.#later(mapMs);
    } else if (contents || this.#mapImage === null) {
      this.#mapImage = null;
      this.#mapStale = false;
    }
    if (map.hidden) return;
    if (this.#mapImage === null) {
      this.#mapImage = document.createElement("canvas");
      this.#mapImage.width = map.width;
      this.#mapImage.height = map.height;
      const c = this.#mapImage.getContext("2d");
      if (c === null) return;
      c.setTransform(pen.dpr, 0, 0, pen.dpr, 0, 0);
      paintMap(canvasPen(c, pen), view.scene);
      this.#mapAt = now;
    }
    pen.c.clearRect(0, 0, minimapSize.width, minimapSize.height);
    pen.c.drawImage(this.#mapImage, 0, 0, minimapSize.width, minimapSize.height);
    paintMapFrame(pen, view.scene, view.camera, view.size);
  }

  /** Runs the timer of the stripes and the map; it is only alive while one of them needs it. */
  #later(ms: number): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#wake();
    }, ms);
  }

  #wake(): void {
    if (!this.#running || document.visibilityState !== "visible") return;
    if (this.#mapStale) this.#redraw(MAP);
    const view = this.view();
    if (view === null || this.#calm) return;
    const seen = this.#stripes(view);
    if (seen.nodes.length + seen.regions.length === 0) return;
    this.#phase = (this.#phase + 1) % stripePeriod;
    this.#pens?.nodes.phase(this.#phase);
    for (const i of seen.nodes) this.#staleNodes.add(i);
    for (const r of seen.regions) this.#staleRegions.add(r);
    this.#redraw(0);
    this.#later(this.#stripePace(seen.nodes.length + seen.regions.length));
  }

  /** The more there is to move, the slower it goes, so that stripes stay cheap. */
  #stripePace(count: number): number {
    return stripeMs + count;
  }

  #stripes(view: View): { nodes: number[]; regions: number[] } {
    const { scene, camera } = view;
    const nodes = visibleNodes(view).filter((i) => scene.state[i] === WORKING);
    const regions: number[] = [];
    const index = new Map(scene.regions.map((r, i) => [r, i]));
    for (const region of visibleRegions(view)) {
      if (region.counts[WORKING]! === 0) continue;
      if (isTile(region, camera.k) || planTitle(view, region, this.text) !== undefined) regions.push(index.get(region)!);
    }
    return { nodes, regions };
  }

  #seeStripes(view: View): void {
    if (this.#calm || document.visibilityState !== "visible") return;
    const seen = this.#stripes(view);
    const count = seen.nodes.length + seen.regions.length;
    if (count > 0) this.#later(this.#stripePace(count));
  }

  /** To be called when the page is shown again: the stripes go on. */
  resume(): void {
    this.#redraw(EVERYTHING);
  }
}
