import type { DisplayState } from "./display.js";
import type { FlowState } from "./state.js";
import type { Condition, FlowNode, Relationship, RelationshipType } from "./types.js";

/** One relationship that is drawn as an arrow: every type but `contains`. */
export interface GraphEdge {
  readonly key: string;
  readonly from: string;
  readonly to: string;
  readonly type: RelationshipType;
  /** `on-success` when the relationship names none. */
  readonly condition: Condition;
  readonly rel: Relationship;
  /** The flow that an end lies in when it is not this one. */
  readonly fromFlowId?: string;
  readonly toFlowId?: string;
  /** That end should be a node of this flow and is not there. */
  readonly danglingFrom: boolean;
  readonly danglingTo: boolean;
  /** Part of a cycle: both ends are in one strongly connected component. */
  readonly cyclic: boolean;
}
/** A flow as a graph. The adjacency is shared between graphs of one topology. */
export interface FlowGraph {
  readonly flowId: string;
  readonly topologyVersion: number;
  readonly state: FlowState;
  readonly nodes: ReadonlyMap<string, FlowNode>;
  readonly edges: readonly GraphEdge[];
  /** Edges that leave, edges that enter a node. Empty for an id that has none. */
  out(id: string): readonly GraphEdge[];
  in(id: string): readonly GraphEdge[];
  /** The container of a node; the one with the least id where there are several. */
  readonly parent: ReadonlyMap<string, string>;
  readonly children: ReadonlyMap<string, readonly string[]>;
  /** Ids of the nodes that lie on a cycle. */
  readonly cyclic: ReadonlySet<string>;
  /** True for what holds others: a node with children, or a node of kind Region. */
  isContainer(id: string): boolean;
  /** Ids of all nodes that are no container, in byte order. */
  readonly leaves: readonly string[];
}
/** The graph of a state. With `previous` of the same topology it costs next to nothing. */
export declare function buildGraph(state: FlowState, previous?: FlowGraph | null): FlowGraph;

/** What keeps a node from going on. */
export interface Blocker {
  readonly id: string;
  readonly label: string;
  /** `missing`: named but not there. `cycle`: waits, through others, for itself. */
  readonly display: DisplayState | "missing" | "cycle";
  readonly reason: string;
  readonly message: string;
  /** Ids from the blocker's first dependent to the blocked node itself. */
  readonly path: readonly string[];
}
/** The earliest unfinished or failed nodes upstream of `id`, worst first. Empty for one that has succeeded or waits for nothing. */
export declare function blockedBy(graph: FlowGraph, id: string, now: number): readonly Blocker[];
/** All ids downstream of `id`, nearest first, without `id`. */
export declare function blocks(graph: FlowGraph, id: string): readonly string[];
/** All ids upstream of `id`, nearest first, without `id`. */
export declare function upstream(graph: FlowGraph, id: string): readonly string[];

export interface CriticalPath {
  /** From the first to the last node. Empty when nothing has started. */
  readonly ids: readonly string[];
  readonly edgeKeys: readonly string[];
  readonly durationMs: number;
  readonly workingMs: number;
  /** Time in which a node of the path could have worked and did not. */
  readonly waitingMs: number;
}
/** The chain of dependencies that took longest, among `ids` or all leaves. */
export declare function criticalPath(graph: FlowGraph, now: number, ids?: Iterable<string>): CriticalPath;
