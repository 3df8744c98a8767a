import { displayState, metaOf, type DisplayState } from "./display.js";
import type { FlowGraph, GraphEdge } from "./graph.js";

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

const WORST_FIRST: readonly Blocker["display"][] = [
  "missing",
  "cycle",
  "broken",
  "terminating",
  "suspended",
  "not-started",
  "waiting",
  "working",
  "unconfirmed",
  "ready",
];

/** The earliest unfinished or failed nodes upstream of `id`, worst first. Empty for one that has succeeded or waits for nothing. */
export function blockedBy(graph: FlowGraph, id: string, now: number): readonly Blocker[] {
  if (graph.nodes.get(id)?.status === "succeeded") return [];
  const context = { nodes: graph.nodes, unconfirmed: graph.state.unconfirmed, regions: graph.state.regions, now };
  /** The next node on the way to `id`. */
  const towards = new Map<string, string>();
  const found: Blocker[] = [];
  const report = (at: string, display: Blocker["display"]): void => {
    const node = graph.nodes.get(at);
    const meta = node === undefined ? {} : metaOf(node);
    found.push({
      id: at,
      label: node?.label ?? at,
      display,
      reason: meta.stalledReason ?? meta.reason ?? "",
      message: meta.message ?? meta.stalledMessage ?? "",
      path: pathTo(id, at, towards),
    });
  };
  const queue = [id];
  const seen = new Set(queue);
  for (let i = 0; i < queue.length; i++) {
    const at = queue[i] as string;
    const node = graph.nodes.get(at);
    const display = node === undefined ? "missing" : displayState(node, context);
    const held = node === undefined ? [] : graph.in(at).filter((e) => holds(graph, e));
    const root = held.length === 0 || display === "broken" || display === "suspended" || display === "terminating" || display === "working";
    if (at !== id && root) report(at, display);
    if (at !== id && display === "working") continue;
    for (const e of held) {
      if (seen.has(e.from)) continue;
      seen.add(e.from);
      towards.set(e.from, at);
      queue.push(e.from);
    }
  }
  if (found.length === 0) for (const at of queue) if (graph.cyclic.has(at)) report(at, "cycle");
  if (found.length === 0) {
    // A cycle over regions holds each of them by what the others declare.
    const region = graph.nodes.get(id)?.region ?? "";
    const across = new Set(graph.cyclesAcross.flatMap((c) => c.ids));
    for (const at of queue) if (across.has(at) && (graph.nodes.get(at)?.region ?? "") !== region) report(at, "cycle");
  }
  return found.sort((a, b) => WORST_FIRST.indexOf(a.display) - WORST_FIRST.indexOf(b.display) || a.path.length - b.path.length);
}

function pathTo(id: string, from: string, towards: ReadonlyMap<string, string>): readonly string[] {
  const path: string[] = [];
  for (let at = towards.get(from); at !== undefined; at = towards.get(at)) {
    path.push(at);
    if (at === id) break;
  }
  return path;
}

/** Whether an edge keeps its `to` from going on. What lies in another flow is not known and holds nothing. */
function holds(graph: FlowGraph, e: GraphEdge): boolean {
  if (e.type === "triggers" || e.fromFlowId !== undefined) return false;
  const from = graph.nodes.get(e.from);
  if (from === undefined) return true;
  if (e.type === "start-to-start" || e.type === "start-to-finish") return from.status === "pending" && from.startedAt === undefined;
  switch (e.condition) {
    case "on-failure":
      return from.status !== "failed";
    case "always":
      return from.status !== "failed" && from.status !== "succeeded";
    default:
      return from.status !== "succeeded";
  }
}

/** All ids downstream of `id`, nearest first, without `id`. */
export function blocks(graph: FlowGraph, id: string): readonly string[] {
  return reach(id, (at) => graph.out(at).filter((e) => !e.danglingTo && e.toFlowId === undefined).map((e) => e.to));
}

/** All ids upstream of `id`, nearest first, without `id`. */
export function upstream(graph: FlowGraph, id: string): readonly string[] {
  return reach(id, (at) => graph.in(at).filter((e) => !e.danglingFrom && e.fromFlowId === undefined).map((e) => e.from));
}

function reach(id: string, next: (at: string) => readonly string[]): readonly string[] {
  const seen = new Set([id]);
  for (const at of seen) for (const to of next(at)) seen.add(to);
  seen.delete(id);
  return [...seen];
}
