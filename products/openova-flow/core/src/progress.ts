import { push } from "./adjacency.js";
import { displayState, metaOf, noCounts, type DisplayContext, type DisplayCounts } from "./display.js";
import type { FlowGraph } from "./graph.js";
import { memberIds, type Rollout } from "./rollouts.js";
import { compareBytes } from "./state.js";
import type { FlowNode } from "./types.js";

export interface Progress {
  readonly total: number;
  /** How many are ready. */
  readonly done: number;
  /** done / total; 1 for nothing to do. */
  readonly fraction: number;
  readonly counts: DisplayCounts;
  /** All ready, and every Kustomization of the flow (or region) too. */
  readonly complete: boolean;
  readonly kustomizationsNotReady: number;
}
export interface RolloutProgress extends Progress {
  readonly startedAt: number;
  readonly endedAt?: number;
  readonly elapsedMs: number;
  /** When it will be done, from how long the same releases took before; absent unless that is known for all that is left. */
  readonly etaAt?: number;
}

class Tally {
  readonly counts = noCounts();
  total = 0;
  kustomizationsNotReady = 0;

  add(node: FlowNode, context: DisplayContext): void {
    this.total++;
    this.counts[displayState(node, context)]++;
    if (isUnreadyKustomization(node)) this.kustomizationsNotReady++;
  }

  done(): Progress {
    const { total, counts, kustomizationsNotReady } = this;
    const done = counts.ready;
    return {
      total,
      done,
      fraction: total === 0 ? 1 : done / total,
      counts,
      complete: total > 0 && done === total && kustomizationsNotReady === 0,
      kustomizationsNotReady,
    };
  }
}

function isUnreadyKustomization(node: FlowNode): boolean {
  return metaOf(node).kind === "Kustomization" && node.status !== "succeeded";
}

function contextOf(graph: FlowGraph, now: number): DisplayContext {
  return { graph, nodes: graph.nodes, unconfirmed: graph.state.unconfirmed, regions: graph.state.regions, now };
}

export function flowProgress(graph: FlowGraph, now: number): Progress {
  const tally = new Tally();
  const context = contextOf(graph, now);
  for (const id of graph.leaves) tally.add(graph.nodes.get(id) as FlowNode, context);
  return tally.done();
}

export function regionProgress(graph: FlowGraph, region: string, now: number): Progress {
  return progressByRegion(graph, now).get(region) ?? new Tally().done();
}

/** Of all regions at once, by region name in byte order. A region that has no more than its own node is there too. */
export function progressByRegion(graph: FlowGraph, now: number): ReadonlyMap<string, Progress> {
  const tallies = new Map<string, Tally>();
  const context = contextOf(graph, now);
  for (const [id, node] of graph.nodes) {
    const region = node.region ?? "";
    let tally = tallies.get(region);
    if (tally === undefined) tallies.set(region, (tally = new Tally()));
    if (!graph.isContainer(id) && !graph.isAuxiliary(id)) tally.add(node, context);
  }
  return new Map([...tallies].sort(([a], [b]) => compareBytes(a, b)).map(([region, tally]) => [region, tally.done()]));
}

/** Of a rollout. `history` are earlier rollouts, for the ETA. */
export function rolloutProgress(graph: FlowGraph, rollout: Rollout, now: number, history: readonly Rollout[] = []): RolloutProgress {
  const tally = new Tally();
  const context = contextOf(graph, now);
  const ids = memberIds(rollout);
  for (const id of ids) {
    const node = graph.nodes.get(id);
    if (node !== undefined && !graph.isContainer(id)) tally.add(node, context);
  }
  tally.kustomizationsNotReady = graph.leaves.filter((id) => isUnreadyKustomization(graph.nodes.get(id) as FlowNode)).length;
  const eta = rollout.endedAt === undefined ? estimate(graph, ids, now, context, history) : null;
  return {
    ...tally.done(),
    startedAt: rollout.startedAt,
    ...(rollout.endedAt === undefined ? {} : { endedAt: rollout.endedAt }),
    elapsedMs: Math.max(0, (rollout.endedAt ?? now) - rollout.startedAt),
    ...(eta === null ? {} : { etaAt: eta }),
  };
}

/** The end of the longest chain of what is left, each as long as it usually took; null when any of it is broken, held or unknown. */
function estimate(
  graph: FlowGraph,
  ids: ReadonlySet<string>,
  now: number,
  context: DisplayContext,
  history: readonly Rollout[],
): number | null {
  const usual = usualDurations(history);
  const left = new Map<string, number>();
  for (const id of ids) {
    const node = graph.nodes.get(id);
    if (node === undefined || graph.isContainer(id)) continue;
    const display = displayState(node, context);
    if (display === "ready") continue;
    const known = usual.get(node.label);
    if (known === undefined || graph.in(id).some((e) => e.cyclic)) return null;
    if (display !== "working" && display !== "waiting" && display !== "not-started") return null;
    const remaining = known - (display === "working" ? now - (node.startedAt ?? now) : 0);
    // Over its usual time there is no saying when it ends.
    if (remaining < 0) return null;
    left.set(id, remaining);
  }
  if (left.size === 0) return null;
  const ends = new Map<string, number>();
  const stack = [...left.keys()];
  for (let id = stack.at(-1); id !== undefined; id = stack.at(-1)) {
    if (ends.has(id)) {
      stack.pop();
      continue;
    }
    const before = graph.in(id).filter((e) => !e.cyclic && e.type === "finish-to-start" && left.has(e.from)).map((e) => e.from);
    const open = before.filter((b) => !ends.has(b));
    if (open.length > 0) {
      for (const b of open) stack.push(b);
      continue;
    }
    stack.pop();
    const begin = before.reduce((latest, b) => Math.max(latest, ends.get(b) as number), now);
    ends.set(id, begin + (left.get(id) as number));
  }
  return [...ends.values()].reduce((latest, end) => Math.max(latest, end));
}

/** The median working time of each release, by label, over all regions and rollouts in which it succeeded. */
function usualDurations(history: readonly Rollout[]): ReadonlyMap<string, number> {
  const all = new Map<string, number[]>();
  for (const r of history) {
    for (const m of r.members) {
      if (m.status !== "succeeded" || m.startedAt === undefined || m.endedAt === undefined) continue;
      push(all, m.label, m.endedAt - m.startedAt);
    }
  }
  return new Map([...all].map(([label, list]) => [label, list.sort((a, b) => a - b)[list.length >> 1] as number]));
}
