import type { EventLog } from "./log.js";
import type { ConnectionState, StreamEvent } from "./sse.js";
import type { FlowState } from "./state.js";

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
export declare class FlowStore {
  constructor(options: FlowStoreOptions);
  readonly flowId: string;
  /** What to show, unconfirmed nodes included. Another object after each change. */
  readonly state: FlowState;
  readonly connection: ConnectionState;
  readonly log: EventLog;
  /** The number of the last message; 0 before the first. */
  readonly seq: number;
  /** Empty until a heartbeat has told it. */
  readonly incarnation: string;
  /** True once a snapshot has come. */
  readonly loaded: boolean;
  /** True from the `deleted` event until a snapshot comes. */
  readonly deleted: boolean;
  /** The server's clock as far as the heartbeats tell. */
  now(): number;
  receive(event: StreamEvent): void;
  setConnection(state: ConnectionState): void;
  /** Drops what stayed unconfirmed for too long. */
  tick(): void;
  /** Calls `fn` after each change, synchronously; coalesce in requestAnimationFrame. */
  subscribe(fn: () => void): () => void;
}
