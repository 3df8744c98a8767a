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
  /** Ids from the blocker's first dependent to the blocked node itself. Made anew each time it is read: of many blockers use `blockingChains`. */
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
  /** The next node on the way to `id`, and how far that is. */
  const towards = new Map<string, string>();
  const distance = new Map([[id, 0]]);
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
      get path() {
        return wayFrom(at, towards, new Set()).slice(1);
      },
    });
    ways.set(found.at(-1) as Blocker, towards);
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
      distance.set(e.from, (distance.get(at) as number) + 1);
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
  return found.sort((a, b) => WORST_FIRST.indexOf(a.display) - WORST_FIRST.indexOf(b.display) || (distance.get(a.id) as number) - (distance.get(b.id) as number));
}

/** The next node on the way from each blocker. */
const ways = new WeakMap<Blocker, ReadonlyMap<string, string>>();

/** The ways of blockers that one call of `blockedBy` gave, each from the blocker on, up to where it joins one before it: no step is there twice. */
export function blockingChains(blockers: readonly Blocker[]): readonly (readonly string[])[] {
  const seen = new Set<string>();
  return blockers.map((b) => wayFrom(b.id, ways.get(b) as ReadonlyMap<string, string>, seen));
}

/** The way from an id up to its end, or to what is seen. What it passes is seen then. */
function wayFrom(from: string, towards: ReadonlyMap<string, string>, seen: Set<string>): readonly string[] {
  const way: string[] = [];
  for (let at: string | undefined = from; at !== undefined; at = towards.get(at)) {
    way.push(at);
    if (seen.has(at)) break;
    seen.add(at);
  }
  return way;
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
  return downstream(graph, [id], Infinity).ids;
}

/** The ids downstream of any of some, nearest first, without these, as far as looking at `most` edges tells; `more`: there may be others. */
export function downstream(graph: FlowGraph, from: readonly string[], most: number): { readonly ids: readonly string[]; readonly more: boolean } {
  const seen = new Set(from);
  let left = most;
  for (const at of seen) {
    for (const e of graph.out(at)) {
      if (left-- <= 0) return { ids: [...seen].slice(from.length), more: true };
      if (!e.danglingTo && e.toFlowId === undefined) seen.add(e.to);
    }
  }
  return { ids: [...seen].slice(from.length), more: false };
}

/** All ids upstream of `id`, nearest first, without `id`. */
export function upstream(graph: FlowGraph, id: string): readonly string[] {
  const seen = new Set([id]);
  for (const at of seen) for (const e of graph.in(at)) if (!e.danglingFrom && e.fromFlowId === undefined) seen.add(e.from);
  return [...seen].slice(1);
}
