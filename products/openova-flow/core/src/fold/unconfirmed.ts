import { Edit, emptyState, fold, isOwnEnd, type FlowState } from "./state.js";
import type { FlowMessage, FlowNode, Relationship } from "../contract/types.js";

/** Time that a region gets to send the rest of its report after the first message. */
const REPORT_MS = 2_000;

/**
 * A flow after a restart of its server. Nodes that the server has not received again stay in `shown`, marked as unconfirmed, until the
 * deadline of their region.
 */
export interface Restart {
  /** What the server has sent since the restart. */
  readonly confirmed: FlowState;
  /** `confirmed`, and the unconfirmed nodes with their relationships. */
  readonly shown: FlowState;
  /** When the unconfirmed nodes of a region are removed. Empty once the restart is over. */
  readonly deadlines: ReadonlyMap<string, number>;
}

/** Begins a restart: all nodes become unconfirmed, for at most `keepMs`. */
export function beginRestart(state: FlowState, now: number, keepMs: number): Restart {
  const deadlines = new Map<string, number>();
  for (const n of state.nodes.values()) deadlines.set(n.region ?? "", now + keepMs);
  return rebase({ confirmed: emptyState(state.flowId), shown: state, deadlines });
}

export function foldRestart(restart: Restart, message: FlowMessage, now: number): Restart {
  const confirmed = fold(restart.confirmed, message);
  const received = message.type === "snapshot" || message.type === "upsert-nodes" ? (message.nodes ?? []) : [];
  const deadlines = new Map(restart.deadlines);
  for (const n of received) {
    const deadline = deadlines.get(n.region ?? "");
    if (deadline !== undefined) deadlines.set(n.region ?? "", Math.min(deadline, now + REPORT_MS));
  }
  const next = { confirmed, shown: restart.shown, deadlines };
  return message.type === "snapshot" ? rebase(next) : { ...next, shown: fold(restart.shown, message) };
}

/** Removes the unconfirmed nodes of regions whose deadline has passed. */
export function expireRestart(restart: Restart, now: number): Restart {
  const deadlines = new Map([...restart.deadlines].filter(([, deadline]) => deadline > now));
  return deadlines.size === restart.deadlines.size ? restart : rebase({ ...restart, deadlines });
}

/** Computes `shown`: the confirmed state, and the unconfirmed nodes of regions that still have a deadline. */
function rebase(restart: Restart): Restart {
  const { confirmed, shown, deadlines } = restart;
  const nodes = new Map<string, FlowNode>(confirmed.nodes);
  const rels = new Map<string, Relationship>(confirmed.rels);
  const kept = new Set<string>();
  for (const [id, n] of shown.nodes) {
    if (nodes.has(id) || !deadlines.has(n.region ?? "")) continue;
    nodes.set(id, n);
    kept.add(id);
  }
  const isInUnconfirmedRegion = (id: string, flowId: string | undefined): boolean => {
    const n = isOwnEnd(flowId, shown.flowId) ? nodes.get(id) : undefined;
    return n !== undefined && deadlines.has(n.region ?? "");
  };
  for (const [key, r] of shown.rels) {
    if (!rels.has(key) && (isInUnconfirmedRegion(r.fromId, r.fromFlowId) || isInUnconfirmedRegion(r.toId, r.toFlowId))) rels.set(key, r);
  }
  const edit = new Edit(shown);
  edit.replace(confirmed.flow ?? (deadlines.size > 0 ? shown.flow : null), nodes, rels, kept);
  return { ...restart, shown: edit.done() };
}
