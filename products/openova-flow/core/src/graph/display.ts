import { DISPLAY_STATES, fields, GRACE_MS, judgedAt, judgementOf, nextTurn, satisfied, type DisplayState, type Fields } from "./judgement.js";
import { knownUntil, lastSeen, type Regions } from "../contract/regions.js";
import type { ChartMeta, FlowNode, FluxMeta, NodeMeta, SourceMeta } from "../contract/types.js";

export { DISPLAY_STATES, type DisplayState };

/** What a display state depends on besides the node. A FlowState with `now` is one. */
export interface DisplayContext {
  readonly nodes: { has(id: string): boolean; get?(id: string): FlowNode | undefined };
  readonly unconfirmed?: ReadonlySet<string>;
  /** Nodes of a stale region are judged as of when the region was last seen. */
  readonly regions?: Regions;
  /** Returns the dependencies of a node whose emitter sent no judgement. */
  readonly graph?: { needs(node: FlowNode): readonly string[] } | undefined;
  readonly now: number;
}
export type DisplayCounts = Readonly<Record<DisplayState, number>>;

type Kind = "any" | "string" | "number" | "boolean" | "strings" | "part" | "notWatched";
const KINDS: Readonly<Record<keyof FluxMeta, Kind>> = {
  judgement: "any",
  auxiliary: "boolean",
  kind: "string",
  namespace: "string",
  uid: "string",
  ready: "string",
  reason: "string",
  message: "string",
  reasonSince: "number",
  stalled: "boolean",
  stalledReason: "string",
  stalledMessage: "string",
  waitingFor: "strings",
  dependsOnUnwatched: "strings",
  waitingSince: "number",
  suspended: "boolean",
  deletingSince: "number",
  finalizers: "strings",
  chart: "part",
  source: "part",
  versionWanted: "string",
  versionApplied: "string",
  revision: "string",
  originRevision: "string",
  readyRevision: "string",
  readySince: "number",
  updatedAt: "number",
  path: "string",
  helmRevision: "number",
  action: "string",
  attempts: "number",
  failures: "number",
  installFailures: "number",
  upgradeFailures: "number",
  generation: "number",
  observedGeneration: "number",
  startedAtIsLowerBound: "boolean",
  appliedBy: "string",
  namespaces: "strings",
  clusterUID: "string",
  notWatched: "notWatched",
  clockOffset: "number",
  targetCluster: "string",
  targetNamespace: "string",
  releaseName: "string",
  driftDetection: "string",
  drift: "string",
};

const cache = new WeakMap<NodeMeta, FluxMeta>();
const NO_META: FluxMeta = {};

/** The fields of `meta` that the Flux adapter writes, without those of a wrong type. The result is cached for each `meta` object. */
export function metaOf(node: FlowNode): FluxMeta {
  const meta = node.meta;
  if (meta === undefined) return NO_META;
  let read = cache.get(meta);
  if (read === undefined) {
    const out: Record<string, unknown> = {};
    for (const [key, kind] of Object.entries(KINDS)) {
      const value = readAs(kind, meta[key]);
      if (value !== undefined) out[key] = value;
    }
    read = out as FluxMeta;
    cache.set(meta, read);
  }
  return read;
}

function readAs(kind: Kind, value: unknown): unknown {
  switch (kind) {
    case "any":
      return value;
    case "strings":
      return Array.isArray(value) ? value.filter((v) => typeof v === "string") : undefined;
    case "part":
      return fields(value) && strings(fields(value));
    case "notWatched":
      return Array.isArray(value) ? value.filter(fields).map((v) => ({ kind: "", why: "", ...strings(v) })) : undefined;
    default:
      return typeof value === kind ? value : undefined;
  }
}

function strings(value: Fields = {}): ChartMeta & SourceMeta {
  return Object.fromEntries(Object.entries(value).filter(([, v]) => typeof v === "string"));
}

export function displayState(node: FlowNode, context: DisplayContext): DisplayState {
  return classify(node, context).display;
}

/** The next instant after `context.now` at which the node's own judgement may change its display state; Infinity if there is none. */
export function displayChangesAt(node: FlowNode, context: DisplayContext): number {
  return classify(node, context).until;
}

interface Classified {
  readonly display: DisplayState;
  readonly until: number;
}

function classify(node: FlowNode, context: DisplayContext): Classified {
  const lastSeenAt = lastSeen(context.regions, node.region);
  const now = Math.min(context.now, lastSeenAt ?? Infinity);
  const judgement = judgementOf(node);
  const { state, since } = judgedAt(judgement, now);
  const until = lastSeenAt === undefined ? nextTurn(judgement, now) : Infinity;
  if (context.unconfirmed?.has(node.id) && state !== "terminating") return { display: "unconfirmed", until };
  if (state !== "waiting") return { display: state, until };
  const nodeOf = (id: string): FlowNode | undefined => (id === node.id ? node : context.nodes.get?.(id));
  if (judgement.readyWhile.length > 0 && satisfied([node.id], nodeOf, (n) => knownUntil(context.regions, n.region, now)).has(node.id)) return { display: "ready", until };
  const needs = judgement.isJudged ? judgement.needs : (context.graph?.needs(node) ?? judgement.needs);
  if (since === undefined || needs.every((id) => context.nodes.has(id))) return { display: "waiting", until };
  if (now - since > GRACE_MS) return { display: "broken", until };
  return { display: "waiting", until: lastSeenAt === undefined ? Math.min(until, since + GRACE_MS + 1) : until };
}

export function noCounts(): Record<DisplayState, number> {
  return Object.fromEntries(DISPLAY_STATES.map((d) => [d, 0])) as Record<DisplayState, number>;
}

export interface NodeTimes {
  readonly waitingMs: number;
  readonly workingMs: number;
}
/** The waiting and the working time of the current run. What has not ended counts until `at`; in a stale region, until that was last seen. */
export function times(node: FlowNode, at: number, regions?: Regions): NodeTimes {
  const now = knownUntil(regions, node.region, at);
  const { waitingSince } = metaOf(node);
  const { startedAt, endedAt, status } = node;
  // A node that waits again after a run is not working, but the end of that run is unknown.
  const waitsAgain = waitingSince !== undefined && startedAt !== undefined && startedAt < waitingSince && endedAt === undefined;
  const over = status === "failed" || status === "succeeded" || waitsAgain;
  const workedUntil = endedAt ?? (over ? startedAt : now);
  const waitedUntil = startedAt !== undefined && waitingSince !== undefined && startedAt >= waitingSince ? startedAt : now;
  return {
    workingMs: startedAt === undefined ? 0 : Math.max(0, (workedUntil ?? startedAt) - startedAt),
    waitingMs: waitingSince === undefined ? 0 : Math.max(0, waitedUntil - waitingSince),
  };
}
