import type { FlowGraph, GraphEdge, RelationshipType } from "@openova/flow-core";
import { externalId } from "./ghosts.js";

export const EDGE_TYPES: readonly RelationshipType[] = ["finish-to-start", "start-to-start", "finish-to-finish", "start-to-finish", "triggers"];
const typeIndex = new Map<string, number>(EDGE_TYPES.map((t, i) => [t, i]));
export const CONDITION_NAMES = ["on-success", "on-failure", "always"] as const;

/** Flags of an edge: it is on a cycle, has a ghost at an end, is not within one region, or follows from other edges. */
export const CYCLIC = 1, GHOSTLY = 2, ACROSS = 4, IMPLIED = 8;

export interface SceneEdges {
  readonly count: number;
  readonly from: Int32Array;
  readonly to: Int32Array;
  readonly type: Uint8Array;
  readonly condition: Uint8Array;
  readonly flags: Uint8Array;
  readonly key: readonly string[];
  readonly lag: Float32Array;
  /** Indices of the edges with the flag ACROSS. */
  readonly across: Uint32Array;
}

/** The edges of a scene. `index` has the index of each node, ghost and frame by id; an edge is left out if one of its ends has none. */
export function collectEdges(
  graph: FlowGraph, index: ReadonlyMap<string, number>, region: Int32Array, layer: Int32Array,
): SceneEdges {
  const kept: { edge: GraphEdge; from: number; to: number }[] = [];
  const find = (edge: GraphEdge, end: "from" | "to"): number | undefined => {
    const flowId = end === "from" ? edge.fromFlowId : edge.toFlowId;
    if (flowId === undefined) return index.get(edge[end]);
    const here = graph.nodes.get(end === "from" ? edge.to : edge.from);
    return index.get(externalId(here?.region, flowId, edge[end]));
  };
  for (const edge of graph.edges) {
    const from = find(edge, "from");
    const to = find(edge, "to");
    if (from !== undefined && to !== undefined) kept.push({ edge, from, to });
  }
  const n = kept.length;
  const out = {
    count: n,
    from: new Int32Array(n), to: new Int32Array(n), type: new Uint8Array(n), condition: new Uint8Array(n),
    flags: new Uint8Array(n), key: new Array<string>(n), lag: new Float32Array(n),
  };
  const across: number[] = [];
  kept.forEach(({ edge, from, to }, e) => {
    out.from[e] = from;
    out.to[e] = to;
    out.type[e] = typeIndex.get(edge.type) ?? 0;
    out.condition[e] = Math.max(0, CONDITION_NAMES.indexOf(edge.condition));
    out.key[e] = edge.key;
    out.lag[e] = edge.rel.lag ?? 0;
    const away = region[from] !== region[to] || region[from] === -1;
    out.flags[e] = (edge.cyclic ? CYCLIC : 0) | (away ? ACROSS : 0)
      | (edge.danglingFrom || edge.danglingTo || edge.fromFlowId !== undefined || edge.toFlowId !== undefined ? GHOSTLY : 0);
    if (away) across.push(e);
  });
  markImplied(out, region.length, layer);
  return { ...out, across: Uint32Array.from(across) };
}

/** Maximum number of steps of `markImplied` over all edges. It bounds the time for a dense graph, in which some implied edges are then not marked. */
const impliedBudget = 300_000;

/** Marks plain dependencies that follow from a longer chain of plain dependencies, so that they can be drawn faintly. */
function markImplied(edges: Omit<SceneEdges, "across">, nodes: number, layer: Int32Array): void {
  const starts = new Uint32Array(nodes + 1);
  const plain = (e: number): boolean => edges.type[e] === 0 && (edges.flags[e]! & CYCLIC) === 0;
  for (let e = 0; e < edges.count; e++) if (plain(e)) starts[edges.from[e]! + 1]!++;
  for (let i = 0; i < nodes; i++) starts[i + 1]! += starts[i]!;
  const next = starts.slice();
  const targets = new Int32Array(starts[nodes]!);
  for (let e = 0; e < edges.count; e++) if (plain(e)) targets[next[edges.from[e]!]!++] = edges.to[e]!;
  const seen = new Uint32Array(nodes);
  let budget = impliedBudget;
  for (let e = 0; e < edges.count && budget > 0; e++) {
    const to = edges.to[e]!, from = edges.from[e]!;
    if (!plain(e) || layer[to]! - layer[from]! < 2) continue;
    const stack = [from];
    const stamp = e + 1;
    search: while (stack.length > 0 && budget > 0) {
      const at = stack.pop()!;
      for (let k = starts[at]!; k < starts[at + 1]!; k++) {
        const t = targets[k]!;
        budget--;
        if (t === to) {
          if (at === from) continue;
          edges.flags[e]! |= IMPLIED;
          break search;
        }
        if (seen[t] !== stamp && layer[t]! < layer[to]!) {
          seen[t] = stamp;
          stack.push(t);
        }
      }
    }
  }
}
