import {
  createLayoutClient, type FlowState,
} from "@openova/flow-core";
import { fitted, noPadding, opened, panned, revealed, zoomedAt, type Camera, type Padding } from "./camera.js";
import { emphasise, matches, type Filter, type Highlight } from "./emphasis.js";
import type { highlightOf } from "./highlight.js";
import type { ExportOptions, ExportSource } from "./export.js";
import type { FlowCanvasEvents, SelectKind, ViewDetail } from "./events.js";
import type { Follower } from "./follow.js";
import { listen } from "./gestures.js";
import { hitAt, type Hit } from "./hit.js";
import { keyAction, type KeyTarget } from "./keys.js";
import { compactScale, nodeScale } from "./lod.js";
import { Model } from "./model.js";
import { nearest, step, type Direction } from "./navigate.js";
import { Renderer } from "./renderer.js";
import { EXTERNAL, MISSING, WORKING, type Scene } from "./scene.js";
import { buildShell, type Shell } from "./shell.js";
import { dark, light, type Theme } from "./theme.js";
import { layoutWorker } from "./worker.js";

interface Target {
  readonly id: string;
  readonly kind: SelectKind;
}

/** Least time between two looks at what stands out while statuses change. */
const emphasisMs = 200;
const zoomStep = 1.3;
/** Scale from which a node that is zoomed to can be read. */
const readable = 0.8;

/**
 * `<openova-flow>`: a flow, drawn live. Give it a state with `setState`, or `src` and `flow` and it connects by itself. It takes the size
 * that the page gives it. Everything it holds (worker, connection, timers, listeners) ends when it leaves the document and starts again
 * when it comes back.
 */
export class OpenovaFlowElement extends HTMLElement {
  static readonly observedAttributes = ["src", "flow", "theme", "selected", "region", "minimap"];

  readonly #shell: Shell;
  readonly #renderer: Renderer;
  readonly #model: Model;
  readonly #internals: ElementInternals;
  #alive: AbortController | null = null;
  #ticker: ReturnType<typeof setInterval> | undefined;
  #follower: Follower | null = null;
  /** Grows with each connection of its own that is begun or given up. */
  #attempt = 0;
  #clock: () => number = Date.now;
  #pending: { state: FlowState; changed: Set<string> | null } | null = null;
  #applyFrame = 0;
  #appliedAt = -Infinity;
  #padding: Padding = noPadding;
  #touched = false;
  /** Somebody asked for the whole flow. */
  #wholeAsked = false;
  #selected: string | null = null;
  #hovered: Hit | null = null;
  #highlight: Highlight | null | undefined;
  /** Makes the highlight of a selected node. Loaded with the first selection: a flow is first shown without any. */
  #suggest: typeof highlightOf | null = null;
  #isLoading = false;
  #filter: Filter | null = null;
  #wanted: { id: string; animate: boolean } | null = null;
  #injected = false;
  #emphasisOld = false;
  #emphasisedAt = -Infinity;
  #waiters: (() => void)[] = [];

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    this.#shell = buildShell(root);
    this.#internals = this.attachInternals();
    this.#internals.role = "application";
    this.#internals.ariaRoleDescription = "flow graph";
    this.#internals.ariaLabel = "Deployment flow. Arrow keys move between releases.";
    this.#renderer = new Renderer(this.#shell.layers, light, {
      viewChanged: () => this.#emit("viewchange", { ...this.#renderer.camera, level: this.#renderer.level }),
      painted: () => this.#emit("painted", null),
    });
    this.#model = new Model({
      now: () => this.#now(),
      layoutClient: () => createLayoutClient(layoutWorker(), { aspect: this.#aspect() }),
      scene: (scene) => this.#show(scene),
      touched: (i) => {
        this.#renderer.touch(i);
        this.#emphasisOld = true;
      },
      noted: (region, tone) => this.#renderer.note(region, tone),
    });
  }

  // ---- life

  connectedCallback(): void {
    if (this.#alive !== null) return;
    this.#adopt();
    const alive = (this.#alive = new AbortController());
    const { signal } = alive;
    if (!this.hasAttribute("tabindex")) this.tabIndex = 0;
    this.#listen(signal);
    const sizes = new ResizeObserver(() => this.#measure());
    sizes.observe(this);
    signal.addEventListener("abort", () => sizes.disconnect());
    const scheme = matchMedia("(prefers-color-scheme: dark)"), motion = matchMedia("(prefers-reduced-motion: reduce)");
    scheme.addEventListener("change", () => this.#dress(), { signal });
    motion.addEventListener("change", () => this.#renderer.setCalm(motion.matches), { signal });
    this.#renderer.setCalm(motion.matches);
    this.#watchRatio(signal);
    this.#dress();
    this.#renderer.start();
    this.#measure();
    this.#ticker = setInterval(() => this.#tick(), 1000);
    this.#connect();
    this.#schedule();
  }

  /** Takes over properties that were set before this class was known to the page. */
  #adopt(): void {
    for (const name of ["clock", "padding", "selected", "state", "view"] as const) {
      if (!Object.hasOwn(this, name)) continue;
      const value: unknown = this[name];
      delete (this as Record<string, unknown>)[name];
      Object.assign(this, { [name]: value });
    }
  }

  disconnectedCallback(): void {
    if (this.isConnected) return;
    this.#alive?.abort();
    this.#alive = null;
    clearInterval(this.#ticker);
    cancelAnimationFrame(this.#applyFrame);
    this.#applyFrame = 0;
    this.#renderer.stop();
    this.#disconnect();
    // A layout under way ends with the worker: what it was for is applied again when the element comes back.
    if (this.#pending === null && this.#model.state !== null) this.#pending = { state: this.#model.state, changed: null };
    this.#model.close();
  }

  attributeChangedCallback(name: string, before: string | null, value: string | null): void {
    if (before === value) return;
    if (name === "theme") this.#dress();
    else if (name === "minimap") this.#renderer.setMap(value !== "off");
    else if (name === "selected") this.select(value);
    else if (name === "region") {
      if (value !== null) this.zoomTo(value);
    } else if (this.#alive !== null) this.#connect();
  }

  #listen(signal: AbortSignal): void {
    const { stage, layers, buttons } = this.#shell;
    listen(stage, {
      panBy: (dx, dy) => this.panBy(dx, dy),
      zoomBy: (factor, x, y) => this.#zoomBy(factor, x, y, false),
      hover: (at) => this.#hover(at),
      press: (x, y) => this.#press(x, y),
      doublePress: (x, y) => this.#doublePress(x, y),
      dragging: (on) => stage.toggleAttribute("data-drag", on),
    }, signal);
    buttons.zoomIn.addEventListener("click", () => this.zoomIn(), { signal });
    buttons.zoomOut.addEventListener("click", () => this.zoomOut(), { signal });
    buttons.fit.addEventListener("click", () => this.fit(), { signal });
    this.addEventListener("keydown", (e) => this.#key(e), { signal });
    for (const type of ["focus", "blur"]) this.addEventListener(type, () => this.#point(), { signal });
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState !== "visible") return;
      this.#renderer.resume();
      this.#schedule();
    }, { signal });
    const jump = (e: PointerEvent): void => {
      const r = layers.map.getBoundingClientRect();
      const camera = this.#renderer.fromMap(e.clientX - r.left, e.clientY - r.top);
      if (camera === null) return;
      this.#touched = true;
      this.#renderer.setCamera(camera);
    };
    layers.map.addEventListener("pointerdown", (e) => {
      layers.map.setPointerCapture(e.pointerId);
      jump(e);
    }, { signal });
    layers.map.addEventListener("pointermove", (e) => {
      if (layers.map.hasPointerCapture(e.pointerId)) jump(e);
    }, { signal });
  }

  /** Watches the device pixel ratio: there is no event for it but a media query for the present one. */
  #watchRatio(signal: AbortSignal): void {
    matchMedia(`(resolution: ${devicePixelRatio}dppx)`).addEventListener("change", () => {
      this.#measure();
      this.#watchRatio(signal);
    }, { once: true, signal });
  }

  #measure(): void {
    const before = this.#renderer.size;
    const size = { width: this.clientWidth, height: this.clientHeight };
    this.#renderer.resize(size, devicePixelRatio || 1);
    if (size.width === 0 || size.height === 0) return;
    if (!this.#touched || before.width === 0) this.#fitNow(false);
    else {
      const c = this.#renderer.goal;
      this.#renderer.setCamera(panned(c, (before.width - size.width) / 2, (before.height - size.height) / 2));
    }
    this.#zoomToWanted();
  }

  #dress(): void {
    const choice = this.getAttribute("theme");
    const theme: Theme = choice === "dark" || (choice !== "light" && matchMedia("(prefers-color-scheme: dark)").matches) ? dark : light;
    this.#shell.set({
      "color-scheme": theme.name, "--_background": theme.background, "--_surface": theme.surface, "--_border": theme.laneBorder,
      "--_text": theme.text, "--_focus": theme.focus, "--_hover": theme.track,
    });
    this.#renderer.setTheme(theme, getComputedStyle(this).fontFamily || "sans-serif");
  }

  /** The shape that layout aims at. Rows of regions of unequal height leave gaps, so it comes out narrower than what it is told. */
  #aspect(): number {
    const { width, height } = this.#renderer.size;
    return height === 0 ? 2.3 : Math.min(3, Math.max(0.6, (1.4 * width) / height));
  }

  // ---- what is shown

  /**
   * Shows a state. Cheap to call at any rate: only the newest is drawn, once a frame. `changed` are the ids of the nodes that differ from the
   * state given before; without it all are compared.
   */
  setState(state: FlowState, changed?: Iterable<string>): void {
    this.#injected = true;
    this.#disconnect();
    this.#feed(state, changed);
  }

  get state(): FlowState | null { return this.#pending?.state ?? this.#model.state; }
  set state(state: FlowState | null) {
    if (state !== null) this.setState(state);
  }

  /** The time that durations are counted to, in Unix milliseconds; `Date.now` unless set. For time travel. */
  get clock(): () => number { return this.#clock; }
  set clock(clock: () => number) {
    this.#clock = clock;
    this.#tick();
  }

  #now(): number {
    return this.#follower !== null && this.#clock === Date.now ? this.#follower.now() : this.#clock();
  }

  #feed(state: FlowState, changed?: Iterable<string>): void {
    const before = this.#pending;
    const known = changed !== undefined && before?.changed !== null;
    const ids = known ? new Set([...(before?.changed ?? []), ...changed]) : null;
    this.#pending = { state, changed: ids };
    this.#schedule();
  }

  #schedule(): void {
    if (this.#applyFrame !== 0 || this.#pending === null || this.#alive === null) return;
    this.#applyFrame = requestAnimationFrame((t) => {
      this.#applyFrame = 0;
      const pending = this.#pending;
      if (pending === null) return;
      // Comparing all of a large flow in every frame would cost more than drawing what changed.
      const pause = pending.changed === null && pending.state.nodes.size > 2000 ? 48 : 0;
      if (t - this.#appliedAt < pause) {
        this.#schedule();
        return;
      }
      this.#appliedAt = t;
      this.#pending = null;
      void this.#model.apply(pending.state, pending.changed ?? undefined).then(() => this.#settle());
      this.#refreshEmphasis(t);
    });
  }

  /** Resolves once the newest state has been laid out and handed to the renderer. */
  settled(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiters.push(resolve);
      if (this.#pending === null && this.#applyFrame === 0) this.#settle();
    });
  }

  #settle(): void {
    if (this.#pending !== null || this.#model.busy || this.#isLoading) return;
    for (const done of this.#waiters.splice(0)) done();
  }

  #show(scene: Scene): void {
    const before = this.#renderer.scene;
    this.#renderer.setScene(scene);
    this.#hovered = null;
    // A view that was set before there was anything to see is kept, within reach of the flow.
    if (before === null && this.#touched) this.#renderer.setCamera(this.#renderer.goal);
    else if (before === null || before.count === 0 || before.graph.flowId !== scene.graph.flowId) this.#fitNow(false);
    else if (!this.#touched) this.#keepInView(scene);
    this.#emphasise();
    this.#point();
    this.#zoomToWanted();
  }

  /** While nobody has moved the view, a flow that outgrows it is fitted again. */
  #keepInView(scene: Scene): void {
    const { goal, size } = this.#renderer;
    const b = scene.bounds;
    const fits = b.x >= goal.x - 1 && b.y >= goal.y - 1 && b.x + b.w <= goal.x + size.width / goal.k + 1 && b.y + b.h <= goal.y + size.height / goal.k + 1;
    if (!fits) this.#fitNow(true);
  }

  #tick(): void {
    if (this.#alive === null || document.visibilityState !== "visible") return;
    this.#follower?.tick();
    this.#model.tick();
    this.#refreshEmphasis(performance.now());
    this.#renderer.tick(this.#now());
  }

  // ---- connection of its own

  #connect(): void {
    this.#disconnect();
    const url = this.getAttribute("src"), flowId = this.getAttribute("flow");
    if (url === null || flowId === null || flowId === "" || this.#injected) return;
    const attempt = this.#attempt;
    // A page that feeds the element itself needs none of this.
    void import("./follow.js").then(({ follow }) => {
      if (attempt !== this.#attempt) return;
      this.#follower = follow(new URL(url, document.baseURI).href, flowId, {
        state: (state) => this.#feed(state),
        connection: (state) => this.#emit("connection", state),
      });
    });
  }

  #disconnect(): void {
    this.#attempt++;
    this.#follower?.close();
    this.#follower = null;
  }

  // ---- selection

  get selected(): string | null { return this.#selected; }
  set selected(id: string | null) { this.select(id); }

  /** Selects a node, region or group by id; null for none. Fires no event. */
  select(id: string | null): void {
    if (id === this.#selected) return;
    this.#selected = id;
    if (id === null) this.removeAttribute("selected");
    else if (this.getAttribute("selected") !== id) this.setAttribute("selected", id);
    this.#highlight = undefined;
    void this.#model.ask(id).then(() => this.#settle());
    if (id !== null && this.#suggest === null && !this.#isLoading) this.#loadSuggest();
    this.#emphasise();
    this.#point();
  }

  #loadSuggest(): void {
    this.#isLoading = true;
    // Without it the selection is shown all the same, and the next one tries again.
    void import("./highlight.js").then((m) => void (this.#suggest = m.highlightOf), () => undefined).then(() => {
      this.#isLoading = false;
      this.#emphasise();
      this.#settle();
    });
  }

  /** Dims what a predicate refuses, or what is not among the ids; null shows all. */
  setFilter(filter: Filter | null): void {
    this.#filter = filter === null || typeof filter === "function" ? filter : new Set(filter);
    this.#emphasise();
  }

  /** Draws this in place of what the selection suggests; null draws no path, undefined goes back to the suggestion. */
  setHighlight(highlight: Highlight | null | undefined): void {
    this.#highlight = highlight;
    this.#emphasise();
  }

  #index(id: string | null): number {
    return id === null ? -1 : (this.#renderer.scene?.index.get(id) ?? -1);
  }

  /** What blocks the selected node, and what a filter lets through, change with the statuses: now and then that is enough. */
  #refreshEmphasis(now: number): void {
    if (!this.#emphasisOld || now - this.#emphasisedAt < emphasisMs) return;
    if (this.#renderer.emphasis !== null || this.#selected !== null || this.#filter !== null) this.#emphasise();
    this.#emphasisOld = false;
    this.#emphasisedAt = now;
  }

  #emphasise(): void {
    const scene = this.#renderer.scene;
    if (scene === null) return;
    const i = this.#index(this.#selected);
    const graph = this.#model.graph;
    let highlight: Highlight | null = this.#highlight ?? null;
    if (this.#highlight === undefined && this.#suggest !== null && i >= 0 && graph !== null && graph.nodes.has(scene.ids[i]!)) highlight = this.#suggest(graph, scene.ids[i]!, this.#now());
    this.#renderer.setEmphasis(emphasise(scene, i, highlight, this.#filter === null ? null : matches(scene, this.#filter)));
  }

  #point(): void {
    const scene = this.#renderer.scene;
    if (scene === null) return;
    const selected = this.#index(this.#selected);
    const hit = this.#hovered;
    this.#renderer.setPointed({
      selected,
      hovered: hit !== null && "index" in hit ? hit.index : -1,
      selectedFrame: selected < 0 && this.#selected !== null ? scene.regionRect(this.#selected) : undefined,
      hoveredFrame: hit?.kind === "tile" ? hit.region : undefined,
      focused: this.matches(":focus-visible"),
    });
  }

  #target(hit: Hit | null): Target | null {
    const scene = this.#renderer.scene;
    if (hit === null || scene === null) return null;
    if ("index" in hit) return { id: scene.ids[hit.index]!, kind: hit.kind };
    return "group" in hit ? { id: hit.group.id, kind: "group" } : { id: hit.region.containerId ?? hit.region.name, kind: "region" };
  }

  #hit(x: number, y: number): Hit | null {
    const view = this.#renderer.view();
    return view === null ? null : hitAt(view, x, y);
  }

  #hover(at: { x: number; y: number } | null): void {
    const before = this.#target(this.#hovered);
    this.#hovered = at === null ? null : this.#hit(at.x, at.y);
    const now = this.#target(this.#hovered);
    if (before?.id === now?.id) return;
    this.#shell.stage.toggleAttribute("data-over", now !== null);
    this.#point();
    this.#emit("hover", { id: now?.id ?? null, kind: now?.kind ?? null });
  }

  /** As a person selects: with the event. */
  #choose(target: Target | null): void {
    if (target?.id !== this.#selected) this.select(target?.id ?? null);
    this.#emit("select", { id: target?.id ?? null, kind: target?.kind ?? null });
  }

  #press(x: number, y: number): void {
    this.focus({ preventScroll: true });
    const hit = this.#hit(x, y);
    this.#choose(this.#target(hit));
    if (hit?.kind === "external") this.#openFlow(hit.index);
    if (hit?.kind === "tile") this.zoomTo(hit.region.name);
  }

  #doublePress(x: number, y: number): void {
    const hit = this.#hit(x, y);
    const target = this.#target(hit);
    if (target === null) this.#zoomBy(zoomStep * zoomStep, x, y, true);
    else if (hit !== null && "index" in hit) this.#open(target);
    else this.zoomTo(target.id);
  }

  #open(target: Target): void {
    const i = this.#index(target.id);
    if (target.kind === "external" && i >= 0) this.#openFlow(i);
    else this.#emit("open", { ...target });
  }

  #openFlow(i: number): void {
    const scene = this.#renderer.scene;
    const ghost = scene?.ghosts.get(scene.ids[i] ?? "");
    if (ghost !== undefined) this.#emit("open-flow", { flowId: ghost.flowId, nodeId: ghost.nodeId });
  }

  // ---- keyboard

  #key(e: KeyboardEvent): void {
    const target: KeyTarget = {
      step: (direction) => this.#step(direction),
      panBy: (dx, dy) => this.panBy(dx, dy),
      zoomIn: () => this.zoomIn(),
      zoomOut: () => this.zoomOut(),
      fit: () => this.fit(),
      open: () => this.#enter(),
      clear: () => {
        if (this.#selected !== null) this.#choose(null);
      },
    };
    if (e.composedPath()[0] === this && keyAction(e, target)) e.preventDefault();
  }

  #step(direction: Direction): void {
    const scene = this.#renderer.scene;
    const view = this.#renderer.view();
    if (scene === null || view === null || scene.count === 0) return;
    if (this.#renderer.level === "tile" && scene.regions.length > 1 && this.#index(this.#selected) < 0) {
      this.#stepRegion(scene, direction);
      return;
    }
    const next = step(scene, scene.edges, this.#index(this.#selected), direction);
    if (next < 0) return;
    const s = scene.state[next]!;
    this.#choose({ id: scene.ids[next]!, kind: s === MISSING ? "missing" : s === EXTERNAL ? "external" : "node" });
    this.#say(scene.description(next));
    this.#reveal({ x: scene.x[next]!, y: scene.y[next]!, w: scene.w[next]!, h: scene.h[next]! });
  }

  #stepRegion(scene: Scene, direction: Direction): void {
    const { regions } = scene;
    const boxes = { count: regions.length, x: regions.map((r) => r.x), y: regions.map((r) => r.y), w: regions.map((r) => r.w), h: regions.map((r) => r.h) };
    const at = regions.findIndex((r) => this.#selected !== null && (r.name === this.#selected || r.containerId === this.#selected));
    const region = regions[nearest(boxes, at, direction)];
    if (region === undefined) return;
    this.#choose({ id: region.containerId ?? region.name, kind: "region" });
    this.#say(`${region.label}, ${[region.note.text, `${region.counts[scene.readyIndex]!} of ${region.total} ready`].filter((t) => t !== "").join(", ")}`);
    this.#reveal(region);
  }

  #reveal(r: { x: number; y: number; w: number; h: number }): void {
    const room = { top: this.#padding.top + 24, right: this.#padding.right + 24, bottom: this.#padding.bottom + 24, left: this.#padding.left + 24 };
    const { goal, size } = this.#renderer;
    const camera = revealed(goal, r, size, room);
    if (camera.x === goal.x && camera.y === goal.y) return;
    this.#touched = true;
    this.#renderer.setCamera(camera, true);
  }

  #enter(): void {
    const id = this.#selected;
    const scene = this.#renderer.scene;
    if (id === null || scene === null) return;
    const i = this.#index(id);
    if (i >= 0) {
      const s = scene.state[i]!;
      this.#open({ id, kind: s === MISSING ? "missing" : s === EXTERNAL ? "external" : "node" });
    } else this.zoomTo(id);
  }

  #say(text: string): void {
    this.#shell.said.textContent = text;
  }

  // ---- view

  /** Pixels that the page's own panels cover on each side; fitting and zooming mind them. */
  get padding(): Padding { return this.#padding; }
  set padding(padding: Partial<Padding>) {
    this.#padding = { ...noPadding, ...padding };
    const { left, right, bottom } = this.#padding;
    this.#shell.set({ "--_left": `${left}px`, "--_right": `${right}px`, "--_bottom": `${bottom}px` });
    if (!this.#touched) this.#fitNow(false);
  }

  /** Shows the whole flow between the paddings, and goes on doing so until somebody moves the view. */
  fit(padding?: Partial<Padding>, options: { readonly animate?: boolean } = {}): void {
    if (padding !== undefined) this.padding = { ...this.#padding, ...padding };
    this.#touched = false;
    this.#wholeAsked = true;
    this.#fitNow(options.animate ?? true);
  }

  #fitNow(animate: boolean): void {
    const scene = this.#renderer.scene;
    if (scene === null || this.#renderer.size.width === 0) return;
    const { size } = this.#renderer;
    const whole = fitted(scene.bounds, size, this.#roomy(16));
    this.#renderer.setCamera((this.#wholeAsked ? undefined : this.#opened(scene, whole.k)) ?? whole, animate);
  }

  /** Where a flow opens that as a whole is too small to read: at what works, else at its first region. */
  #opened(scene: Scene, scale: number): Camera | undefined {
    const i = scene.state.indexOf(WORKING);
    const region = scene.regions[i < 0 ? 0 : scene.region[i]!] ?? scene.bounds;
    const first = i < 0 ? undefined : { x: scene.x[i]!, y: scene.y[i]!, w: scene.w[i]!, h: scene.h[i]! };
    return opened(scale, region, first, this.#renderer.size, this.#roomy(16), [nodeScale, compactScale]);
  }

  #roomy(by: number): Padding {
    const p = this.#padding;
    return { top: p.top + by, right: p.right + by, bottom: p.bottom + by, left: p.left + by };
  }

  /** Brings a node, region or group to the middle, large enough to be read. Waits for it when it is not there yet. */
  zoomTo(id: string, options: { readonly animate?: boolean } = {}): void {
    this.#wanted = { id, animate: options.animate ?? true };
    this.#zoomToWanted();
  }

  #zoomToWanted(): void {
    const wanted = this.#wanted;
    const { scene, size, goal } = this.#renderer;
    if (wanted === null || scene === null || size.width === 0) return;
    const i = this.#index(wanted.id);
    const rect = i >= 0 ? { x: scene.x[i]!, y: scene.y[i]!, w: scene.w[i]!, h: scene.h[i]! } : scene.regionRect(wanted.id);
    if (rect === undefined) return;
    this.#wanted = null;
    this.#touched = true;
    this.#renderer.setCamera(fitted(rect, size, this.#roomy(24), i >= 0 ? Math.max(goal.k, readable) : 1), wanted.animate);
  }

  zoomIn(): void { this.#zoomBy(zoomStep, undefined, undefined, true); }
  zoomOut(): void { this.#zoomBy(1 / zoomStep, undefined, undefined, true); }

  #zoomBy(factor: number, x: number | undefined, y: number | undefined, animate: boolean): void {
    const { size, goal } = this.#renderer;
    const p = this.#padding;
    this.#touched = true;
    this.#renderer.setCamera(zoomedAt(goal, x ?? (p.left + size.width - p.right) / 2, y ?? (p.top + size.height - p.bottom) / 2, factor), animate);
  }

  /** Moves the view by screen pixels. */
  panBy(dx: number, dy: number): void {
    this.#touched = true;
    this.#renderer.setCamera(panned(this.#renderer.goal, dx, dy));
  }

  /** The view: the world point at the top left, and screen pixels per world unit. */
  get view(): ViewDetail { return { ...this.#renderer.goal, level: this.#renderer.level }; }
  set view(camera: Camera) {
    this.#touched = true;
    this.#renderer.setCamera({ x: camera.x, y: camera.y, k: camera.k });
  }

  /** The box of a node, region or group in CSS pixels of the element; undefined when it is not there. */
  boxOf(id: string): { x: number; y: number; w: number; h: number } | undefined {
    const { scene, camera } = this.#renderer;
    const i = this.#index(id);
    const r = scene === null ? undefined : i >= 0 ? { x: scene.x[i]!, y: scene.y[i]!, w: scene.w[i]!, h: scene.h[i]! } : scene.regionRect(id);
    return r === undefined ? undefined : { x: (r.x - camera.x) * camera.k, y: (r.y - camera.y) * camera.k, w: r.w * camera.k, h: r.h * camera.k };
  }

  // ---- export

  #source(): ExportSource {
    const { scene, camera, size, theme, text, family, emphasis } = this.#renderer;
    if (scene === null) throw new Error("there is no flow to export yet");
    return { scene, camera, size, theme, text, family, emphasis, title: this.#model.state?.flowId ?? "flow" };
  }

  /** A PNG of the flow, or of the view. Rejects before there is a flow. */
  async exportPNG(options?: ExportOptions): Promise<Blob> {
    const source = this.#source();
    return (await import("./export.js")).toPNG(source, options);
  }

  /** An SVG document of the flow, or of the view. Rejects before there is a flow. */
  async exportSVG(options?: ExportOptions): Promise<string> {
    const source = this.#source();
    return (await import("./export.js")).toSVG(source, options);
  }

  #emit<K extends keyof FlowCanvasEvents>(type: K, detail: FlowCanvasEvents[K]["detail"]): void {
    this.dispatchEvent(new CustomEvent(type, { detail, bubbles: true, composed: true }));
  }
}
