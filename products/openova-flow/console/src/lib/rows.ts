import { judgedAt, judgementOf, lastSeen, metaOf, times, type DisplayState, type FlowNode, type Regions } from "@openova/flow-core";
import { dateTime } from "./format.js";
import { shortRevision } from "./revisions.js";

export const COLUMNS = ["state", "release", "region", "namespace", "family", "version", "what", "started", "waited", "worked", "attempts"] as const;
export type Column = (typeof COLUMNS)[number];

export interface Row {
  readonly node: FlowNode;
  readonly name: string;
  readonly namespace: string;
  readonly display: DisplayState;
  readonly version: string;
  /** The current activity, or the cause that prevents it. */
  readonly what: string;
  readonly waitedMs: number;
  readonly workedMs: number;
  readonly attempts: number;
}

/** Worst first. */
const RANK: readonly DisplayState[] = ["broken", "terminating", "suspended", "working", "waiting", "not-started", "unconfirmed", "ready"];

export function toRow(node: FlowNode, display: DisplayState, now: number, name: (id: string) => string, regions?: Regions): Row {
  const meta = metaOf(node);
  const { waitingMs, workingMs } = times(node, now, regions);
  const lastSeenAt = lastSeen(regions, node.region);
  const what = [lastSeenAt === undefined ? "" : `as of ${dateTime(lastSeenAt, now)}`, whatOf(node, display, name, lastSeenAt ?? now)].filter((t) => t !== "").join("; ");
  return { node, name: name(node.id), namespace: meta.namespace ?? "", display, version: versionOf(node), what, waitedMs: waitingMs, workedMs: workingMs, attempts: meta.attempts ?? 0 };
}

/** The deployed version, and the wanted one if it differs; without both the revision. */
export function versionOf(node: FlowNode): string {
  const { versionApplied, versionWanted, revision } = metaOf(node);
  if (versionApplied !== undefined && versionWanted !== undefined && versionApplied !== versionWanted) return `${versionApplied} → ${versionWanted}`;
  return versionApplied ?? versionWanted ?? shortRevision(revision ?? "");
}

function whatOf(node: FlowNode, display: DisplayState, name: (id: string) => string, at: number): string {
  const meta = metaOf(node);
  if (display === "waiting") return meta.waitingFor === undefined ? "waiting" : `waits for ${meta.waitingFor.map(name).join(", ")}`;
  if (display === "suspended") return "suspended";
  if (display === "ready") return "";
  if (display === "terminating") return meta.finalizers === undefined ? "being deleted" : `being deleted, held by ${meta.finalizers.join(", ")}`;
  const judgement = judgementOf(node);
  // The line already shows the name.
  if (judgement.isJudged) return withoutName(judgedAt(judgement, at).sentence, node.label);
  return [meta.stalledReason ?? meta.reason, meta.message].filter((t) => t !== undefined).join(": ");
}

function withoutName(sentence: string, name: string): string {
  const rest = sentence.startsWith(name) ? /^(?:: | )(.*)$/s.exec(sentence.slice(name.length)) : null;
  return rest?.[1] ?? sentence;
}

export function sorted(rows: readonly Row[], column: Column, isDown: boolean): readonly Row[] {
  const key = KEYS[column];
  const way = isDown ? -1 : 1;
  return [...rows].sort((a, b) => {
    const x = key(a);
    const y = key(b);
    // Missing values come last in both directions.
    if (x === null || y === null) return x === y ? byId(a, b) : x === null ? 1 : -1;
    return x < y ? -way : x > y ? way : byId(a, b);
  });
}

const KEYS: Readonly<Record<Column, (r: Row) => string | number | null>> = {
  state: (r) => RANK.indexOf(r.display),
  release: (r) => r.name,
  region: (r) => r.node.region ?? null,
  namespace: (r) => (r.namespace === "" ? null : r.namespace),
  family: (r) => r.node.family ?? null,
  version: (r) => (r.version === "" ? null : r.version),
  what: (r) => (r.what === "" ? null : r.what),
  started: (r) => r.node.startedAt ?? null,
  waited: (r) => (r.waitedMs === 0 ? null : r.waitedMs),
  worked: (r) => (r.workedMs === 0 ? null : r.workedMs),
  attempts: (r) => (r.attempts === 0 ? null : r.attempts),
};

function byId(a: Row, b: Row): number {
  return a.node.id < b.node.id ? -1 : 1;
}
