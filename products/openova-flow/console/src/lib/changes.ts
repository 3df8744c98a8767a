import { metaOf, type DisplayState, type FlowNode, type NodeChange } from "@openova/flow-core";

export interface Step {
  readonly seq: number;
  readonly at: number;
  /** Null after a removal, or if unknown. */
  readonly display: DisplayState | null;
  readonly text: string;
}

/** The visible changes, newest first. `displayThen` returns the display state after a change, `name` the name of an id. */
export function steps(changes: readonly NodeChange[], displayThen: (change: NodeChange) => DisplayState | null, name: (id: string) => string): readonly Step[] {
  const out: Step[] = [];
  let before: FlowNode | null = null;
  let isFirst = true;
  for (const change of changes) {
    const { seq, at, node } = change;
    const text = isFirst && node !== null ? describe(node) : difference(before, node, name);
    const display = displayThen(change);
    if (isFirst || text !== "" || display !== out.at(-1)?.display) out.push({ seq, at, display, text });
    before = node;
    isFirst = false;
  }
  return out.reverse();
}

function describe(node: FlowNode): string {
  const meta = metaOf(node);
  return meta.stalledReason ?? meta.reason ?? node.status;
}

function difference(before: FlowNode | null, after: FlowNode | null, name: (id: string) => string): string {
  if (after === null) return "removed";
  if (before === null) return "added";
  const a = metaOf(before);
  const b = metaOf(after);
  const parts: string[] = [];
  if (b.deletingSince !== undefined && a.deletingSince === undefined) parts.push("deletion began");
  if (b.suspended !== a.suspended) parts.push(b.suspended ? "suspended" : "resumed");
  if (b.reason !== a.reason && b.reason !== undefined) parts.push(b.reason);
  if (b.stalledReason !== a.stalledReason && b.stalledReason !== undefined) parts.push(b.stalledReason);
  if (b.waitingFor !== undefined && String(b.waitingFor) !== String(a.waitingFor)) parts.push(`waits for ${b.waitingFor.map(name).join(", ")}`);
  if (b.versionWanted !== a.versionWanted && b.versionWanted !== undefined) parts.push(`wants ${b.versionWanted}`);
  if (b.versionApplied !== a.versionApplied && b.versionApplied !== undefined) parts.push(`has ${b.versionApplied}`);
  if (b.attempts !== a.attempts && (b.attempts ?? 0) > 1) parts.push(`try ${b.attempts}`);
  if (after.status !== before.status && parts.length === 0) parts.push(after.status);
  return parts.join(", ");
}
