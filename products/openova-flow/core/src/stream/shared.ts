import { ALIVE_EVERY_MS, type HubMessage, type Port, type TabMessage } from "./port.js";
import type { Connection, ConnectionState, ConnectOptions } from "./sse.js";
import { webTimers, type Timers } from "./web.js";

export type { Port } from "./port.js";

export interface SharedOptions extends ConnectOptions {
  /**
   * Returns a port to the worker of `@openova/flow-core/shared-worker`; absent if the browser has no SharedWorker. If it is set, `url` must be
   * absolute: the worker would resolve a relative one against its script.
   */
  readonly sharedWorker?: (() => Port) | undefined;
}
export interface SharedConnection extends Omit<Connection, "lastEventId"> {
  readonly via: "shared-worker" | "own";
}

/** Time without a message after which the worker counts as dead. It passes on what the server sends: after 15 s without a frame, a heartbeat. */
const SILENCE_MS = 45_000;
/** The same while the worker has no connection, from its next attempt on: that fails after 40 s without a byte, and a first snapshot may be slow. */
const DOWN_SILENCE_MS = 120_000;
/** The same for the first message: a worker that fails to start sends nothing, not even an error. */
const FIRST_MESSAGE_MS = 5_000;
/** Delay before a script that failed to load is imported again. A browser that caches failed imports does not request it again. */
const RELOAD_MS = 5_000;

/**
 * Like `connect`, but all tabs of a browser share one connection for each flow, in a SharedWorker. If there is none, or it stops answering,
 * the tab connects by itself; the code for that is loaded then.
 */
export function connectShared(options: SharedOptions): SharedConnection {
  return new Shared(options);
}

class Shared implements SharedConnection {
  readonly #options: SharedOptions;
  readonly #now: () => number;
  readonly #timers: Timers;
  readonly #tab: string;
  #via: SharedConnection["via"] = "own";
  #state: ConnectionState;
  #stream: Pick<Connection, "retryNow" | "close"> | null = null;
  #cancelSilence: (() => void) | null = null;

  constructor(options: SharedOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#timers = options.timers ?? webTimers;
    this.#tab = `${this.#now()}-${(options.random ?? Math.random)()}`;
    this.#state = { kind: "connecting", since: this.#now() };
    const port = this.#openPort();
    if (port === null) void this.#connect();
    else this.#join(port);
  }

  get via(): SharedConnection["via"] {
    return this.#via;
  }
  get state(): ConnectionState {
    return this.#state;
  }

  retryNow(): void {
    this.#stream?.retryNow();
  }

  close(): void {
    if (this.#state.kind === "closed") return;
    this.#cancelSilence?.();
    this.#stream?.close();
    this.#set({ kind: "closed", since: this.#now() });
  }

  #openPort(): Port | null {
    try {
      return this.#options.sharedWorker?.() ?? null;
    } catch {
      return null;
    }
  }

  #join(port: Port): void {
    this.#via = "shared-worker";
    const cancelAlive = this.#keepAlive(port);
    this.#stream = {
      retryNow: () => port.postMessage(this.#message("retry")),
      close: () => {
        cancelAlive();
        port.postMessage(this.#message("leave"));
        port.close();
      },
    };
    this.#expectMessage(FIRST_MESSAGE_MS);
    port.addEventListener("message", ({ data }) => this.#receive(data as HubMessage | null));
    port.start?.();
    port.postMessage(this.#message("join"));
  }

  /** Connects without the worker. */
  async #connect(): Promise<void> {
    this.#cancelSilence?.();
    this.#via = "own";
    this.#stream?.close();
    this.#stream = null;
    const sse = await import("./sse.js").catch(() => null);
    if (this.#state.kind === "closed") return;
    if (sse === null) {
      const { since } = this.#state;
      this.#set({ kind: "reconnecting", since, attempt: 1, nextAttemptAt: this.#now() + RELOAD_MS, reason: "cannot load a script of the page; reload the page if the server was updated" });
      this.#cancelSilence = this.#timers.after(RELOAD_MS, () => void this.#connect());
      return;
    }
    this.#stream = sse.connect({ ...this.#options, onState: (state) => this.#state.kind === "closed" || this.#set(state) });
  }

  /** Tells the worker regularly that the tab is open, since a worker can't detect that a tab was closed. */
  #keepAlive(port: Port): () => void {
    let cancel = (): void => {};
    const next = (): void => {
      cancel = this.#timers.after(ALIVE_EVERY_MS, () => {
        port.postMessage(this.#message("alive"));
        next();
      });
    };
    next();
    return () => cancel();
  }

  #message(action: TabMessage["action"]): TabMessage {
    const { url, flowId, headers } = this.#options;
    return { from: "tab", tab: this.#tab, action, url, flowId, headers: headers?.() ?? {} };
  }

  #receive(message: HubMessage | null): void {
    if (message?.from !== "hub" || (message.to !== undefined && message.to !== this.#tab)) return;
    if (this.#via === "own" || this.#state.kind === "closed") return;
    const { state, event } = message;
    if (state === undefined || state.kind === "live") this.#expectMessage(SILENCE_MS);
    else this.#expectMessage(DOWN_SILENCE_MS + ("nextAttemptAt" in state ? Math.max(0, state.nextAttemptAt - this.#now()) : 0));
    if (state !== undefined) this.#set(state);
    if (event !== undefined) this.#options.onEvent(event);
  }

  #expectMessage(within: number): void {
    this.#cancelSilence?.();
    this.#cancelSilence = this.#timers.after(within, () => void this.#connect());
  }

  #set(state: ConnectionState): void {
    this.#state = state;
    this.#options.onState?.(state);
  }
}
