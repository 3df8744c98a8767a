import { Edit, emptyState, fold, isOwnEnd, type FlowState } from "./state.js";
import type { FlowMessage, FlowNode, Relationship } from "./types.js";

/** After the first word from a region the rest of its report may still be on its way. */
const REPORT_MS = 2_000;

/**
 * A flow after its server began anew. What the server has not heard of again stays in `shown`, marked unconfirmed, until its region
 * has reported or the time is up.
 */
export interface Restart {
  /** What the server has said since. */
  readonly confirmed: FlowState;
  /** That, and what is kept. */
  readonly shown: FlowState;
  /** By region: when what is still unconfirmed of it goes. */
  readonly deadlines: ReadonlyMap<string, number>;
}

/** Everything there is becomes unconfirmed. */
export function beginRestart(state: FlowState, now: number, keepMs: number): Restart {
  const deadlines = new Map<string, number>();
  for (const n of state.nodes.values()) deadlines.set(n.region ?? "", now + keepMs);
  return rebase({ confirmed: emptyState(state.flowId), shown: state, deadlines }, new Set(state.nodes.keys()));
}

export function foldRestart(restart: Restart, message: FlowMessage, now: number): Restart {
  const confirmed = fold(restart.confirmed, message);
  const heard = message.type === "snapshot" || message.type === "upsert-nodes" ? (message.nodes ?? []) : [];
  const deadlines = new Map(restart.deadlines);
  for (const n of heard) {
    const deadline = deadlines.get(n.region ?? "");
    if (deadline !== undefined) deadlines.set(n.region ?? "", Math.min(deadline, now + REPORT_MS));
  }
  const next = { confirmed, shown: restart.shown, deadlines };
  return message.type === "snapshot" ? rebase(next, restart.shown.unconfirmed) : { ...next, shown: fold(restart.shown, message) };
}

/** Drops what is due. Once nothing is unconfirmed the restart is over: `shown` is what the server says. */
export function expireRestart(restart: Restart, now: number): Restart {
  const due = (region: string): boolean => (restart.deadlines.get(region) ?? 0) <= now;
  const { nodes, unconfirmed } = restart.shown;
  const kept = new Set([...unconfirmed].filter((id) => !due(nodes.get(id)?.region ?? "")));
  return kept.size === unconfirmed.size && kept.size > 0 ? restart : rebase(restart, kept);
}

/** Shows what is confirmed and, of the rest, the nodes of `keep` with their relationships. */
function rebase(restart: Restart, keep: ReadonlySet<string>): Restart {
  const { confirmed, shown } = restart;
  const nodes = new Map<string, FlowNode>(confirmed.nodes);
  const rels = new Map<string, Relationship>(confirmed.rels);
  const kept = new Set<string>();
  for (const id of keep) {
    const node = shown.nodes.get(id);
    if (node === undefined || nodes.has(id)) continue;
    nodes.set(id, node);
    kept.add(id);
  }
  const touchesKept = (id: string, flowId: string | undefined): boolean => isOwnEnd(flowId, shown.flowId) && kept.has(id);
  for (const [key, r] of shown.rels) {
    if (!rels.has(key) && (touchesKept(r.fromId, r.fromFlowId) || touchesKept(r.toId, r.toFlowId))) rels.set(key, r);
  }
  const edit = new Edit(shown);
  edit.replace(confirmed.flow ?? (kept.size > 0 ? shown.flow : null), nodes, rels, kept);
  return { ...restart, shown: edit.done() };
}
