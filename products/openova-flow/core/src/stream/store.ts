import { EventLog } from "../fold/log.js";
import type { ConnectionState, StreamEvent } from "./sse.js";
import { NO_REGIONS, type Regions } from "../contract/regions.js";
import { emptyState, fold, withRegions, type FlowState } from "../fold/state.js";
import type { FlowMessage } from "../contract/types.js";
import { ServerClock } from "./server-clock.js";
import { beginRestart, expireRestart, foldRestart, type Restart } from "../fold/unconfirmed.js";

export interface FlowStoreOptions {
  readonly flowId: string;
  readonly now?: () => number;
  /** Maximum time for which nodes that a restarted server has not received again are kept; default 60 s. */
  readonly unconfirmedMs?: number;
}

/**
 * One flow: folds its stream, keeps the log, and keeps the nodes that a restarted server has not received again yet. Feed it from `connect`
 * or `connectShared`. It starts no timers: call `tick` about once a second.
 */
export class FlowStore {
  readonly flowId: string;
  readonly log: EventLog;
  readonly #clock: () => number;
  readonly #unconfirmedMs: number;
  readonly #listeners = new Set<() => void>();
  #state: FlowState;
  #restart: Restart | null = null;
  #connection: ConnectionState;
  #seq = 0;
  #incarnation = "";
  #loaded = false;
  #deleted = false;
  readonly #server: ServerClock;

  constructor(options: FlowStoreOptions) {
    this.flowId = options.flowId;
    this.log = new EventLog({ flowId: options.flowId });
    this.#clock = options.now ?? Date.now;
    this.#server = new ServerClock(this.#clock);
    this.#unconfirmedMs = options.unconfirmedMs ?? 60_000;
    this.#state = emptyState(options.flowId);
    this.#connection = { kind: "connecting", since: this.#clock() };
  }

  /** The state to show, with unconfirmed nodes. A new object after each change. */
  get state(): FlowState {
    return this.#state;
  }
  get connection(): ConnectionState {
    return this.#connection;
  }
  /** The sequence number of the last message; 0 before the first. */
  get seq(): number {
    return this.#seq;
  }
  /** Empty while it is unknown or the flow does not exist. */
  get incarnation(): string {
    return this.#incarnation;
  }
  /** True from a snapshot until the flow is deleted. */
  get loaded(): boolean {
    return this.#loaded;
  }
  /** True from the `deleted` event until the next snapshot. */
  get deleted(): boolean {
    return this.#deleted;
  }

  /** The time by the server's clock, in Unix milliseconds. */
  now(): number {
    return this.#server.now();
  }

  receive(event: StreamEvent): void {
    switch (event.type) {
      case "heartbeat":
        this.#server.set(event.at);
        // Sequence number 0 means that the flow does not exist.
        this.#setIncarnation(event.seq === 0 ? "" : event.incarnation);
        break;
      case "regions":
        this.#server.set(event.at);
        this.#setRegions(event.regions);
        break;
      case "deleted":
        this.#state = emptyState(this.flowId);
        this.#restart = null;
        this.#incarnation = "";
        this.#loaded = false;
        this.#deleted = true;
        break;
      case "message":
        this.#fold(event.message);
        this.#seq = event.seq;
        this.log.append(event.seq, this.now(), event.message);
        break;
    }
    this.#changed();
  }

  setConnection(state: ConnectionState): void {
    if (state.kind === "live" && this.#connection.kind !== "live") this.#server.doubt();
    this.#connection = state;
    this.#changed();
  }

  /** Removes unconfirmed nodes whose time is up. */
  tick(): void {
    if (this.#restart !== null && this.#settle(expireRestart(this.#restart, this.#clock()))) this.#changed();
  }

  /** Calls `fn` after each event and each change, synchronously, until the result is called. Use requestAnimationFrame to draw once for several. */
  subscribe(fn: () => void): () => void {
    this.#listeners.add(fn);
    return () => this.#listeners.delete(fn);
  }

  #setRegions(regions: Regions): void {
    this.#state = withRegions(this.#state, regions);
    if (this.#restart !== null) this.#restart = { ...this.#restart, shown: this.#state };
  }

  #setIncarnation(incarnation: string): void {
    const known = this.#incarnation;
    this.#incarnation = incarnation;
    if (known === "" || known === incarnation) return;
    // The restarted server has claims of its own, or none.
    this.#setRegions(NO_REGIONS);
    if (this.#state.nodes.size === 0) return;
    this.#settle(beginRestart(this.#state, this.#clock(), this.#unconfirmedMs));
  }

  #fold(message: FlowMessage): void {
    if (message.type === "snapshot") {
      this.#loaded = true;
      this.#deleted = false;
    }
    if (this.#restart === null) this.#state = fold(this.#state, message);
    else this.#settle(foldRestart(this.#restart, message, this.#clock()));
  }

  /** Stores the result of a restart's step; returns true if it changes the state. */
  #settle(restart: Restart): boolean {
    const before = this.#state;
    this.#state = restart.shown;
    this.#restart = restart.deadlines.size === 0 ? null : restart;
    return this.#state !== before;
  }

  #changed(): void {
    for (const fn of this.#listeners) fn();
  }
}
