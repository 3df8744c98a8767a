import { EventLog } from "./log.js";
import type { ConnectionState, StreamEvent } from "./sse.js";
import { NO_REGIONS, type Regions } from "./regions.js";
import { emptyState, fold, withRegions, type FlowState } from "./state.js";
import type { FlowMessage } from "./types.js";
import { beginRestart, expireRestart, foldRestart, type Restart } from "./unconfirmed.js";

export interface FlowStoreOptions {
  readonly flowId: string;
  readonly now?: () => number;
  /** How long what was not heard of again after a restart is kept, default 60 s. */
  readonly unconfirmedMs?: number;
}

/**
 * One flow as a page follows it: folds what the stream brings, keeps the log, and keeps what a restarted server has not heard of
 * again yet. Feed it from `connect` or `connectShared`; it starts no timer: call `tick` about once a second.
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
  #clockOffset: number | null = null;

  constructor(options: FlowStoreOptions) {
    this.flowId = options.flowId;
    this.log = new EventLog({ flowId: options.flowId });
    this.#clock = options.now ?? Date.now;
    this.#unconfirmedMs = options.unconfirmedMs ?? 60_000;
    this.#state = emptyState(options.flowId);
    this.#connection = { kind: "connecting", since: this.#clock() };
  }

  /** What to show, unconfirmed nodes included. Another object after each change. */
  get state(): FlowState {
    return this.#state;
  }
  get connection(): ConnectionState {
    return this.#connection;
  }
  /** The number of the last message; 0 before the first. */
  get seq(): number {
    return this.#seq;
  }
  /** Empty until a heartbeat has told it. */
  get incarnation(): string {
    return this.#incarnation;
  }
  /** True once a snapshot has come. */
  get loaded(): boolean {
    return this.#loaded;
  }
  /** True from the `deleted` event until a snapshot comes. */
  get deleted(): boolean {
    return this.#deleted;
  }

  /** The server's clock as far as the heartbeats tell. */
  now(): number {
    return this.#clock() + (this.#clockOffset ?? 0);
  }

  receive(event: StreamEvent): void {
    switch (event.type) {
      case "heartbeat":
        this.#setClock(event.at);
        // Number 0 says that there is no such flow.
        this.#heardOf(event.seq === 0 ? "" : event.incarnation);
        break;
      case "regions":
        this.#setClock(event.at);
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
    if (state.kind === "live" && this.#connection.kind !== "live") this.#clockOffset = null;
    this.#connection = state;
    this.#changed();
  }

  /** Drops what stayed unconfirmed for too long. */
  tick(): void {
    if (this.#restart !== null && this.#settle(expireRestart(this.#restart, this.#clock()))) this.#changed();
  }

  /** Calls `fn` after each change, synchronously; coalesce in requestAnimationFrame. */
  subscribe(fn: () => void): () => void {
    this.#listeners.add(fn);
    return () => this.#listeners.delete(fn);
  }

  /** What the server says is late by its way here, so the greatest offset is the truest. */
  #setClock(at: number): void {
    this.#clockOffset = Math.max(this.#clockOffset ?? -Infinity, at - this.#clock());
  }

  #setRegions(regions: Regions): void {
    this.#state = withRegions(this.#state, regions);
    if (this.#restart !== null) this.#restart = { ...this.#restart, shown: this.#state };
  }

  #heardOf(incarnation: string): void {
    const known = this.#incarnation;
    this.#incarnation = incarnation;
    if (known === "" || known === incarnation) return;
    // The server that began anew has its own word of the regions, or none.
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

  /** Takes over what a restart has come to; true when that changes the state. */
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
