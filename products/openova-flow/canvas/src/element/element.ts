import { createLayoutClient, type FlowState, type Usual } from "@openova/flow-core";
import type { Camera, Padding, Rect } from "../geometry/camera.js";
import { themeOf } from "../look/theme.js";
import type { ExportOptions, ExportSource } from "../paint/export.js";
import { cardWidth } from "../paint/nodes.js";
import { Renderer } from "../paint/renderer.js";
import { Model } from "../scene/model.js";
import type { Scene } from "../scene/scene.js";
import type { Filter, Highlight } from "../view/emphasis.js";
import type { Follower } from "../view/follow.js";
import type { Emit, ViewDetail } from "./events.js";
import { listenToKeys, listenToPointers, zoomStep, type Parts } from "./interaction.js";
import { StateQueue } from "./queue.js";
import { Selection } from "./selection.js";
import { buildShell, type Shell } from "./shell.js";
import { Viewport } from "./viewport.js";
import { layoutWorker } from "./worker.js";

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
  readonly #viewport: Viewport;
  readonly #selection: Selection;
  readonly #queue: StateQueue;
  readonly #internals: ElementInternals;
  #alive: AbortController | null = null;
  #ticker: ReturnType<typeof setInterval> | undefined;
  #follower: Follower | null = null;
  /** Grows with each connection of its own that is begun or given up. */
  #attempt = 0;
  #clock: () => number = Date.now;
  #injected = false;
  #waiters: (() => void)[] = [];

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    this.#shell = buildShell(root);
    this.#internals = this.attachInternals();
    this.#internals.role = "application";
    this.#internals.ariaRoleDescription = "flow graph";
    this.#internals.ariaLabel = "Deployment flow. Arrow keys move between releases.";
    this.#renderer = new Renderer(this.#shell.layers, {
      viewChanged: () => this.#emit("viewchange", { ...this.#renderer.camera, level: this.#renderer.level }),
      painted: () => this.#emit("painted", null),
    });
    this.#model = new Model({
      now: () => this.#now(),
      layoutClient: (widthOf) => createLayoutClient(layoutWorker(), { aspect: this.#aspect(), widthOf }),
      cardWidth: (name) => cardWidth(name, this.#renderer.text),
      scene: (scene) => this.#show(scene),
      touched: (i) => {
        this.#renderer.touch(i);
        this.#selection.touch();
      },
      noted: (region, tone) => this.#renderer.note(region, tone),
    });
    this.#viewport = new Viewport(this.#renderer);
    this.#selection = new Selection(this.#renderer, {
      graph: () => this.#model.graph,
      now: () => this.#now(),
      focused: () => this.matches(":focus-visible"),
      suggested: () => this.#settle(),
    });
    this.#queue = new StateQueue((state, changed, at) => {
      void this.#model.apply(state, changed).then(() => this.#settle());
      this.#selection.tick(at);
    });
  }

  // ---- life

  connectedCallback(): void {
    if (this.#alive !== null) return;
    this.#adopt();
    const alive = (this.#alive = new AbortController());
    const { signal } = alive;
    if (!this.hasAttribute("tabindex")) this.tabIndex = 0;
    const parts: Parts = { shell: this.#shell, renderer: this.#renderer, viewport: this.#viewport, selection: this.#selection, emit: this.#emit };
    listenToPointers(this, parts, signal);
    listenToKeys(this, parts, signal);
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState !== "visible") return;
      this.#renderer.resume();
      this.#queue.schedule();
    }, { signal });
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
    this.#queue.start();
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
    this.#queue.stop();
    this.#renderer.stop();
    this.#disconnect();
    // A layout under way ends with the worker: what it was for is applied again when the element comes back.
    if (this.#queue.state === null && this.#model.state !== null) this.#queue.push(this.#model.state);
    this.#model.close();
  }

  attributeChangedCallback(name: string, before: string | null, value: string | null): void {
    if (before === value) return;
    if (name === "theme") {
      if (this.#alive !== null) this.#dress();
    } else if (name === "minimap") this.#renderer.setMap(value !== "off");
    else if (name === "selected") this.select(value);
    else if (name === "region") {
      if (value !== null) this.zoomTo(value);
    } else if (this.#alive !== null) this.#connect();
  }

  /** Watches the device pixel ratio: there is no event for it but a media query for the present one. */
  #watchRatio(signal: AbortSignal): void {
    matchMedia(`(resolution: ${devicePixelRatio}dppx)`).addEventListener("change", () => {
      this.#measure();
      this.#watchRatio(signal);
    }, { once: true, signal });
  }

  #measure(): void {
    this.#viewport.resize({ width: this.clientWidth, height: this.clientHeight }, devicePixelRatio || 1);
  }

  #dress(): void {
    this.#renderer.setTheme(themeOf((name) => this.#shell.color(name)), getComputedStyle(this).fontFamily || "sans-serif");
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
    this.#queue.push(state, changed);
  }

  get state(): FlowState | null { return this.#queue.state ?? this.#model.state; }
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

  /** Resolves once the newest state has been laid out and handed to the renderer. */
  settled(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiters.push(resolve);
      this.#settle();
    });
  }

  #settle(): void {
    if (this.#queue.state !== null || this.#model.busy || this.#selection.isLoading) return;
    for (const done of this.#waiters.splice(0)) done();
  }

  #show(scene: Scene): void {
    const before = this.#renderer.scene;
    this.#renderer.setScene(scene);
    this.#selection.hover(null);
    this.#viewport.show(scene, before);
    this.#selection.refresh();
  }

  #tick(): void {
    if (this.#alive === null || document.visibilityState !== "visible") return;
    this.#follower?.tick();
    this.#model.tick();
    this.#selection.tick(performance.now());
    this.#renderer.tick(this.#now());
  }

  // ---- connection of its own

  #connect(): void {
    this.#disconnect();
    const url = this.getAttribute("src"), flowId = this.getAttribute("flow");
    if (url === null || flowId === null || flowId === "" || this.#injected) return;
    const attempt = this.#attempt;
    // A page that feeds the element itself needs none of this.
    void import("../view/follow.js").then(({ follow }) => {
      if (attempt !== this.#attempt) return;
      this.#follower = follow(new URL(url, document.baseURI).href, flowId, {
        state: (state) => this.#queue.push(state),
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

  get selected(): string | null { return this.#selection.id; }
  set selected(id: string | null) { this.select(id); }

  /** Selects a node, region or group by id; null for none. Fires no event. */
  select(id: string | null): void {
    if (id === this.#selection.id) return;
    this.#selection.select(id);
    if (id === null) this.removeAttribute("selected");
    else if (this.getAttribute("selected") !== id) this.setAttribute("selected", id);
    void this.#model.ask(id).then(() => this.#settle());
  }

  /** Dims what a predicate refuses, or what is not among the ids; null shows all. */
  setFilter(filter: Filter | null): void {
    this.#selection.filter = filter;
  }

  /** How long releases usually take, by their keys (`usualDurations` of flow-core): what works now is compared with it. */
  setUsual(usual: ReadonlyMap<string, Usual>): void {
    this.#model.usual = usual;
    this.#renderer.resume();
  }

  /** Draws this in place of what the selection suggests; null draws no path, undefined goes back to the suggestion. */
  setHighlight(highlight: Highlight | null | undefined): void {
    this.#selection.highlight = highlight;
  }

  // ---- view

  /** Pixels that the page's own panels cover on each side; fitting and zooming mind them. */
  get padding(): Padding { return this.#viewport.padding; }
  set padding(padding: Partial<Padding>) {
    this.#viewport.padding = padding;
    const { left, right, bottom } = this.padding;
    this.#shell.set({ "--_left": `${left}px`, "--_right": `${right}px`, "--_bottom": `${bottom}px` });
  }

  /** Shows the whole flow between the paddings, and goes on doing so until somebody moves the view. */
  fit(padding?: Partial<Padding>, options: { readonly animate?: boolean } = {}): void {
    if (padding !== undefined) this.padding = { ...this.padding, ...padding };
    this.#viewport.fit(options.animate ?? true);
  }

  /** Brings a node, region or group to the middle, large enough to be read. Waits for it when it is not there yet. */
  zoomTo(id: string, options: { readonly animate?: boolean } = {}): void {
    this.#viewport.zoomTo(id, options.animate ?? true);
  }

  /** Brings all of these nodes into view, no larger than they can be read. */
  show(ids: Iterable<string>): void { this.#viewport.showAll(ids); }

  zoomIn(): void { this.#viewport.zoomBy(zoomStep, true); }
  zoomOut(): void { this.#viewport.zoomBy(1 / zoomStep, true); }

  /** Moves the view by screen pixels. */
  panBy(dx: number, dy: number): void { this.#viewport.panBy(dx, dy); }

  /** The view: the world point at the top left, and screen pixels per world unit. */
  get view(): ViewDetail { return { ...this.#renderer.goal, level: this.#renderer.level }; }
  set view({ x, y, k }: Camera) { this.#viewport.move({ x, y, k }); }

  /** The box of a node, region or group in CSS pixels of the element; undefined when it is not there. */
  boxOf(id: string): Rect | undefined { return this.#viewport.boxOf(id); }

  // ---- export

  #source(): ExportSource {
    const { scene, camera, size, theme, text, family, emphasis } = this.#renderer;
    if (scene === null || theme === undefined) throw new Error("there is no flow to export yet");
    return { scene, camera, size, theme, text, family, emphasis, title: this.#model.state?.flowId ?? "flow" };
  }

  /** A PNG of the flow, or of the view. Rejects before there is a flow. */
  async exportPNG(options?: ExportOptions): Promise<Blob> {
    const source = this.#source();
    return (await import("../paint/later.js")).toPNG(source, options);
  }

  /** An SVG document of the flow, or of the view. Rejects before there is a flow. */
  async exportSVG(options?: ExportOptions): Promise<string> {
    const source = this.#source();
    return (await import("../paint/later.js")).toSVG(source, options);
  }

  readonly #emit: Emit = (type, detail) => void this.dispatchEvent(new CustomEvent(type, { detail, bubbles: true, composed: true }));
}
