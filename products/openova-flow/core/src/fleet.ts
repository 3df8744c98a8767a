import type { ManyEvent } from "./many.js";
import { NO_REGIONS, type Regions } from "./regions.js";
import { emptyState, fold, withRegions, type FlowState } from "./state.js";

/**
 * All flows as a page follows them. Feed it from `connectMany`. Incarnations decide nothing here: a flow of another incarnation always
 * comes as a snapshot, at times before its incarnation is told.
 */
export class FleetStore {
  readonly #clock: () => number;
  /** A flow is null until a snapshot of it has come. */
  #flows: Map<string, FlowState | null> | null = null;
  /** By flow. Told apart from the states, at times before them. */
  #regions = new Map<string, Regions>();
  #incarnations: ReadonlyMap<string, string> = new Map();
  #changed = new Set<string>();
  #seq: number | undefined;
  #clockOffset: number | null = null;

  constructor(now: () => number = Date.now) {
    this.#clock = now;
  }

  /** The flows that there are, in no particular order, each with its state, null until that has come; null until it is known. */
  get flows(): ReadonlyMap<string, FlowState | null> | null {
    return this.#flows;
  }
  /** What another connection may resume after; undefined while there is nothing. */
  get seq(): number | undefined {
    return this.#seq;
  }

  /** The server's clock as far as the heartbeats tell. */
  now(): number {
    return this.#clock() + (this.#clockOffset ?? 0);
  }

  /** Ids of the flows that came, changed or went since the last call. */
  takeChanged(): ReadonlySet<string> {
    const changed = this.#changed;
    this.#changed = new Set();
    return changed;
  }

  receive(event: ManyEvent): void {
    switch (event.type) {
      case "heartbeat":
        return this.#setClock(event.at);
      case "flows":
        return this.#keep(event.flows);
      case "regions":
        this.#setClock(event.at);
        return this.#setRegions(event.flowId, event.regions);
    }
    const { flowId } = event;
    const flows = (this.#flows ??= new Map());
    if (event.type === "deleted") {
      flows.delete(flowId);
      this.#regions.delete(flowId);
    } else if (event.type === "unreadable") flows.set(flowId, null);
    else {
      const before = flows.get(flowId) ?? null;
      if (event.message.type === "snapshot") flows.set(flowId, fold(before ?? withRegions(emptyState(flowId), this.#regions.get(flowId) ?? NO_REGIONS), event.message));
      // Without the state before it a message says nothing.
      else if (before !== null) flows.set(flowId, fold(before, event.message));
    }
    this.#changed.add(flowId);
    this.#seq = event.seq ?? this.#seq;
  }

  /** What the server says is late by its way here, so the greatest offset is the truest. */
  #setClock(at: number): void {
    this.#clockOffset = Math.max(this.#clockOffset ?? -Infinity, at - this.#clock());
  }

  #setRegions(flowId: string, regions: Regions): void {
    if (regions.size === 0) this.#regions.delete(flowId);
    else this.#regions.set(flowId, regions);
    const state = this.#flows?.get(flowId) ?? null;
    if (state === null) return;
    this.#flows?.set(flowId, withRegions(state, regions));
    this.#changed.add(flowId);
  }

  #keep(named: ReadonlyMap<string, string>): void {
    // The server that began anew has its own word of the regions, or none.
    for (const id of [...this.#regions.keys()]) if (this.#incarnations.get(id) !== named.get(id)) this.#setRegions(id, NO_REGIONS);
    this.#incarnations = named;
    const before = this.#flows;
    this.#flows = new Map();
    for (const id of named.keys()) {
      this.#flows.set(id, before?.get(id) ?? null);
      if (before?.has(id) !== true) this.#changed.add(id);
    }
    for (const id of before?.keys() ?? []) if (!named.has(id)) this.#changed.add(id);
  }
}
