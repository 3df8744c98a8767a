import type { FlowMessage } from "./types.js";
import type { Fetch, Timers } from "./web.js";

export type StreamEvent =
  | { readonly type: "message"; readonly seq: number; readonly message: FlowMessage }
  | { readonly type: "heartbeat"; readonly seq: number; readonly at: number; readonly incarnation: string }
  /** The flow was deleted at the server. */
  | { readonly type: "deleted" };

/** How the connection is. `since` is when this kind began; for reconnecting and stale: when the last live moment was. */
export type ConnectionState =
  | { readonly kind: "connecting"; readonly since: number }
  | { readonly kind: "live"; readonly since: number }
  | { readonly kind: "reconnecting"; readonly since: number; readonly attempt: number; readonly nextAttemptAt: number; readonly reason: string }
  /** Not live for longer than `staleAfterMs`: what is shown may be old. */
  | { readonly kind: "stale"; readonly since: number; readonly attempt: number; readonly nextAttemptAt: number; readonly reason: string }
  /** 401 or 403. Tried again slowly, since rights and sessions come back. */
  | { readonly kind: "forbidden"; readonly since: number; readonly status: number; readonly nextAttemptAt: number }
  /** Deleted, or 404. Tried again slowly; live again once the flow is. */
  | { readonly kind: "gone"; readonly since: number; readonly nextAttemptAt: number }
  | { readonly kind: "closed"; readonly since: number };

export interface ConnectOptions {
  /** Base URL of the server, with or without a trailing slash. */
  readonly url: string;
  readonly flowId: string;
  readonly onEvent: (event: StreamEvent) => void;
  readonly onState?: (state: ConnectionState) => void;
  /** Resume after this number instead of asking for a snapshot. */
  readonly lastEventId?: number;
  /** Extra request headers, asked for at each attempt, for instance a bearer token. */
  readonly headers?: () => Readonly<Record<string, string>>;
  readonly fetch?: Fetch;
  readonly now?: () => number;
  readonly random?: () => number;
  readonly timers?: Timers;
  readonly staleAfterMs?: number;
}

export interface Connection {
  readonly state: ConnectionState;
  /** Tries at once if it waits for its next attempt. Does nothing more often than once a second. */
  retryNow(): void;
  close(): void;
}

/** Follows the stream of a flow until closed: resumes, backs off, resyncs. Never throws. */
export declare function connect(options: ConnectOptions): Connection;

/** One frame of a text/event-stream. */
export interface SseFrame {
  readonly id: string | undefined;
  readonly event: string;
  readonly data: string;
}
/** A parser of text/event-stream that takes bytes in pieces of any size. */
export declare class SseParser {
  constructor(onFrame: (frame: SseFrame) => void);
  push(chunk: Uint8Array): void;
}
