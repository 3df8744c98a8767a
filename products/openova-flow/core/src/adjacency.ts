import { compareBytes, isOwnEnd, relKey, type FlowState } from "./state.js";
import type { Condition, Relationship, RelationshipType } from "./types.js";

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

/** What depends on the topology alone. */
export interface Adjacency {
  readonly edges: readonly GraphEdge[];
  readonly out: ReadonlyMap<string, readonly GraphEdge[]>;
  readonly in: ReadonlyMap<string, readonly GraphEdge[]>;
  readonly parent: ReadonlyMap<string, string>;
  readonly children: ReadonlyMap<string, readonly string[]>;
  readonly cyclic: ReadonlySet<string>;
  /** The members of each cycle, in byte order, by the id of each of them. */
  readonly cycles: ReadonlyMap<string, readonly string[]>;
}

type MutableEdge = { -readonly [K in keyof GraphEdge]: GraphEdge[K] };

export function buildAdjacency(state: FlowState): Adjacency {
  const edges: MutableEdge[] = [];
  const parent = new Map<string, string>();
  const children = new Map<string, string[]>();
  for (const rel of state.rels.values()) {
    if (rel.type === "contains") addContained(state, rel, parent, children);
    else edges.push(toEdge(state, rel));
  }
  edges.sort((a, b) => order(a.from, b.from) || order(a.to, b.to) || order(a.type, b.type));
  const out = new Map<string, GraphEdge[]>();
  const into = new Map<string, GraphEdge[]>();
  for (const e of edges) {
    if (e.fromFlowId === undefined) push(out, e.from, e);
    if (e.toFlowId === undefined) push(into, e.to, e);
  }
  for (const list of children.values()) list.sort(order);
  const component = components(state, out);
  const cyclic = new Set<string>();
  for (const e of edges) {
    if (e.danglingFrom || e.danglingTo || e.fromFlowId !== undefined || e.toFlowId !== undefined) continue;
    if (component.get(e.from) !== component.get(e.to)) continue;
    e.cyclic = true;
    cyclic.add(e.from).add(e.to);
  }
  return { edges, out, in: into, parent, children, cyclic, cycles: cyclesOf(cyclic, component) };
}

function cyclesOf(cyclic: ReadonlySet<string>, component: ReadonlyMap<string, number>): ReadonlyMap<string, readonly string[]> {
  const members = new Map<number, string[]>();
  const cycles = new Map<string, readonly string[]>();
  for (const id of [...cyclic].sort(compareBytes)) {
    const c = component.get(id) as number;
    let list = members.get(c);
    if (list === undefined) members.set(c, (list = []));
    list.push(id);
    cycles.set(id, list);
  }
  return cycles;
}

/** Any fixed order does here, and this is the fastest. */
function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function addContained(state: FlowState, rel: Relationship, parent: Map<string, string>, children: Map<string, string[]>): void {
  if (!isOwnEnd(rel.fromFlowId, state.flowId) || !isOwnEnd(rel.toFlowId, state.flowId)) return;
  if (!state.nodes.has(rel.fromId) || !state.nodes.has(rel.toId)) return;
  push(children, rel.toId, rel.fromId);
  const known = parent.get(rel.fromId);
  if (known === undefined || compareBytes(rel.toId, known) < 0) parent.set(rel.fromId, rel.toId);
}

function toEdge(state: FlowState, rel: Relationship): MutableEdge {
  const ownFrom = isOwnEnd(rel.fromFlowId, state.flowId);
  const ownTo = isOwnEnd(rel.toFlowId, state.flowId);
  return {
    key: relKey(rel),
    from: rel.fromId,
    to: rel.toId,
    type: rel.type,
    condition: rel.condition ?? "on-success",
    rel,
    ...(ownFrom ? {} : { fromFlowId: rel.fromFlowId as string }),
    ...(ownTo ? {} : { toFlowId: rel.toFlowId as string }),
    danglingFrom: ownFrom && !state.nodes.has(rel.fromId),
    danglingTo: ownTo && !state.nodes.has(rel.toId),
    cyclic: false,
  };
}

function push<V>(map: Map<string, V[]>, key: string, value: V): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}

/** The strongly connected component of each node that has edges (Tarjan, without recursion: chains may be 10,000 long). */
function components(state: FlowState, out: ReadonlyMap<string, readonly GraphEdge[]>): ReadonlyMap<string, number> {
  const index = new Map<string, number>();
  const low = new Map<string, number>();
  const component = new Map<string, number>();
  const open: string[] = [];
  let found = 0;
  const enter = (id: string): { id: string; next: number } => {
    low.set(id, index.size);
    index.set(id, index.size);
    open.push(id);
    return { id, next: 0 };
  };
  for (const root of out.keys()) {
    if (index.has(root) || !state.nodes.has(root)) continue;
    const calls = [enter(root)];
    for (let call = calls.at(-1); call !== undefined; call = calls.at(-1)) {
      const { id } = call;
      const to = out.get(id)?.[call.next++]?.to;
      if (to !== undefined) {
        if (!state.nodes.has(to)) continue;
        if (!index.has(to)) calls.push(enter(to));
        else if (!component.has(to)) low.set(id, Math.min(low.get(id) as number, index.get(to) as number));
        continue;
      }
      calls.pop();
      const caller = calls.at(-1);
      if (caller !== undefined) low.set(caller.id, Math.min(low.get(caller.id) as number, low.get(id) as number));
      if (low.get(id) !== index.get(id)) continue;
      for (let member = open.pop(); member !== undefined; member = open.pop()) {
        component.set(member, found);
        if (member === id) break;
      }
      found++;
    }
  }
  return component;
}
