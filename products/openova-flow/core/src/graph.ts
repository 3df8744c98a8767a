import { buildAdjacency, type Adjacency, type GraphEdge } from "./adjacency.js";
import { metaOf } from "./display.js";
import { judgementOf } from "./judgement.js";
import { compareBytes, type FlowState } from "./state.js";
import type { FlowNode, FluxMeta } from "./types.js";

export type { GraphEdge } from "./adjacency.js";

/** A flow as a graph. The adjacency is shared between graphs of one topology. */
export interface FlowGraph {
  readonly flowId: string;
  readonly topologyVersion: number;
  readonly state: FlowState;
  readonly nodes: ReadonlyMap<string, FlowNode>;
  /** In no particular order. */
  readonly edges: readonly GraphEdge[];
  /** Edges that leave, edges that enter a node, in a fixed order. Empty for an id that has none. */
  out(id: string): readonly GraphEdge[];
  in(id: string): readonly GraphEdge[];
  /** The container of a node, in its region; the one with the least id where there are several. */
  readonly parent: ReadonlyMap<string, string>;
  readonly children: ReadonlyMap<string, readonly string[]>;
  /** True for what holds others: a node with children, or a node of kind Region. */
  isContainer(id: string): boolean;
  /** True for what stands beside the rollout, such as a source: it is no member of rollouts and does not count in progress. */
  isAuxiliary(id: string): boolean;
  /** The ids that a node waits for while it waits: those of its judgement, else the origins of the edges that hold it. */
  needs(node: FlowNode): readonly string[];
  /** Ids of all nodes that are neither, in byte order. */
  readonly leaves: readonly string[];
}

const NO_EDGES: readonly GraphEdge[] = [];

class Graph implements FlowGraph {
  readonly state: FlowState;
  readonly adjacency: Adjacency;
  #leaves: readonly string[] | undefined;

  constructor(state: FlowState, adjacency: Adjacency, leaves?: readonly string[]) {
    this.state = state;
    this.adjacency = adjacency;
    this.#leaves = leaves;
  }

  get flowId(): string {
    return this.state.flowId;
  }
  get topologyVersion(): number {
    return this.state.topologyVersion;
  }
  get nodes(): ReadonlyMap<string, FlowNode> {
    return this.state.nodes;
  }
  get edges(): readonly GraphEdge[] {
    return this.adjacency.edges;
  }
  get parent(): ReadonlyMap<string, string> {
    return this.adjacency.parent;
  }
  get children(): ReadonlyMap<string, readonly string[]> {
    return this.adjacency.children;
  }
  get leaves(): readonly string[] {
    return (this.#leaves ??= [...this.nodes.keys()].filter((id) => !this.isContainer(id) && !this.isAuxiliary(id)).sort(compareBytes));
  }

  out(id: string): readonly GraphEdge[] {
    return this.adjacency.out.get(id) ?? NO_EDGES;
  }
  in(id: string): readonly GraphEdge[] {
    return this.adjacency.in.get(id) ?? NO_EDGES;
  }
  isContainer(id: string): boolean {
    return this.children.has(id) || this.#meta(id).kind === "Region";
  }
  isAuxiliary(id: string): boolean {
    return this.#meta(id).auxiliary === true;
  }
  #meta(id: string): FluxMeta {
    const node = this.nodes.get(id);
    return node === undefined ? {} : metaOf(node);
  }
  needs(node: FlowNode): readonly string[] {
    const { isJudged, needs } = judgementOf(node);
    if (isJudged || needs.length > 0 || node.status === "succeeded" || this.children.has(node.id)) return needs;
    return [...new Set(this.in(node.id).filter((e) => this.#holds(e)).map((e) => e.from))].sort(compareBytes);
  }
  /** Whether an edge keeps its `to` from going on. What lies in another flow is not known and holds nothing. */
  #holds({ from: id, fromFlowId, type, condition }: GraphEdge): boolean {
    if (type === "triggers" || fromFlowId !== undefined) return false;
    const from = this.nodes.get(id);
    if (from === undefined) return true;
    if (this.isAuxiliary(id)) return false;
    if (type.startsWith("start-to-")) return from.status === "pending" && from.startedAt === undefined;
    if (condition === "on-failure") return from.status !== "failed";
    return from.status !== "succeeded" && !(condition === "always" && from.status === "failed");
  }
  /** The same graph with the present values of its nodes. */
  with(state: FlowState): Graph {
    return state === this.state ? this : new Graph(state, this.adjacency, this.#leaves);
  }
}

/** The graph of a state. With `previous` of the same topology it costs next to nothing. */
export function buildGraph(state: FlowState, previous?: FlowGraph | null): FlowGraph {
  if (previous instanceof Graph && previous.topologyVersion === state.topologyVersion) return previous.with(state);
  return new Graph(state, buildAdjacency(state));
}
