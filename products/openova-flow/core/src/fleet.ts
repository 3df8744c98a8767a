import type { ManyEvent } from "./many.js";
import { emptyState, fold, type FlowState } from "./state.js";

/**
 * All flows as a page follows them. Feed it from `connectMany`. Incarnations decide nothing here: a flow of another incarnation always
 * comes as a snapshot, at times before its incarnation is told.
 */
export class FleetStore {
  readonly #clock: () => number;
  /** A flow is null until a snapshot of it has come. */
  #flows: Map<string, FlowState | null> | null = null;
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
        // A heartbeat is late by its way here, so the greatest offset is the truest.
        this.#clockOffset = Math.max(this.#clockOffset ?? -Infinity, event.at - this.#clock());
        return;
      case "flows":
        return this.#keep(event.flows);
    }
    const { flowId } = event;
    const flows = (this.#flows ??= new Map());
    if (event.type === "deleted") flows.delete(flowId);
    else if (event.type === "unreadable") flows.set(flowId, null);
    else {
      const before = flows.get(flowId) ?? null;
      if (event.message.type === "snapshot") flows.set(flowId, fold(before ?? emptyState(flowId), event.message));
      // Without the state before it a message says nothing.
      else if (before !== null) flows.set(flowId, fold(before, event.message));
    }
    this.#changed.add(flowId);
    this.#seq = event.seq ?? this.#seq;
  }

  #keep(named: ReadonlyMap<string, string>): void {
    const before = this.#flows;
    this.#flows = new Map();
    for (const id of named.keys()) {
      this.#flows.set(id, before?.get(id) ?? null);
      if (before?.has(id) !== true) this.#changed.add(id);
    }
    for (const id of before?.keys() ?? []) if (!named.has(id)) this.#changed.add(id);
  }
}
