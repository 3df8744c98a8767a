import type { ConnectionState, StreamEvent } from "./sse.js";

/** A message channel between tabs: a BroadcastChannel, or anything that behaves like one. */
export interface Channel {
  postMessage(data: unknown): void;
  addEventListener(type: "message", listener: (event: { readonly data: unknown }) => void): void;
  close(): void;
}
/** A port to a SharedWorker, or anything that behaves like one. */
export interface Port extends Channel {
  start?(): void;
}

/** What a tab says. `tab` tells tabs of one channel apart. */
export interface TabWord {
  readonly from: "tab";
  readonly tab: string;
  /** `alive` is said every 20 s; after three minutes without it a tab counts as closed. */
  readonly say: "join" | "alive" | "leave" | "retry";
  readonly url: string;
  readonly flowId: string;
  readonly headers: Readonly<Record<string, string>>;
}
/** What the holder of the connection says, to one tab or to all. */
export interface HubWord {
  readonly from: "hub";
  readonly to?: string;
  readonly event?: StreamEvent;
  readonly state?: ConnectionState;
}

export const ALIVE_EVERY_MS = 20_000;
