import { push } from "../graph/adjacency.js";
import { displayState, metaOf, noCounts, type DisplayContext, type DisplayCounts, type DisplayState } from "../graph/display.js";
import { contextOf, type FlowGraph } from "../graph/graph.js";
import { lastSeen } from "../contract/regions.js";
import { memberIds, type Rollout, type RolloutMember } from "../contract/rollouts.js";
import { compareBytes } from "../fold/state.js";
import type { FlowNode } from "../contract/types.js";
import { keyOf } from "../words/names.js";
import type { Usual } from "../words/time.js";

export interface Progress {
  readonly total: number;
  /** Number of ready members. */
  readonly done: number;
  /** done / total; 1 without members. */
  readonly fraction: number;
  readonly counts: DisplayCounts;
  /** Number of members in stale regions. */
  readonly stale: number;
  /** There are members, all are ready, none is in a stale region, and `kustomizationsNotReady` is 0. */
  readonly complete: boolean;
  /** Number of leaves of the flow (or region) that are Kustomizations and not ready; 0 for an ended rollout. */
  readonly kustomizationsNotReady: number;
}
export interface RolloutProgress extends Progress {
  readonly startedAt: number;
  readonly endedAt?: number;
  /** Time since the start: until now, until the end of an ended rollout, or until the last member of a complete one ended. */
  readonly elapsedMs: number;
  /** Expected end, from earlier durations of the same releases; absent if it cannot be estimated. */
  readonly etaAt?: number;
}

class Tally {
  readonly counts = noCounts();
  total = 0;
  stale = 0;
  kustomizationsNotReady = 0;

  add(node: FlowNode, context: DisplayContext): void {
    this.count(displayState(node, context));
    if (lastSeen(context.regions, node.region) !== undefined) this.stale++;
    if (isUnreadyKustomization(node)) this.kustomizationsNotReady++;
  }

  count(display: DisplayState): void {
    this.total++;
    this.counts[display]++;
  }

  done(): Progress {
    const { total, counts, stale, kustomizationsNotReady } = this;
    const done = counts.ready;
    return {
      total,
      done,
      fraction: total === 0 ? 1 : done / total,
      counts,
      stale,
      complete: total > 0 && done === total && kustomizationsNotReady === 0 && stale === 0,
      kustomizationsNotReady,
    };
  }
}

function isUnreadyKustomization(node: FlowNode): boolean {
  return metaOf(node).kind === "Kustomization" && node.status !== "succeeded";
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

/** The progress of all regions in one pass, by name in byte order. Includes regions that have only their own node. */
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

/** The display state of a member at the end of an ended rollout. */
export function displayAtEnd({ status, startedAt, waitingSince }: RolloutMember): DisplayState {
  if (status === "succeeded") return "ready";
  if (status === "failed") return "broken";
  if (startedAt !== undefined && !(waitingSince !== undefined && waitingSince > startedAt)) return "working";
  return waitingSince === undefined ? "not-started" : "waiting";
}

/**
 * The progress of a rollout: from its members as recorded if it has ended, otherwise from the nodes. `history` has earlier rollouts, for
 * the ETA.
 */
export function rolloutProgress(graph: FlowGraph, rollout: Rollout, now: number, history: readonly Rollout[] = []): RolloutProgress {
  const tally = new Tally();
  const { startedAt, endedAt } = rollout;
  if (endedAt !== undefined) {
    for (const m of rollout.members) tally.count(displayAtEnd(m));
    return { ...tally.done(), startedAt, endedAt, elapsedMs: Math.max(0, endedAt - startedAt) };
  }
  const context = contextOf(graph, now);
  const ids = memberIds(rollout);
  const members = [...ids].flatMap((id) => (graph.isContainer(id) ? [] : (graph.nodes.get(id) ?? [])));
  for (const node of members) tally.add(node, context);
  tally.kustomizationsNotReady = graph.leaves.filter((id) => isUnreadyKustomization(graph.nodes.get(id) as FlowNode)).length;
  const progress = tally.done();
  const eta = estimate(graph, ids, now, context, history);
  const until = progress.complete ? members.reduce((last, n) => Math.max(last, n.endedAt ?? last), startedAt) : now;
  return { ...progress, startedAt, elapsedMs: Math.max(0, until - startedAt), ...(eta === null ? {} : { etaAt: eta }) };
}

/** The end of the longest remaining chain, each member with its usual duration; null if that is unknown or a member makes no progress. */
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
    const known = usual.get(keyOf(node))?.median;
    if (known === undefined || graph.in(id).some((e) => e.cyclic)) return null;
    if ((display !== "working" && display !== "waiting" && display !== "not-started") || lastSeen(context.regions, node.region) !== undefined) return null;
    const remaining = known - (display === "working" ? now - (node.startedAt ?? now) : 0);
    // A member that exceeds its usual duration has no expected end.
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
    const before = graph.in(id).filter((e) => !e.cyclic && e.fromFlowId === undefined && e.type === "finish-to-start" && left.has(e.from)).map((e) => e.from);
    const unknown = before.filter((b) => !ends.has(b));
    if (unknown.length > 0) {
      for (const b of unknown) stack.push(b);
      continue;
    }
    stack.pop();
    const begin = before.reduce((latest, b) => Math.max(latest, ends.get(b) as number), now);
    ends.set(id, begin + (left.get(id) as number));
  }
  return [...ends.values()].reduce((latest, end) => Math.max(latest, end));
}

/** How long each release worked, by key, over all regions and rollouts in which it succeeded. */
export function usualDurations(history: readonly Rollout[]): ReadonlyMap<string, Usual> {
  const all = new Map<string, number[]>();
  for (const r of history) {
    for (const m of r.members) {
      if (m.status !== "succeeded" || m.startedAt === undefined || m.endedAt === undefined) continue;
      push(all, keyOf(m), m.endedAt - m.startedAt);
    }
  }
  return new Map([...all].map(([key, list]) => {
    list.sort((a, b) => a - b);
    return [key, { median: list[list.length >> 1] as number, least: list[0] as number, most: list.at(-1) as number }];
  }));
}
