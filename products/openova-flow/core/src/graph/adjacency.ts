import { compareBytes, isOwnEnd, type FlowState } from "../fold/state.js";
import type { Condition, Relationship, RelationshipType } from "../contract/types.js";

/** A relationship of any type except `contains`. */
export interface GraphEdge {
  readonly key: string;
  readonly from: string;
  readonly to: string;
  readonly type: RelationshipType;
  /** `on-success` if the relationship has none. */
  readonly condition: Condition;
  readonly rel: Relationship;
  /** The flow of an end that is in another flow. */
  readonly fromFlowId?: string;
  readonly toFlowId?: string;
  /** This end belongs to this flow, but its node does not exist. */
  readonly danglingFrom: boolean;
  readonly danglingTo: boolean;
  /**
   * Both ends are in one strongly connected component. For an edge within a region, only edges of that region count. The graph without
   * its cyclic edges has no cycles.
   */
  readonly cyclic: boolean;
}

/** The part of a graph that depends only on the topology. */
export interface Adjacency {
  readonly edges: readonly GraphEdge[];
  readonly out: ReadonlyMap<string, readonly GraphEdge[]>;
  readonly in: ReadonlyMap<string, readonly GraphEdge[]>;
  readonly parent: ReadonlyMap<string, string>;
  readonly children: ReadonlyMap<string, readonly string[]>;
}

type MutableEdge = { -readonly [K in keyof GraphEdge]: GraphEdge[K] };

export function buildAdjacency(state: FlowState): Adjacency {
  const edges: MutableEdge[] = [];
  const parent = new Map<string, string>();
  const children = new Map<string, string[]>();
  const out = new Map<string, MutableEdge[]>();
  const into = new Map<string, MutableEdge[]>();
  for (const [key, rel] of state.rels) {
    if (rel.type === "contains") {
      addContained(state, rel, parent, children);
      continue;
    }
    const e = toEdge(state, key, rel);
    edges.push(e);
    if (e.fromFlowId === undefined) push(out, e.from, e);
    if (e.toFlowId === undefined) push(into, e.to, e);
  }
  for (const list of out.values()) if (list.length > 1) list.sort((a, b) => order(a.to, b.to) || order(a.type, b.type));
  for (const list of into.values()) if (list.length > 1) list.sort((a, b) => order(a.from, b.from) || order(a.type, b.type));
  for (const list of children.values()) list.sort(order);
  const next = (id: string, counts: (e: GraphEdge) => boolean): readonly string[] =>
    (out.get(id) ?? []).filter((e) => !e.danglingTo && e.toFlowId === undefined && counts(e)).map((e) => e.to);
  const starts = [...out.keys()].filter((id) => state.nodes.has(id));
  const whole = components(starts, (id) => next(id, () => true));
  const within = components(starts, (id) => next(id, (e) => inOneRegion(state, e.from, e.to)));
  for (const e of edges) {
    if (e.danglingFrom || e.danglingTo || e.fromFlowId !== undefined || e.toFlowId !== undefined) continue;
    const component = inOneRegion(state, e.from, e.to) ? within : whole;
    e.cyclic = component.get(e.from) === component.get(e.to);
  }
  return { edges, out, in: into, parent, children };
}

/** Whether two existing nodes are in the same region, or both in none. */
function inOneRegion(state: FlowState, a: string, b: string): boolean {
  return (state.nodes.get(a)?.region ?? "") === (state.nodes.get(b)?.region ?? "");
}

/** Any fixed order will do. This one is faster than byte order. */
function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function addContained(state: FlowState, rel: Relationship, parent: Map<string, string>, children: Map<string, string[]>): void {
  if (!isOwnEnd(rel.fromFlowId, state.flowId) || !isOwnEnd(rel.toFlowId, state.flowId)) return;
  if (!state.nodes.has(rel.fromId) || !state.nodes.has(rel.toId)) return;
  // Only within one region: otherwise one region could turn a leaf of another into a container, and so remove
  // it from the counts.
  if (!inOneRegion(state, rel.fromId, rel.toId)) return;
  push(children, rel.toId, rel.fromId);
  const known = parent.get(rel.fromId);
  if (known === undefined || compareBytes(rel.toId, known) < 0) parent.set(rel.fromId, rel.toId);
}

function toEdge(state: FlowState, key: string, rel: Relationship): MutableEdge {
  const ownFrom = isOwnEnd(rel.fromFlowId, state.flowId);
  const ownTo = isOwnEnd(rel.toFlowId, state.flowId);
  const edge: MutableEdge = {
    key,
    from: rel.fromId,
    to: rel.toId,
    type: rel.type,
    condition: rel.condition ?? "on-success",
    rel,
    danglingFrom: ownFrom && !state.nodes.has(rel.fromId),
    danglingTo: ownTo && !state.nodes.has(rel.toId),
    cyclic: false,
  };
  if (!ownFrom) edge.fromFlowId = rel.fromFlowId as string;
  if (!ownTo) edge.toFlowId = rel.toFlowId as string;
  return edge;
}

export function push<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}

interface Visit<T> {
  readonly of: T;
  readonly ahead: readonly T[];
  readonly index: number;
  low: number;
  next: number;
}

/**
 * The strongly connected component of each node that is reachable from `starts`: Tarjan's algorithm without recursion, since one chain may
 * have all nodes of a flow.
 */
export function components<T>(starts: readonly T[], next: (of: T) => readonly T[]): ReadonlyMap<T, readonly T[]> {
  const visits = new Map<T, Visit<T>>(), component = new Map<T, T[]>();
  const stack: T[] = [], calls: Visit<T>[] = [];
  const enter = (of: T): void => {
    const visit = { of, ahead: next(of), index: visits.size, low: visits.size, next: 0 };
    visits.set(of, visit);
    stack.push(of);
    calls.push(visit);
  };
  for (const start of starts) {
    if (!visits.has(start)) enter(start);
    for (let at = calls.at(-1); at !== undefined; at = calls.at(-1)) {
      if (at.next < at.ahead.length) {
        const to = at.ahead[at.next++] as T;
        const visit = visits.get(to);
        if (visit === undefined) enter(to);
        else if (!component.has(to)) at.low = Math.min(at.low, visit.index);
        continue;
      }
      calls.pop();
      const caller = calls.at(-1);
      if (caller !== undefined) caller.low = Math.min(caller.low, at.low);
      if (at.low !== at.index) continue;
      const members = stack.splice(stack.lastIndexOf(at.of));
      for (const m of members) component.set(m, members);
    }
  }
  return component;
}
