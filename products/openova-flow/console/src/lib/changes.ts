import { displayState, metaOf, type DisplayState, type FlowNode, type NodeChange } from "@openova/flow-core";
import { shortId } from "./format.js";

/** One step in the life of a node, in words. */
export interface Step {
  readonly seq: number;
  readonly at: number;
  /** Null for its removal. */
  readonly display: DisplayState | null;
  readonly text: string;
}

const EVERYTHING = { has: (): boolean => true };

/** The steps that a person can tell apart, newest first. */
export function steps(changes: readonly NodeChange[]): readonly Step[] {
  const out: Step[] = [];
  let before: FlowNode | null = null;
  let isFirst = true;
  for (const { seq, at, node } of changes) {
    const text = isFirst && node !== null ? told(node) : difference(before, node);
    const display = node === null ? null : displayState(node, { nodes: EVERYTHING, now: at });
    if (isFirst || text !== "" || display !== out.at(-1)?.display) out.push({ seq, at, display, text });
    before = node;
    isFirst = false;
  }
  return out.reverse();
}

function told(node: FlowNode): string {
  const meta = metaOf(node);
  return meta.stalledReason ?? meta.reason ?? node.status;
}

function difference(before: FlowNode | null, after: FlowNode | null): string {
  if (after === null) return "removed";
  if (before === null) return "added";
  const a = metaOf(before);
  const b = metaOf(after);
  const parts: string[] = [];
  if (b.deletingSince !== undefined && a.deletingSince === undefined) parts.push("deletion began");
  if (b.suspended !== a.suspended) parts.push(b.suspended ? "suspended" : "resumed");
  if (b.reason !== a.reason && b.reason !== undefined) parts.push(b.reason);
  if (b.stalledReason !== a.stalledReason && b.stalledReason !== undefined) parts.push(b.stalledReason);
  if (b.waitingFor !== undefined && String(b.waitingFor) !== String(a.waitingFor)) parts.push(`waits for ${b.waitingFor.map(shortId).join(", ")}`);
  if (b.versionWanted !== a.versionWanted && b.versionWanted !== undefined) parts.push(`wants ${b.versionWanted}`);
  if (b.versionApplied !== a.versionApplied && b.versionApplied !== undefined) parts.push(`has ${b.versionApplied}`);
  if (b.attempts !== a.attempts && (b.attempts ?? 0) > 1) parts.push(`try ${b.attempts}`);
  if (after.status !== before.status && parts.length === 0) parts.push(after.status);
  return parts.join(", ");
}
