import { buildGraph, type DisplayContext, type FlowGraph, type FlowState, type LayoutClient, type LayoutResult, type Regions, type Usual } from "@openova/flow-core";
import { Auxiliary, without } from "./auxiliary.js";
import { drawnName, addGhosts } from "./ghosts.js";
import { inNamespaces } from "./namespaces.js";
import { Scene } from "./scene.js";

interface Drawn {
  readonly topology: number;
  readonly byNamespace: boolean;
  readonly hidden: readonly string[];
}

export interface ModelHooks {
  readonly now: () => number;
  /** Makes the layout client; called for the first layout and for the first after each `close`. The client calls `widthOf` for each layout. */
  readonly layoutClient: (widthOf: (id: string) => number) => LayoutClient;
  /** The width of a card with this name on it, in world units. */
  readonly cardWidth: (name: string) => number;
  /** Called with each new scene. */
  scene(scene: Scene): void;
  /** Called when the look of a node of the scene has changed. */
  touched(index: number): void;
  /** Called when the note of a region of the scene has changed; `tone` is true if its tone has changed too. */
  noted(region: number, tone: boolean): void;
}

/**
 * Turns states of a flow into scenes. If topology and hidden nodes stay the same, a state only updates the scene. Otherwise it is laid out;
 * until the layout is done, the old scene is updated with the new statuses, unless it is of another flow.
 */
export class Model {
  readonly #hooks: ModelHooks;
  #client: LayoutClient | null = null;
  #state: FlowState | null = null;
  #graph: FlowGraph | null = null;
  #layout: LayoutResult | null = null;
  #scene: Scene | null = null;
  /** The topology of the scene, and the nodes left out of it. */
  #shown: Drawn | null = null;
  readonly #auxiliary = new Auxiliary();
  #pinned: string | null = null;
  #byNamespace = false;
  #widthOf: (id: string) => number = () => 0;
  #work: Promise<void> | null = null;
  /** Incremented to discard the result of a running layout. */
  #epoch = 0;
  #unconfirmed: ReadonlySet<string> | null = null;
  #regions: Regions | null = null;
  #usual: ReadonlyMap<string, Usual> = new Map();

  constructor(hooks: ModelHooks) {
    this.#hooks = hooks;
  }

  get scene(): Scene | null { return this.#scene; }
  get state(): FlowState | null { return this.#state; }
  /** Whether a layout is running. */
  get busy(): boolean { return this.#work !== null; }

  /** The graph of the newest state; null before the first state. */
  get graph(): FlowGraph | null {
    if (this.#state === null) return null;
    if (this.#graph === null || this.#graph.state !== this.#state) this.#graph = buildGraph(this.#state, this.#graph);
    return this.#graph;
  }

  #context(state: FlowState): DisplayContext {
    // The graph is built only if a node needs it: while nodes and edges arrive, most updates do not.
    return { graph: { needs: (node) => this.graph?.needs(node) ?? [] }, nodes: state.nodes, unconfirmed: state.unconfirmed, regions: state.regions, now: this.#hooks.now() };
  }

  /** Sets the state. `changed` limits the update to these nodes while the topology is the same. Resolves once the scene is laid out. */
  async apply(state: FlowState, changed?: Iterable<string>): Promise<void> {
    const other = this.#state !== null && this.#state.flowId !== state.flowId;
    this.#state = state;
    if (other) {
      this.#discardLayout();
      this.#layout = null;
      this.#graph = null;
      this.#shown = null;
    } else if (this.#scene?.graph.flowId === state.flowId) {
      const context = this.#context(state);
      this.#scene.update(state.nodes, context, state.topologyVersion === this.#shown?.topology ? changed : undefined, this.#hooks.touched);
      if (this.#unconfirmed !== state.unconfirmed || this.#regions !== state.regions) this.#reconsider(this.#scene, context);
    }
    this.#unconfirmed = state.unconfirmed;
    this.#regions = state.regions;
    await this.#arranged();
  }

  /** Usual durations of releases, by key. */
  set usual(usual: ReadonlyMap<string, Usual>) {
    this.#usual = usual;
    if (this.#scene !== null) this.#scene.usual = usual;
  }

  /** Draws this node even if it would be left out; null pins none. Resolves once the scene is laid out. */
  async pin(id: string | null): Promise<void> {
    this.#pinned = id;
    await this.#rearranged();
  }

  /** Draws a frame around each namespace, or removes these frames. Resolves once the scene is laid out. */
  async group(byNamespace: boolean): Promise<void> {
    this.#byNamespace = byNamespace;
    await this.#rearranged();
  }

  /** The topology to draw now, and the nodes to leave out. */
  #drawn(graph: FlowGraph): Drawn {
    return { topology: graph.topologyVersion, byNamespace: this.#byNamespace, hidden: this.#auxiliary.hidden(graph, this.#hooks.now(), this.#pinned) };
  }

  /** Like `#arranged`, but does nothing before the first layout and after `close`: then only the next state starts one. */
  async #rearranged(): Promise<void> {
    if (this.#client !== null) await this.#arranged();
  }

  /** Starts a layout unless one runs or the scene is up to date. Resolves once the scene is laid out. */
  async #arranged(): Promise<void> {
    if (this.#work !== null) return this.#work;
    if (this.graph === null || isSame(this.#drawn(this.graph), this.#shown)) return;
    const work = this.#arrange().finally(() => {
      if (this.#work === work) this.#work = null;
    });
    return (this.#work = work);
  }

  /**
   * Lays out topologies until the newest is shown. Each layout is shown when it is done: a flow that changes faster than layouts finish is
   * still updated.
   */
  async #arrange(): Promise<void> {
    const epoch = this.#epoch;
    for (let whole = this.graph; whole !== null; whole = this.graph) {
      const drawn = this.#drawn(whole);
      if (isSame(drawn, this.#shown)) return;
      const visible = without(whole, drawn.hidden);
      const graph = drawn.byNamespace ? inNamespaces(visible) : visible;
      const withGhosts = addGhosts(graph);
      const laidOut = withGhosts.state === graph.state ? graph : buildGraph(withGhosts.state);
      this.#widthOf = (id) => this.#hooks.cardWidth(drawnName(graph, withGhosts.ghosts, id));
      this.#client ??= this.#hooks.layoutClient((id) => this.#widthOf(id));
      const layout = await this.#client.layout(laidOut, this.#layout);
      if (epoch !== this.#epoch) return;
      this.#layout = layout;
      this.#shown = drawn;
      const now = this.#state as FlowState;
      this.#scene = new Scene(graph, layout, withGhosts.ghosts, this.#context(whole.state));
      this.#scene.usual = this.#usual;
      if (now !== whole.state) {
        this.#scene.update(now.nodes, this.#context(now), undefined, () => undefined);
        this.#scene.reconsider(this.#context(now), () => undefined, () => undefined);
      }
      this.#hooks.scene(this.#scene);
    }
  }

  #reconsider(scene: Scene, context: DisplayContext): void {
    scene.reconsider(context, this.#hooks.touched, this.#hooks.noted);
  }

  #discardLayout(): void {
    this.#epoch++;
    this.#work = null;
  }

  /** Updates the states and notes that depend on the clock, and draws or hides auxiliary nodes accordingly. Call it about once a second. Resolves once the scene is laid out. */
  async tick(): Promise<void> {
    if (this.#scene === null || this.#scene.graph.flowId !== this.#state?.flowId) return;
    this.#reconsider(this.#scene, this.#context(this.#state));
    await this.#rearranged();
  }

  /** Closes the layout client and its worker. The scene stays; the next state that needs a layout makes a new client. */
  close(): void {
    this.#discardLayout();
    this.#client?.close();
    this.#client = null;
  }
}

function isSame(a: Drawn, b: Drawn | null): boolean {
  return a.topology === b?.topology && a.byNamespace === b.byNamespace && a.hidden.length === b.hidden.length && a.hidden.every((id, i) => id === b.hidden[i]);
}
