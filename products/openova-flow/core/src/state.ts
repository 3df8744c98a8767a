import type { FlowInstance, FlowMessage, FlowNode, FullSnapshot, RelKey, Relationship } from "./types.js";

/**
 * The folded state of a flow. Immutable: `fold` returns another one and shares what did not change, so keeping an old state
 * costs next to nothing. The maps iterate in no particular order.
 */
export interface FlowState {
  readonly flowId: string;
  /** Null until a snapshot or an upsert-flow has come. */
  readonly flow: FlowInstance | null;
  readonly nodes: ReadonlyMap<string, FlowNode>;
  /** By `relKey`. */
  readonly rels: ReadonlyMap<string, Relationship>;
  /** Nodes kept from before the server was restarted and not heard of since. */
  readonly unconfirmed: ReadonlySet<string>;
  /** Differs between any two states that a message lies between. For comparing only. */
  readonly version: number;
  /** Two states with the same number have the same node ids, regions and edges. For comparing only. */
  readonly topologyVersion: number;
  /** As `topologyVersion`, for the nodes of a region and the edges within it. Nodes without a region are under "". */
  readonly regionTopology: ReadonlyMap<string, number>;
}

export declare function emptyState(flowId: string): FlowState;
/** The state after a message. The message must be valid for the state's flow. */
export declare function fold(state: FlowState, message: FlowMessage): FlowState;
/** The same for several messages, cheaper than one by one. */
export declare function foldAll(state: FlowState, messages: Iterable<FlowMessage>): FlowState;
/** The state as a message, in the contract's order; null while there is no FlowInstance. */
export declare function toSnapshot(state: FlowState): FullSnapshot | null;
/** One string for a relationship's key; no two keys share one. */
export declare function relKey(rel: RelKey): string;
/** UTF-8 byte order of two strings, as Go compares them. */
export declare function compareBytes(a: string, b: string): number;
