import type { ManyEvent } from "./many.js";
import { ServerClock } from "./server-clock.js";
import type { ConnectionState } from "./sse.js";
import { NO_REGIONS, type Regions } from "../contract/regions.js";
import { emptyState, fold, withRegions, type FlowState } from "../fold/state.js";

/**
 * All flows of one stream. Feed it from `connectMany`, with its states too. A new incarnation by itself changes only the claims of a flow: its snapshot always
 * comes too, sometimes before.
 */
export class FleetStore {
  readonly #server: ServerClock;
  /** A flow is null until its snapshot has arrived. */
  #flows: Map<string, FlowState | null> | null = null;
  /** The claims of each flow. They come separately from the states, sometimes before. */
  #regions = new Map<string, Regions>();
  #incarnations: ReadonlyMap<string, string> = new Map();
  #changed = new Set<string>();

  constructor(now: () => number = Date.now) {
    this.#server = new ServerClock(now);
  }

  /** The existing flows, unordered: the state of each, or null while it is unknown. Null as a whole until the list has arrived. */
  get flows(): ReadonlyMap<string, FlowState | null> | null {
    return this.#flows;
  }

  /** The time by the server's clock, in Unix milliseconds. */
  now(): number {
    return this.#server.now();
  }

  /** Call it on each state of the connection: a new one may be to another server, with another clock. */
  setConnection({ kind }: ConnectionState): void {
    if (kind === "live") this.#server.doubt();
  }

  /** Ids of the flows that were added, changed or removed since the last call. */
  takeChanged(): ReadonlySet<string> {
    const changed = this.#changed;
    this.#changed = new Set();
    return changed;
  }

  receive(event: ManyEvent): void {
    switch (event.type) {
      case "heartbeat":
        return this.#server.set(event.at);
      case "flows":
        return this.#setFlows(event.flows);
      case "regions":
        this.#server.set(event.at);
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
      // A message can't be folded without the state before it.
      else if (before !== null) flows.set(flowId, fold(before, event.message));
    }
    this.#changed.add(flowId);
  }

  #setRegions(flowId: string, regions: Regions): void {
    if (regions.size === 0) this.#regions.delete(flowId);
    else this.#regions.set(flowId, regions);
    const state = this.#flows?.get(flowId) ?? null;
    if (state === null) return;
    this.#flows?.set(flowId, withRegions(state, regions));
    this.#changed.add(flowId);
  }

  #setFlows(named: ReadonlyMap<string, string>): void {
    // The claims of a flow's earlier incarnation do not hold for the new one.
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
