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
 * `<openova-flow>`: draws a flow live. Call `setState`, or set `src` and `flow` to let it connect by itself. Its worker, connection, timers
 * and listeners end when it leaves the document, and start again when it is inserted again.
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
  /** Incremented by each connect and disconnect, to discard an outdated import. */
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
      loaded: () => this.#settle(),
    });
    this.#queue = new StateQueue((state, changed, at) => {
      void this.#model.apply(state, changed).then(() => this.#settle());
      this.#selection.tick(at);
    });
  }

  // ---- lifecycle

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
      this.#renderer.redrawAll();
      this.#queue.schedule();
    }, { signal });
    const sizes = new ResizeObserver(() => this.#measure());
    sizes.observe(this);
    signal.addEventListener("abort", () => sizes.disconnect());
    const scheme = matchMedia("(prefers-color-scheme: dark)"), motion = matchMedia("(prefers-reduced-motion: reduce)");
    scheme.addEventListener("change", () => this.#applyTheme(), { signal });
    motion.addEventListener("change", () => this.#renderer.setCalm(motion.matches), { signal });
    this.#renderer.setCalm(motion.matches);
    this.#watchRatio(signal);
    this.#applyTheme();
    this.#renderer.start();
    this.#measure();
    this.#ticker = setInterval(() => this.#tick(), 1000);
    this.#connect();
    this.#queue.start();
  }

  /** Applies properties that were set before the element was upgraded. */
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
    // A running layout is lost with the worker, so its state is queued for when the element is inserted again.
    if (this.#queue.state === null && this.#model.state !== null) this.#queue.push(this.#model.state);
    this.#model.close();
  }

  attributeChangedCallback(name: string, before: string | null, value: string | null): void {
    if (before === value) return;
    if (name === "theme") {
      if (this.#alive !== null) this.#applyTheme();
    } else if (name === "minimap") this.#renderer.setMap(value !== "off");
    else if (name === "selected") this.select(value);
    else if (name === "region") {
      if (value !== null) this.zoomTo(value);
    } else if (this.#alive !== null) this.#connect();
  }

  /** Watches the device pixel ratio. Its only event is that of a media query for the current ratio. */
  #watchRatio(signal: AbortSignal): void {
    matchMedia(`(resolution: ${devicePixelRatio}dppx)`).addEventListener("change", () => {
      this.#measure();
      this.#watchRatio(signal);
    }, { once: true, signal });
  }

  #measure(): void {
    this.#viewport.resize({ width: this.clientWidth, height: this.clientHeight }, devicePixelRatio || 1);
  }

  #applyTheme(): void {
    this.#renderer.setTheme(themeOf((name) => this.#shell.color(name)), getComputedStyle(this).fontFamily || "sans-serif");
  }

  /** The aspect ratio for layout, within limits: wider than the element, because gaps between rows of unequal height make the result narrower. */
  #aspect(): number {
    const { width, height } = this.#renderer.size;
    return height === 0 ? 2.3 : Math.min(3, Math.max(0.6, (1.4 * width) / height));
  }

  // ---- state

  /**
   * Shows a state, and ends the element's own connection for good. Cheap to call at any rate: only the newest state is drawn, once a frame.
   * `changed` has the ids of the nodes that differ from the state of the previous call; without it all nodes are compared.
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

  /** The current time for durations, in Unix milliseconds; set it for time travel. Default: `Date.now`, or the server's clock with an own connection. */
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
    void this.#model.tick().then(() => this.#settle());
    this.#selection.tick(performance.now());
    this.#renderer.tick(this.#now());
  }

  // ---- own connection

  #connect(): void {
    this.#disconnect();
    const url = this.getAttribute("src"), flowId = this.getAttribute("flow");
    if (url === null || flowId === null || flowId === "" || this.#injected) return;
    const attempt = this.#attempt;
    // Loaded on demand: a page that calls `setState` does not need it.
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

  /** Selects a node, region or group by id; null clears the selection. Fires no event. */
  select(id: string | null): void {
    if (id === this.#selection.id) return;
    this.#selection.select(id);
    if (id === null) this.removeAttribute("selected");
    else if (this.getAttribute("selected") !== id) this.setAttribute("selected", id);
    void this.#model.pin(id).then(() => this.#settle());
  }

  /** Dims all nodes that the predicate rejects or that are not among the ids; null dims none. A selected node or a highlight suspends it. */
  setFilter(filter: Filter | null): void {
    this.#selection.filter = filter;
  }

  /** Draws a frame around the nodes of each namespace, or removes these frames. */
  setGrouping(by: "namespace" | null): void {
    void this.#model.group(by === "namespace").then(() => this.#settle());
  }

  /** Sets usual durations by release key (`usualDurations` of flow-core), for the captions of cards. */
  setUsual(usual: ReadonlyMap<string, Usual>): void {
    this.#model.usual = usual;
    this.#renderer.redrawAll();
  }

  /** Draws these paths instead of those of the selection, until the selection changes; null draws none, undefined restores those of the selection. */
  setHighlight(highlight: Highlight | null | undefined): void {
    this.#selection.highlight = highlight;
  }

  // ---- view

  /** Pixels that the page's own panels cover on each side. Fit and zoom leave them free. */
  get padding(): Padding { return this.#viewport.padding; }
  set padding(padding: Partial<Padding>) {
    this.#viewport.padding = padding;
    const { left, right, bottom } = this.padding;
    this.#shell.set({ "--_left": `${left}px`, "--_right": `${right}px`, "--_bottom": `${bottom}px` });
  }

  /** Shows the whole flow inside the padding, also after changes of the flow, until the view is moved. */
  fit(padding?: Partial<Padding>, options: { readonly animate?: boolean } = {}): void {
    if (padding !== undefined) this.padding = { ...this.padding, ...padding };
    this.#viewport.fit(options.animate ?? true);
  }

  /** Centres a node at a readable scale, or a whole region or group. If it does not exist yet, this happens once it does. */
  zoomTo(id: string, options: { readonly animate?: boolean } = {}): void {
    this.#viewport.zoomTo(id, options.animate ?? true);
  }

  /** Brings all these nodes, regions and groups into view, at scale 1 or less. Unknown ids are ignored. */
  show(ids: Iterable<string>): void { this.#viewport.showAll(ids); }

  zoomIn(): void { this.#viewport.zoomBy(zoomStep, true); }
  zoomOut(): void { this.#viewport.zoomBy(1 / zoomStep, true); }

  /** Moves the view by screen pixels. */
  panBy(dx: number, dy: number): void { this.#viewport.panBy(dx, dy); }

  /** The view, or during a flight its goal: the world point at the top left, and screen pixels per world unit. `level` is the one that is drawn. */
  get view(): ViewDetail { return { ...this.#renderer.goal, level: this.#renderer.level }; }
  set view({ x, y, k }: Camera) { this.#viewport.move({ x, y, k }); }

  /** The box of a node, region or group in CSS pixels of the element; undefined if it does not exist. */
  boxOf(id: string): Rect | undefined { return this.#viewport.boxOf(id); }

  // ---- export

  #source(): ExportSource {
    const { scene, camera, size, theme, text, family, emphasis } = this.#renderer;
    if (scene === null || theme === undefined) throw new Error("there is no flow to export yet");
    return { scene, camera, size, theme, text, family, emphasis, title: this.#model.state?.flowId ?? "flow" };
  }

  /** A PNG of the flow, or of the view. Rejects if no flow was drawn yet. */
  async exportPNG(options?: ExportOptions): Promise<Blob> {
    const source = this.#source();
    return (await import("../paint/later.js")).toPNG(source, options);
  }

  /** An SVG document of the flow, or of the view. Rejects if no flow was drawn yet. */
  async exportSVG(options?: ExportOptions): Promise<string> {
    const source = this.#source();
    return (await import("../paint/later.js")).toSVG(source, options);
  }

  readonly #emit: Emit = (type, detail) => void this.dispatchEvent(new CustomEvent(type, { detail, bubbles: true, composed: true }));
}
