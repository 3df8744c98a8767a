import type { ConnectionState, StreamEvent } from "./sse.js";

/** A port to a SharedWorker, or an equivalent. */
export interface Port {
  postMessage(data: unknown): void;
  addEventListener(type: "message", listener: (event: { readonly data: unknown }) => void): void;
  start?(): void;
  close(): void;
}

/** A message from a tab to the worker. `tab` identifies the tab. */
export interface TabMessage {
  readonly from: "tab";
  readonly tab: string;
  /** `alive` only shows that the tab is open: one that sends nothing for long counts as closed. */
  readonly action: "join" | "alive" | "leave" | "retry";
  readonly url: string;
  readonly flowId: string;
  readonly headers: Readonly<Record<string, string>>;
}
/** A message from the worker to one tab, or to all. */
export interface HubMessage {
  readonly from: "hub";
  readonly to?: string;
  readonly event?: StreamEvent;
  readonly state?: ConnectionState;
}

export const ALIVE_EVERY_MS = 20_000;
