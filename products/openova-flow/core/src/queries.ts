import type { DisplayState } from "./display.js";
import type { FlowGraph } from "./graph.js";
import { Insight } from "./insight.js";

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

/** What keeps a node from going on, worst first. Empty for one that has begun or waits for nothing. */
export function blockedBy(graph: FlowGraph, id: string, now: number): readonly Blocker[] {
  const insight = new Insight(graph, now);
  const held = insight.heldBy(id);
  if (held.length === 0) return [];
  const { towards, distance } = waysTo(insight, id);
  const found = held.map((at): Blocker => {
    const judged = insight.at(at);
    const blocker: Blocker = {
      id: at,
      label: graph.nodes.get(at)?.label ?? at,
      display: insight.cycleOf(at).length > 0 ? "cycle" : (judged?.state ?? "missing"),
      reason: judged?.class ?? "",
      message: judged?.sentence ?? "",
      get path() {
        return wayFrom(at, towards, new Set()).slice(1);
      },
    };
    ways.set(blocker, towards);
    return blocker;
  });
  const far = (b: Blocker): number => distance.get(b.id) ?? 0;
  return found.sort((a, b) => WORST_FIRST.indexOf(a.display) - WORST_FIRST.indexOf(b.display) || far(a) - far(b));
}

/** The next node on the way to `id` from each node that it waits for, directly or not, and how far that is. */
function waysTo(insight: Insight, id: string): { readonly towards: ReadonlyMap<string, string>; readonly distance: ReadonlyMap<string, number> } {
  const towards = new Map<string, string>();
  const distance = new Map([[id, 0]]);
  for (const [at, steps] of distance) {
    for (const from of insight.behind(at)) {
      if (distance.has(from)) continue;
      distance.set(from, steps + 1);
      towards.set(from, at);
    }
  }
  return { towards, distance };
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

/** Marks beside the display state, such as `retrying`, `overdue`, `drift` or `old-revision`. */
export function marks(graph: FlowGraph, id: string, now: number): readonly string[] {
  return new Insight(graph, now).marks(id);
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
