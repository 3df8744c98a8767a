import { DISPLAY_STATES, type DisplayState } from "../graph/display.js";
import type { FlowGraph } from "../graph/graph.js";
import { insightOf } from "./insight.js";

/** A node or missing id that blocks another node. */
export interface Blocker {
  readonly id: string;
  /** `missing`: the id does not exist. `cycle`: the node is on a cycle of waiting nodes. */
  readonly display: DisplayState | "missing" | "cycle";
  /** The class of its cause, for programs; empty for a missing id. */
  readonly reason: string;
}

/** What blocks a node that waits or lacks a dependency, worst first. Empty for other nodes. */
export function blockedBy(graph: FlowGraph, id: string, now: number): readonly Blocker[] {
  return blocking(graph, id, now)[0];
}

/** A path of ids from each blocker towards the node. It ends where it meets an earlier path, so no step is repeated. */
export function blockingChains(graph: FlowGraph, id: string, now: number): readonly (readonly string[])[] {
  const [blockers, towards] = blocking(graph, id, now);
  const seen = new Set<string>();
  return blockers.map((b) => {
    const way: string[] = [];
    for (let at: string | undefined = b.id; at !== undefined; at = towards.get(at)) {
      way.push(at);
      if (seen.has(at)) break;
      seen.add(at);
    }
    return way;
  });
}

/** The blockers of a node, and the next id on the path to it from each id that it depends on or blames, directly or through others. */
function blocking(graph: FlowGraph, id: string, now: number): readonly [readonly Blocker[], ReadonlyMap<string, string>] {
  const insight = insightOf(graph, now);
  const held = new Set(insight.heldBy(id));
  const towards = new Map<string, string>(), near = new Set([id]);
  if (held.size === 0) return [[], towards];
  for (const at of near) {
    for (const from of insight.behind(at)) {
      if (!near.has(from)) towards.set(from, at);
      near.add(from);
    }
  }
  const found = [...new Set([...near, ...held])].filter((at) => held.has(at)).map((at): Blocker => {
    const { state = "missing", reason = "" } = insight.at(at) ?? {};
    return { id: at, display: insight.cycleOf(at).length > 0 ? "cycle" : state, reason };
  });
  // Missing ids and members of cycles come first.
  const rank = (b: Blocker): number => (DISPLAY_STATES as readonly string[]).indexOf(b.display);
  return [found.sort((a, b) => rank(a) - rank(b)), towards];
}

/** Marks of a node, such as `retrying`, `overdue`, `drift` or `old-revision`. */
export function marks(graph: FlowGraph, id: string, now: number): readonly string[] {
  return insightOf(graph, now).marks(id);
}

/** All downstream ids, nearest first, without `id`. */
export function blocks(graph: FlowGraph, id: string): readonly string[] {
  const seen = new Set([id]);
  for (const at of seen) for (const e of graph.out(at)) if (!e.danglingTo && e.toFlowId === undefined) seen.add(e.to);
  return [...seen].slice(1);
}

/** All upstream ids, nearest first, without `id`. */
export function upstream(graph: FlowGraph, id: string): readonly string[] {
  const seen = new Set([id]);
  for (const at of seen) for (const e of graph.in(at)) if (!e.danglingFrom && e.fromFlowId === undefined) seen.add(e.from);
  return [...seen].slice(1);
}
