import type { Connection, ConnectOptions } from "./sse.js";

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
/** The part of `navigator.locks` that electing a leader needs. */
export interface Locks {
  request(name: string, options: { readonly signal: AbortSignal }, held: () => Promise<void>): Promise<unknown>;
}
export interface SharedTransports {
  /** Gives a port to the worker of `@openova/flow-core/shared-worker`; undefined where there is none. */
  readonly sharedWorker?: (() => Port) | undefined;
  readonly broadcast?: ((name: string) => Channel) | undefined;
  readonly locks?: Locks | undefined;
}
export interface SharedOptions extends ConnectOptions {
  readonly transports: SharedTransports;
}
export type SharedVia = "shared-worker" | "leader" | "follower" | "own";
export interface SharedConnection extends Connection {
  readonly via: SharedVia;
}
/**
 * `connect`, but with one connection to the server for all tabs of a browser: held by a SharedWorker, else by the tab that holds a
 * Web Lock and tells the others, else by each tab itself.
 */
export declare function connectShared(options: SharedOptions): SharedConnection;
