import { buildAdjacency, type Adjacency, type GraphEdge } from "./adjacency.js";
import { displayState, metaOf, type DisplayContext, type DisplayState } from "./display.js";
import { judgementOf } from "./judgement.js";
import { compareBytes, type FlowState } from "../fold/state.js";
import type { FlowNode, FluxMeta } from "../contract/types.js";

export type { GraphEdge } from "./adjacency.js";

/** A flow as a graph. */
export interface FlowGraph {
  readonly flowId: string;
  readonly topologyVersion: number;
  readonly state: FlowState;
  readonly nodes: ReadonlyMap<string, FlowNode>;
  /** Unordered. */
  readonly edges: readonly GraphEdge[];
  /** The outgoing and incoming edges of a node, in a fixed order; empty for an id without edges. */
  out(id: string): readonly GraphEdge[];
  in(id: string): readonly GraphEdge[];
  /** The container of a node in its region; of several, the one with the smallest id. */
  readonly parent: ReadonlyMap<string, string>;
  readonly children: ReadonlyMap<string, readonly string[]>;
  /** True for a node that contains others, and for a node of kind Region. */
  isContainer(id: string): boolean;
  /**
   * True for a node that is not part of the rollout itself, such as a source. It is not a member of rollouts and does not count in
   * progress.
   */
  isAuxiliary(id: string): boolean;
  /** The ids that a node waits for: those of its judgement, otherwise the origins of the edges that block it. */
  needs(node: FlowNode): readonly string[];
  /** Ids of all nodes that are neither container nor auxiliary, in byte order. */
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
  /** Whether an edge blocks its `to` node. Nodes of another flow are unknown and block nothing. */
  #holds({ from: id, fromFlowId, type, condition }: GraphEdge): boolean {
    if (type === "triggers" || fromFlowId !== undefined) return false;
    const from = this.nodes.get(id);
    if (from === undefined) return true;
    if (this.isAuxiliary(id)) return false;
    if (type.startsWith("start-to-")) return from.status === "pending" && from.startedAt === undefined;
    if (condition === "on-failure") return from.status !== "failed";
    return from.status !== "succeeded" && !(condition === "always" && from.status === "failed");
  }
  /** The same graph with the current values of its nodes. */
  with(state: FlowState): Graph {
    return state === this.state ? this : new Graph(state, this.adjacency, this.#leaves);
  }
}

/** The graph of a state. If `previous` has the same topology, this costs little. */
export function buildGraph(state: FlowState, previous?: FlowGraph | null): FlowGraph {
  if (previous instanceof Graph && previous.topologyVersion === state.topologyVersion) return previous.with(state);
  return new Graph(state, buildAdjacency(state));
}

/** The context for display states of a graph's nodes at an instant. */
export function contextOf(graph: FlowGraph, now: number): DisplayContext {
  const { unconfirmed, regions } = graph.state;
  return { graph, nodes: graph.nodes, unconfirmed, regions, now };
}

/** The display state of a node at an instant; null if the node does not exist. */
export function displayOf(graph: FlowGraph, id: string, now: number): DisplayState | null {
  const node = graph.nodes.get(id);
  return node === undefined ? null : displayState(node, contextOf(graph, now));
}
