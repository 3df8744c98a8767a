import { PersistentMap, type Draft } from "./persistent.js";
import { NO_REGIONS, type Regions } from "../contract/regions.js";
import type { FlowInstance, FlowMessage, FlowNode, FullSnapshot, RelKey, Relationship } from "../contract/types.js";

/**
 * The folded state of a flow. It is immutable: `fold` returns a new state that shares unchanged parts, so old states cost little memory.
 * The maps are unordered.
 */
export interface FlowState {
  readonly flowId: string;
  /** Null until the first snapshot or upsert-flow. */
  readonly flow: FlowInstance | null;
  readonly nodes: ReadonlyMap<string, FlowNode>;
  /** By `relKey`. */
  readonly rels: ReadonlyMap<string, Relationship>;
  /** Ids of nodes from before a restart of the server that have not been sent again yet. */
  readonly unconfirmed: ReadonlySet<string>;
  /** The claims of regions. They come from the server beside the messages; no message changes them. */
  readonly regions: Regions;
  /** A number of its own for each state. Use it only for comparisons. */
  readonly version: number;
  /**
   * Equal numbers mean relationships that are equal except for extra fields, and nodes with equal ids, regions and roles (`auxiliary`, kind
   * Region). Use it only for comparisons.
   */
  readonly topologyVersion: number;
}

const NONE: ReadonlySet<string> = new Set();

// Numbers are never reused, so independent states are never equal by accident.
let lastStamp = 0;

export function emptyState(flowId: string): FlowState {
  return {
    flowId,
    flow: null,
    nodes: new PersistentMap<FlowNode>(),
    rels: new PersistentMap<Relationship>(),
    unconfirmed: NONE,
    regions: NO_REGIONS,
    version: ++lastStamp,
    topologyVersion: ++lastStamp,
  };
}

/** The state after a message, which must be valid for the state's flow. */
export function fold(state: FlowState, message: FlowMessage): FlowState {
  return foldAll(state, [message]);
}

/** Folds several messages, faster than one by one. */
export function foldAll(state: FlowState, messages: Iterable<FlowMessage>): FlowState {
  const edit = new Edit(state);
  for (const message of messages) edit.apply(message);
  return edit.done();
}

/** The state with other claims of regions. */
export function withRegions(state: FlowState, regions: Regions): FlowState {
  return state.regions === regions || (state.regions.size === 0 && regions.size === 0) ? state : { ...state, regions, version: ++lastStamp };
}

/** Collects changes of a state. */
export class Edit {
  readonly #from: FlowState;
  #flow: FlowInstance | null;
  readonly #nodes: Draft<FlowNode>;
  readonly #rels: Draft<Relationship>;
  #unconfirmed: Set<string> | null = null;
  #changed = false;
  #topologyChanged = false;

  constructor(state: FlowState) {
    this.#from = state;
    this.#flow = state.flow;
    this.#nodes = (state.nodes as PersistentMap<FlowNode>).draft();
    this.#rels = (state.rels as PersistentMap<Relationship>).draft();
  }

  apply(m: FlowMessage): void {
    this.#changed = true;
    switch (m.type) {
      case "snapshot":
        return this.replace(
          m.flow,
          new Map((m.nodes ?? []).map((n) => [n.id, n])),
          new Map((m.relationships ?? []).map((r) => [relKey(r), r])),
        );
      case "upsert-flow":
        this.#flow = m.flow;
        return;
      case "upsert-nodes":
        for (const n of m.nodes) this.#putNode(n);
        return;
      case "upsert-rels":
        for (const r of m.relationships) this.#putRel(r);
        return;
      case "delete-nodes":
        return this.#dropNodes(new Set(m.ids));
      case "delete-rels":
        for (const p of m.pairs) this.#dropRel(relKey(p));
    }
  }

  #putNode(n: FlowNode): void {
    this.#touchNode(n);
    this.#nodes.set(n.id, n);
    this.#confirm(n.id);
  }

  #putRel(r: Relationship): void {
    const key = relKey(r);
    this.#touchRel(key, r);
    this.#rels.set(key, r);
  }

  /** Removes nodes, and all of their relationships in this flow. */
  #dropNodes(ids: ReadonlySet<string>): void {
    const touching: string[] = [];
    for (const [key, r] of this.#rels.entries()) {
      if ((ids.has(r.fromId) && this.#isOwn(r.fromFlowId)) || (ids.has(r.toId) && this.#isOwn(r.toFlowId))) touching.push(key);
    }
    for (const key of touching) this.#dropRel(key);
    for (const id of ids) this.#dropNode(id);
  }

  /** Replaces everything but the claims. The maps must not change afterwards. */
  replace(
    flow: FlowInstance | null,
    nodes: ReadonlyMap<string, FlowNode>,
    rels: ReadonlyMap<string, Relationship>,
    unconfirmed: ReadonlySet<string> = NONE,
  ): void {
    this.#changed = true;
    this.#flow = flow;
    for (const [key] of this.#rels.entries()) if (!rels.has(key)) this.#topologyChanged = true;
    for (const [id] of this.#nodes.entries()) if (!nodes.has(id)) this.#topologyChanged = true;
    for (const n of nodes.values()) this.#touchNode(n);
    this.#nodes.replace(nodes);
    for (const [key, r] of rels) this.#touchRel(key, r);
    this.#rels.replace(rels);
    this.#unconfirmed = new Set(unconfirmed);
  }

  done(): FlowState {
    if (!this.#changed) return this.#from;
    return {
      flowId: this.#from.flowId,
      flow: this.#flow,
      nodes: this.#nodes.done(),
      rels: this.#rels.done(),
      unconfirmed: this.#unconfirmed ?? this.#from.unconfirmed,
      regions: this.#from.regions,
      version: ++lastStamp,
      topologyVersion: this.#topologyChanged ? ++lastStamp : this.#from.topologyVersion,
    };
  }

  #dropNode(id: string): void {
    if (this.#nodes.get(id) === undefined) return;
    this.#topologyChanged = true;
    this.#nodes.delete(id);
    this.#confirm(id);
  }

  #dropRel(key: string): void {
    if (this.#rels.get(key) === undefined) return;
    this.#topologyChanged = true;
    this.#rels.delete(key);
  }

  #confirm(id: string): void {
    if (!(this.#unconfirmed ?? this.#from.unconfirmed).has(id)) return;
    this.#unconfirmed ??= new Set(this.#from.unconfirmed);
    this.#unconfirmed.delete(id);
  }

  /** Records a change of topology unless the node existed with the same region and role. */
  #touchNode(n: FlowNode): void {
    const old = this.#nodes.get(n.id);
    if (old === undefined || old.region !== n.region || roleOf(old) !== roleOf(n)) this.#topologyChanged = true;
  }

  #touchRel(key: string, r: Relationship): void {
    const old = this.#rels.get(key);
    if (old === undefined || !sameEdge(old, r)) this.#topologyChanged = true;
  }

  #isOwn(flowId: string | undefined): boolean {
    return isOwnEnd(flowId, this.#from.flowId);
  }
}

function roleOf({ meta }: FlowNode): number {
  return (meta?.["auxiliary"] === true ? 1 : 0) + (meta?.["kind"] === "Region" ? 2 : 0);
}

/** Whether an end with this `fromFlowId` or `toFlowId` is in flow `own`. */
export function isOwnEnd(flowId: string | undefined, own: string): boolean {
  return flowId === undefined || flowId === "" || flowId === own;
}

function sameEdge(a: Relationship, b: Relationship): boolean {
  return a.condition === b.condition && a.lag === b.lag && a.fromFlowId === b.fromFlowId && a.toFlowId === b.toFlowId;
}

/** The state as a snapshot message, sorted as the contract defines; null while there is no FlowInstance. */
export function toSnapshot(state: FlowState): FullSnapshot | null {
  if (state.flow === null) return null;
  return {
    type: "snapshot",
    flow: state.flow,
    nodes: [...state.nodes.values()].sort((a, b) => compareBytes(a.id, b.id)),
    relationships: [...state.rels.values()].sort(
      (a, b) => compareBytes(a.fromId, b.fromId) || compareBytes(a.toId, b.toId) || compareBytes(a.type, b.type),
    ),
  };
}

/** A unique string for a relationship's key. */
export function relKey(rel: RelKey): string {
  return `${rel.type} ${rel.fromId.length} ${rel.fromId}${rel.toId}`;
}

/** Compares the UTF-8 bytes of two strings, as Go does. */
export function compareBytes(a: string, b: string): number {
  if (a === b) return 0;
  const n = Math.min(a.length, b.length);
  for (let i = 0; i < n; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    // In UTF-16, surrogates sort before U+E000; in UTF-8, the characters that they encode sort after U+FFFF.
    if (x !== y) return (x >= 0xd800 && x < 0xe000 ? x + 0x10000 : x) - (y >= 0xd800 && y < 0xe000 ? y + 0x10000 : y);
  }
  return a.length - b.length;
}
