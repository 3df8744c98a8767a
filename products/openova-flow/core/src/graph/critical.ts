import { times } from "./display.js";
import type { FlowGraph, GraphEdge } from "./graph.js";
import { knownUntil } from "../contract/regions.js";
import type { FlowNode } from "../contract/types.js";

export interface CriticalPath {
  /** From the first to the last node; empty if its duration would be 0. */
  readonly ids: readonly string[];
  readonly edgeKeys: readonly string[];
  readonly durationMs: number;
  readonly workingMs: number;
  /** The sum of the times between a node's earliest possible start and its start. */
  readonly waitingMs: number;
}

interface Chain {
  readonly working: number;
  readonly waiting: number;
  readonly via: GraphEdge | null;
}

/** The chain of dependencies that took longest, among `ids` or all leaves. */
export function criticalPath(graph: FlowGraph, now: number, ids?: Iterable<string>): CriticalPath {
  const members = new Set(ids ?? graph.leaves);
  const chains = new Map<string, Chain>();
  let last: string | null = null;
  for (const id of inOrder(graph, members)) {
    const node = graph.nodes.get(id) as FlowNode;
    const chain = longest(graph, node, chains, now);
    chains.set(id, chain);
    if (chain.working + chain.waiting > (last === null ? 0 : total(chains.get(last)))) last = id;
  }
  const path: string[] = [];
  const edgeKeys: string[] = [];
  const end = last === null ? undefined : chains.get(last);
  for (let id = last; id !== null; ) {
    path.push(id);
    const via: GraphEdge | null = chains.get(id)?.via ?? null;
    if (via !== null) edgeKeys.push(via.key);
    id = via === null ? null : via.from;
  }
  return { ids: path.reverse(), edgeKeys: edgeKeys.reverse(), durationMs: total(end), workingMs: end?.working ?? 0, waitingMs: end?.waiting ?? 0 };
}

function total(chain: Chain | undefined): number {
  return chain === undefined ? 0 : chain.working + chain.waiting;
}

/** The longest chain that ends in `node`, given the chains of its predecessors. */
function longest(graph: FlowGraph, node: FlowNode, chains: ReadonlyMap<string, Chain>, now: number): Chain {
  let via: GraphEdge | null = null;
  let earliest: number | null = null;
  let mayWait = false;
  const until = knownUntil(graph.state.regions, node.region, now);
  for (const e of graph.in(node.id)) {
    if (!orders(e)) continue;
    const from = graph.nodes.get(e.from);
    if (from?.status !== "succeeded") mayWait = true;
    if (from === undefined || !chains.has(e.from) || !cameBefore(from, node)) continue;
    earliest = Math.max(earliest ?? -Infinity, from.endedAt ?? until);
    if (via === null || total(chains.get(e.from)) > total(chains.get(via.from))) via = e;
  }
  const before = via === null ? undefined : chains.get(via.from);
  const began = node.startedAt ?? (node.status === "succeeded" || node.status === "failed" || mayWait ? null : until);
  return {
    working: (before?.working ?? 0) + times(node, now, graph.state.regions).workingMs,
    waiting: (before?.waiting ?? 0) + (earliest === null || began === null ? 0 : Math.max(0, began - earliest)),
    via,
  };
}

function orders(e: GraphEdge): boolean {
  return !e.cyclic && e.fromFlowId === undefined && e.toFlowId === undefined && (e.type === "finish-to-start" || e.type === "finish-to-finish");
}

/** A run that starts later than this after its dependency's end was not caused by it. */
const UNRELATED_MS = 120_000;

/** Whether the current run of `from` can have delayed that of `to`. */
function cameBefore(from: FlowNode, to: FlowNode): boolean {
  if (from.startedAt === undefined || to.startedAt === undefined) return true;
  return from.startedAt <= to.startedAt && to.startedAt - (from.endedAt ?? to.startedAt) <= UNRELATED_MS;
}

/** The members in topological order of the edges that order them. */
function inOrder(graph: FlowGraph, members: ReadonlySet<string>): readonly string[] {
  const remaining = new Map<string, number>();
  for (const id of members) {
    if (graph.nodes.has(id)) remaining.set(id, graph.in(id).filter((e) => orders(e) && members.has(e.from) && graph.nodes.has(e.from)).length);
  }
  const order = [...remaining].filter(([, n]) => n === 0).map(([id]) => id);
  for (let i = 0; i < order.length; i++) {
    for (const e of graph.out(order[i] as string)) {
      if (!orders(e)) continue;
      const n = remaining.get(e.to);
      if (n === undefined) continue;
      remaining.set(e.to, n - 1);
      if (n === 1) order.push(e.to);
    }
  }
  return order;
}
