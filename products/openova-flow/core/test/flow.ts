import { buildGraph, emptyState, foldAll, type FlowGraph, type FlowNode, type FlowState, type FluxMeta, type Relationship } from "../src/index.js";
import { golden } from "./files.js";

/** A node of flow F with the given fields. */
export function node(id: string, status = "succeeded", meta: FluxMeta = {}, rest: Partial<FlowNode> = {}): FlowNode {
  return { id, flowId: "F", label: id, status, meta: { kind: "HelmRelease", ...meta }, ...rest };
}
export function edge(fromId: string, toId: string, rest: Partial<Relationship> = {}): Relationship {
  return { fromId, toId, type: "finish-to-start", ...rest };
}
export function stateOf(nodes: readonly FlowNode[], rels: readonly Relationship[] = []): FlowState {
  return foldAll(emptyState("F"), [
    { type: "snapshot", flow: { id: "F", status: "running", startedAt: 0 }, nodes, relationships: rels },
  ]);
}
export function graphOf(nodes: readonly FlowNode[], rels: readonly Relationship[] = []): FlowGraph {
  return buildGraph(stateOf(nodes, rels));
}

export interface Moment {
  readonly graph: FlowGraph;
  readonly start: number;
  readonly now: number;
}
/** A recording as of this many seconds after its first event; by default as of its end. */
export function recordedAt(name: string, seconds = Infinity): Moment {
  const events = golden(name);
  const start = events[0]?.at ?? 0;
  const upto = events.filter((e) => e.at <= start + seconds * 1000);
  const now = seconds === Infinity ? (events.at(-1)?.at ?? 0) : start + seconds * 1000;
  return { graph: buildGraph(foldAll(emptyState("bootstrap"), upto.map((e) => e.message))), start, now };
}
