import { metaOf, type FlowNode, type FlowState, type LogEntry } from "@openova/flow-core";

export interface Span {
  readonly from: number;
  readonly to: number;
}
export interface WorkSpan extends Span {
  /** It has not ended. */
  readonly isOpen: boolean;
  readonly hasFailed: boolean;
}
/** When a node waited and worked, as far as the log goes back. */
export interface Runs {
  readonly waiting: readonly Span[];
  readonly working: readonly WorkSpan[];
}

interface MutableRuns {
  waiting: { from: number; to: number }[];
  /** `key` is the latest `startedAt` of the run. */
  working: { key: number; from: number; to: number; isOpen: boolean; hasFailed: boolean }[];
}

/** A restart within this time after the start is the same run, for instance because its source became ready. */
const RESTART_MS = 5000;

/** The runs of every node up to `now`, from the entries of the log and the state before them. */
export function runs(base: FlowState | null, entries: readonly LogEntry[], now: number): ReadonlyMap<string, Runs> {
  const all = new Map<string, MutableRuns>();
  const see = (node: FlowNode, at: number): void => note(all, node, Math.min(at, now));
  for (const n of base?.nodes.values() ?? []) see(n, entries[0]?.at ?? now);
  for (const { at, message } of entries) {
    if (at > now) break;
    if (message.type === "upsert-nodes" || message.type === "snapshot") for (const n of message.nodes ?? []) see(n, at);
    else if (message.type === "delete-nodes") for (const id of message.ids) close(all.get(id), at);
  }
  for (const { working, waiting } of all.values()) {
    for (const s of working) if (s.isOpen) s.to = now;
    for (const s of waiting) if (s.to === Infinity) s.to = now;
  }
  return all;
}

function note(all: Map<string, MutableRuns>, node: FlowNode, at: number): void {
  let own = all.get(node.id);
  if (own === undefined) all.set(node.id, (own = { waiting: [], working: [] }));
  const { waitingSince } = metaOf(node);
  const waits = own.waiting.at(-1);
  if (waitingSince !== undefined) {
    if (waits?.to !== Infinity) own.waiting.push({ from: waitingSince, to: Infinity });
  } else if (waits?.to === Infinity) {
    const { startedAt } = node;
    waits.to = startedAt !== undefined && startedAt >= waits.from ? startedAt : at;
  }
  if (node.startedAt === undefined || node.startedAt > at) return;
  const works = own.working.at(-1);
  const isSame = works !== undefined && (works.key === node.startedAt || (works.isOpen && node.startedAt - works.from <= RESTART_MS));
  const run = isSame ? works : { key: 0, from: node.startedAt, to: node.startedAt, isOpen: true, hasFailed: false };
  run.key = node.startedAt;
  if (run !== works) {
    if (works?.isOpen) close(own, node.startedAt);
    own.working.push(run);
  }
  // A node that waits again has ended its run.
  run.isOpen = node.endedAt === undefined && node.status === "running" && waitingSince === undefined;
  run.hasFailed = node.status === "failed";
  run.to = run.isOpen ? at : (node.endedAt ?? (waitingSince === undefined ? at : run.to));
}

function close(own: MutableRuns | undefined, at: number): void {
  const works = own?.working.at(-1);
  if (works?.isOpen) {
    works.isOpen = false;
    works.to = at;
  }
  const waits = own?.waiting.at(-1);
  if (waits?.to === Infinity) waits.to = at;
}
