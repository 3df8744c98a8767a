import type { FlowMessage, FlowNode, Relationship, RelKey } from "../src/index.js";
import { CONDITIONS, RELATIONSHIP_TYPES } from "../src/index.js";

/** A small seeded generator (mulberry32): the same seed gives the same numbers everywhere. */
export class Random {
  #state: number;
  constructor(seed: number) {
    this.#state = seed >>> 0;
  }
  /** At least 0, below 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  }
  below(n: number): number {
    return Math.floor(this.next() * n);
  }
  chance(p: number): boolean {
    return this.next() < p;
  }
  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }
}

// Few ids, so that messages concern the same elements. Some are unusual, to test order and keys.
const IDS = ["a", "b", "B", "fsn1/bp-cilium", "fsn1/x y", "ü", "é", "\u{1f680}", "\uffff", "z\u0000", "", "10", "9", "fsn1", "hel1"];
const STATUSES = ["pending", "running", "succeeded", "failed", "odd"];

/** A sequence of valid messages for flow `flowId`, many of which concern the same nodes and edges. */
export function randomMessages(r: Random, flowId: string, count: number): FlowMessage[] {
  return Array.from({ length: count }, () => randomMessage(r, flowId));
}

function randomMessage(r: Random, flowId: string): FlowMessage {
  const some = <T>(make: () => T, least = 1): T[] => Array.from({ length: least + r.below(4) }, make);
  const flow = { id: flowId, status: r.pick(STATUSES), startedAt: r.below(1e6), ...(r.chance(0.3) ? { extra: { n: r.below(9) } } : {}) };
  switch (r.below(12)) {
    case 0:
      return {
        type: "snapshot",
        flow,
        ...(r.chance(0.8) ? { nodes: some(() => randomNode(r, flowId), 0) } : {}),
        ...(r.chance(0.8) ? { relationships: some(() => randomRel(r, flowId), 0) } : {}),
      };
    case 1:
      return { type: "upsert-flow", flow };
    case 2:
    case 3:
      return { type: "delete-nodes", ids: some(() => r.pick(IDS)) };
    case 4:
    case 5:
      return { type: "delete-rels", pairs: some(() => randomKey(r)) };
    case 6:
    case 7:
    case 8:
      return { type: "upsert-rels", relationships: some(() => randomRel(r, flowId)) };
    default:
      return { type: "upsert-nodes", nodes: some(() => randomNode(r, flowId)), ...(r.chance(0.1) ? { ids: null } : {}) };
  }
}

function randomNode(r: Random, flowId: string): FlowNode {
  return {
    id: r.pick(IDS.filter((id) => id !== "")),
    flowId,
    label: `n${r.below(100)}`,
    status: r.pick(STATUSES),
    ...(r.chance(0.7) ? { region: r.pick(["fsn1", "hel1", ""]) } : {}),
    ...(r.chance(0.5) ? { startedAt: r.below(1e6) - 10 } : {}),
    ...(r.chance(0.3) ? { endedAt: r.below(1e6) } : {}),
    ...(r.chance(0.3) ? { meta: { reason: "Progressing", deep: [{ x: null }] } } : {}),
    ...(r.chance(0.1) ? { future: true } : {}),
  };
}

function randomKey(r: Random): RelKey {
  return { fromId: r.pick(IDS), toId: r.pick(IDS), type: r.pick(RELATIONSHIP_TYPES) };
}

function randomRel(r: Random, flowId: string): Relationship {
  return {
    ...randomKey(r),
    ...(r.chance(0.2) ? { fromFlowId: r.pick(["other", flowId, ""]) } : {}),
    ...(r.chance(0.2) ? { toFlowId: r.pick(["other", flowId, ""]) } : {}),
    ...(r.chance(0.4) ? { condition: r.pick(CONDITIONS) } : {}),
    ...(r.chance(0.2) ? { lag: r.below(60) } : {}),
  };
}
