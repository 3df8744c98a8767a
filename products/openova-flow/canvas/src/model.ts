import { buildGraph, type DisplayContext, type FlowGraph, type FlowState, type LayoutClient, type LayoutResult, type Regions } from "@openova/flow-core";
import { Auxiliary, without } from "./auxiliary.js";
import { haunt } from "./ghosts.js";
import { Scene } from "./scene.js";

interface Drawn {
  readonly topology: number;
  readonly hidden: readonly string[];
}

export interface ModelHooks {
  readonly now: () => number;
  /** Gives the layout client; called for the first layout and after each `close`. */
  readonly layoutClient: () => LayoutClient;
  /** Another scene is to be shown. */
  scene(scene: Scene): void;
  /** A node of the scene looks different. */
  touched(index: number): void;
  /** Something else is said of a region of the scene; `tone`: in another tone too. */
  noted(region: number, tone: boolean): void;
}

/**
 * Turns states of a flow into scenes. A state with the topology of the one before only touches nodes; another topology is laid out, and
 * until that is done the old scene goes on living with the new statuses.
 */
export class Model {
  readonly #hooks: ModelHooks;
  #client: LayoutClient | null = null;
  #state: FlowState | null = null;
  #graph: FlowGraph | null = null;
  #layout: LayoutResult | null = null;
  #scene: Scene | null = null;
  /** What the scene was made of: the topology, and what was left out. */
  #shown: Drawn | null = null;
  readonly #auxiliary = new Auxiliary();
  #asked: string | null = null;
  #work: Promise<void> | null = null;
  /** Grows when what is under way is no longer wanted. */
  #epoch = 0;
  #unconfirmed: ReadonlySet<string> | null = null;
  #regions: Regions | null = null;

  constructor(hooks: ModelHooks) {
    this.#hooks = hooks;
  }

  get scene(): Scene | null { return this.#scene; }
  get state(): FlowState | null { return this.#state; }
  /** A layout is under way. */
  get busy(): boolean { return this.#work !== null; }

  /** The graph of the newest state; null before the first. */
  get graph(): FlowGraph | null {
    if (this.#state === null) return null;
    if (this.#graph === null || this.#graph.state !== this.#state) this.#graph = buildGraph(this.#state, this.#graph);
    return this.#graph;
  }

  #context(state: FlowState): DisplayContext {
    // The graph is made only when a node asks: while nodes and edges come, no scene needs it yet.
    return { graph: { needs: (node) => this.graph?.needs(node) ?? [] }, nodes: state.nodes, unconfirmed: state.unconfirmed, regions: state.regions, now: this.#hooks.now() };
  }

  /** Takes over a state. With `changed` only those nodes are looked at, unless the topology is another. Resolves once its scene is there. */
  async apply(state: FlowState, changed?: Iterable<string>): Promise<void> {
    const other = this.#state !== null && this.#state.flowId !== state.flowId;
    this.#state = state;
    if (other) {
      this.#drop();
      this.#layout = null;
      this.#graph = null;
      this.#shown = null;
    } else if (this.#scene !== null) {
      const context = this.#context(state);
      this.#scene.update(state.nodes, context, state.topologyVersion === this.#shown?.topology ? changed : undefined, this.#hooks.touched);
      if (this.#unconfirmed !== state.unconfirmed || this.#regions !== state.regions) this.#reconsider(this.#scene, context);
    }
    this.#unconfirmed = state.unconfirmed;
    this.#regions = state.regions;
    await this.#arranged();
  }

  /** Draws a node although it would be left out; null for none. Resolves once the scene is there. */
  async ask(id: string | null): Promise<void> {
    this.#asked = id;
    await this.#rearranged();
  }

  /** What is to be drawn now. */
  #drawn(graph: FlowGraph): Drawn {
    return { topology: graph.topologyVersion, hidden: this.#auxiliary.hidden(graph, this.#hooks.now(), this.#asked) };
  }

  /** Does nothing before the first layout and after `close`: the next state begins it. */
  async #rearranged(): Promise<void> {
    if (this.#client !== null) await this.#arranged();
  }

  async #arranged(): Promise<void> {
    if (this.#work !== null) return this.#work;
    if (this.graph === null || isSame(this.#drawn(this.graph), this.#shown)) return;
    const work = this.#arrange().finally(() => {
      if (this.#work === work) this.#work = null;
    });
    return (this.#work = work);
  }

  /**
   * Lays out and shows until the newest topology is shown. One layout at a time, each shown when it is done: a flow that grows faster than
   * it can be laid out is still seen growing.
   */
  async #arrange(): Promise<void> {
    const epoch = this.#epoch;
    for (let whole = this.graph; whole !== null; whole = this.graph) {
      const drawn = this.#drawn(whole);
      if (isSame(drawn, this.#shown)) return;
      const graph = without(whole, drawn.hidden);
      const haunted = haunt(graph);
      const laidOut = haunted.state === graph.state ? graph : buildGraph(haunted.state);
      this.#client ??= this.#hooks.layoutClient();
      const layout = await this.#client.layout(laidOut, this.#layout);
      if (epoch !== this.#epoch) return;
      this.#layout = layout;
      this.#shown = drawn;
      const now = this.#state as FlowState;
      this.#scene = new Scene(graph, layout, haunted.ghosts, this.#context(whole.state));
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

  #drop(): void {
    this.#epoch++;
    this.#work = null;
  }

  /** Lets time pass: states that depend on the clock are looked at again. */
  tick(): void {
    if (this.#scene === null || this.#state === null) return;
    this.#reconsider(this.#scene, this.#context(this.#state));
    void this.#rearranged();
  }

  /** Ends the worker. What is shown stays, and the next state starts another. */
  close(): void {
    this.#drop();
    this.#client?.close();
    this.#client = null;
  }
}

function isSame(a: Drawn, b: Drawn | null): boolean {
  return a.topology === b?.topology && a.hidden.length === b.hidden.length && a.hidden.every((id, i) => id === b.hidden[i]);
}
