import { displayState, judgedAt, judgementOf, knownUntil, lastHeard, metaOf, times, type DisplayState, type FlowNode, type Regions } from "@openova/flow-core";
import { WORDS } from "./format.js";

export const COLUMNS = ["state", "release", "region", "family", "version", "what", "started", "waited", "worked", "attempts"] as const;
export type Column = (typeof COLUMNS)[number];

/** One line of the table, with all that it sorts by. */
export interface Row {
  readonly node: FlowNode;
  readonly display: DisplayState;
  readonly version: string;
  /** What matters about it now. */
  readonly what: string;
  readonly waitedMs: number;
  readonly workedMs: number;
  readonly attempts: number;
}

/** Worst first: what a person looks for stands on top. */
const RANK: readonly DisplayState[] = ["broken", "terminating", "suspended", "working", "waiting", "not-started", "unconfirmed", "ready"];

export function toRow(node: FlowNode, display: DisplayState, now: number, label: (id: string) => string, regions?: Regions): Row {
  const meta = metaOf(node);
  const { waitingMs, workingMs } = times(node, now, regions);
  return { node, display, version: versionOf(node), what: [wasOf(node, regions), whatOf(node, display, label, knownUntil(regions, node.region, now))].filter((t) => t !== "").join("; "), waitedMs: waitingMs, workedMs: workingMs, attempts: meta.attempts ?? 0 };
}

/** What it was when its region was last heard of, where that is no longer so; else empty. */
export function wasOf(node: FlowNode, regions: Regions | undefined): string {
  const heard = lastHeard(regions, node.region);
  return heard === undefined ? "" : `was ${WORDS[displayState(node, { nodes: EVERYTHING, now: heard })]}`;
}

const EVERYTHING = { has: (): boolean => true };

/** The version that is deployed, and the one that is wanted where that is another. */
export function versionOf(node: FlowNode): string {
  const { versionApplied, versionWanted, revision } = metaOf(node);
  if (versionApplied !== undefined && versionWanted !== undefined && versionApplied !== versionWanted) return `${versionApplied} → ${versionWanted}`;
  return versionApplied ?? versionWanted ?? revision ?? "";
}

function whatOf(node: FlowNode, display: DisplayState, label: (id: string) => string, at: number): string {
  const meta = metaOf(node);
  if (display === "waiting") return meta.waitingFor === undefined ? "waiting" : `waits for ${meta.waitingFor.map(label).join(", ")}`;
  if (display === "suspended") return "suspended";
  if (display === "ready") return "";
  if (display === "terminating") return meta.finalizers === undefined ? "being deleted" : `being deleted, held by ${meta.finalizers.join(", ")}`;
  const judgement = judgementOf(node);
  // The line begins with its name already.
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
    // What is not there stands last whichever way one sorts.
    if (x === null || y === null) return x === y ? byId(a, b) : x === null ? 1 : -1;
    return x < y ? -way : x > y ? way : byId(a, b);
  });
}

const KEYS: Readonly<Record<Column, (r: Row) => string | number | null>> = {
  state: (r) => RANK.indexOf(r.display),
  release: (r) => r.node.label,
  region: (r) => r.node.region ?? null,
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
