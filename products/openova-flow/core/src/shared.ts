import type { Hub } from "./hub.js";
import type * as own from "./own.js";
import type { Connection, ConnectionState, ConnectOptions } from "./sse.js";
import { web, webTimers, type Timers } from "./web.js";
import { ALIVE_EVERY_MS, type Channel, type HubWord, type Port, type TabWord } from "./words.js";

export type { Channel, Port } from "./words.js";

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
/** With a SharedWorker `url` must be absolute: a relative one would be taken as relative to the worker's script. */
export interface SharedOptions extends ConnectOptions {
  readonly transports: SharedTransports;
}
export type SharedVia = "shared-worker" | "leader" | "follower" | "own";
export interface SharedConnection extends Connection {
  readonly via: SharedVia;
}

/** Who holds the connection passes on a heartbeat every 15 s. */
const SILENCE_MS = 45_000;
/** A worker that cannot start says nothing at all, not even that. */
const FIRST_WORD_MS = 5_000;
/** Until a script that could not be loaded is asked for again. */
const RELOAD_MS = 5_000;

/** What a tab needs to hold a connection itself. */
type Own = Pick<typeof own, "connect" | "Hub">;

/** `connectShared`, for bundlers: what only a tab that holds the connection itself needs is loaded when it comes to that. */
export function connectSharedLazily(options: SharedOptions): SharedConnection {
  return new Shared(options, () => import("./own.js"));
}

/** A way to get at the stream. */
interface Way {
  retryNow(): void;
  close(): void;
}

export class Shared implements SharedConnection {
  readonly #options: SharedOptions;
  readonly #now: () => number;
  readonly #timers: Timers;
  readonly #tab: string;
  #via: SharedVia = "own";
  #state: ConnectionState;
  #way: Way | null = null;
  #lastSeq: number;
  #cancelSilence: (() => void) | null = null;
  #own: Own | (() => Promise<Own>);

  constructor(options: SharedOptions, own: Own | (() => Promise<Own>)) {
    this.#options = options;
    this.#own = own;
    this.#now = options.now ?? Date.now;
    this.#timers = options.timers ?? webTimers;
    this.#tab = `${this.#now()}-${(options.random ?? Math.random)()}`;
    this.#lastSeq = options.lastEventId ?? 0;
    this.#state = { kind: "connecting", since: this.#now() };
    const { sharedWorker } = options.transports;
    if (sharedWorker === undefined) this.#elect();
    else this.#throughWorker(sharedWorker);
  }

  get via(): SharedVia {
    return this.#via;
  }
  get state(): ConnectionState {
    return this.#state;
  }

  retryNow(): void {
    this.#way?.retryNow();
  }

  close(): void {
    if (this.#state.kind === "closed") return;
    this.#cancelSilence?.();
    this.#way?.close();
    this.#set({ kind: "closed", since: this.#now() });
  }

  #throughWorker(sharedWorker: () => Port): void {
    let port: Port;
    try {
      port = sharedWorker();
    } catch {
      return this.#elect();
    }
    this.#via = "shared-worker";
    const cancelAlive = this.#sayAlive(port);
    this.#take({
      retryNow: () => port.postMessage(this.#word("retry")),
      close: () => {
        cancelAlive();
        port.postMessage(this.#word("leave"));
        port.close();
      },
    });
    this.#expectWord(FIRST_WORD_MS, () => this.#elect());
    port.addEventListener("message", ({ data }) => {
      if (this.#via === "shared-worker") this.#hear(data, () => this.#elect());
    });
    port.start?.();
    port.postMessage(this.#word("join"));
  }

  /** Leads if the lock comes here, follows who has it otherwise. */
  #elect(): void {
    const { broadcast, locks } = this.#options.transports;
    if (broadcast === undefined || locks === undefined) return this.#alone();
    const name = `openova-flow ${this.#options.url} ${this.#options.flowId}`;
    const channel = broadcast(name);
    const abort = new web.AbortController();
    this.#via = "follower";
    this.#take({
      retryNow: () => channel.postMessage(this.#word("retry")),
      close: () => {
        abort.abort();
        channel.close();
      },
    });
    this.#expectWord(SILENCE_MS, () => this.#alone());
    channel.addEventListener("message", ({ data }) => {
      if (this.#via === "follower") this.#hear(data, () => this.#alone());
    });
    channel.postMessage(this.#word("join"));
    locks
      .request(name, { signal: abort.signal }, () => (this.#via === "follower" ? this.#lead(channel) : Promise.resolve()))
      .catch(() => {
        // Given up on by closing, or not allowed here: then silence leads to a connection of its own.
      });
  }

  /** Holds the connection until closed. */
  #lead(channel: Channel): Promise<void> {
    this.#via = "leader";
    this.#cancelSilence?.();
    return new Promise((resolve) => {
      let hub: Hub | undefined;
      this.#way = {
        retryNow: () => hub?.retryNow(),
        close: () => {
          hub?.close();
          channel.close();
          resolve();
        },
      };
      this.#withOwn(({ Hub }) => {
        const holder = (hub = new Hub(this.#options, (word) => {
          // That this tab is done is no news for the others: one of them leads next.
          if (word.state?.kind === "closed") return;
          channel.postMessage(word);
          this.#apply(word);
        }));
        channel.addEventListener("message", ({ data }) => {
          const word = data as TabWord;
          if (word.from !== "tab" || this.#via !== "leader") return;
          if (word.say === "join") holder.welcome(word.tab);
          if (word.say === "retry") holder.retryNow();
        });
        this.#set(holder.state);
      });
    });
  }

  #alone(): void {
    this.#cancelSilence?.();
    this.#via = "own";
    const { onEvent, onState, transports, ...rest } = this.#options;
    this.#withOwn(({ connect }) =>
      this.#take(
        connect({
          ...rest,
          onEvent: (event) => this.#apply({ from: "hub", event }),
          onState: (state) => this.#apply({ from: "hub", state }),
        }),
      ),
    );
  }

  #withOwn(then: (own: Own) => void): void {
    if (typeof this.#own !== "function") return then(this.#own);
    this.#own().then(
      (loaded) => {
        this.#own = loaded;
        if (this.#state.kind !== "closed") then(loaded);
      },
      () => {
        if (this.#state.kind === "closed") return;
        const since = "since" in this.#state ? this.#state.since : this.#now();
        this.#set({ kind: "reconnecting", since, attempt: 1, nextAttemptAt: this.#now() + RELOAD_MS, reason: "a part of the page could not be loaded" });
        this.#cancelSilence = this.#timers.after(RELOAD_MS, () => this.#withOwn(then));
      },
    );
  }

  #take(way: Way): void {
    this.#way?.close();
    this.#way = way;
  }

  /** A worker cannot see that a tab is closed; it goes by this. */
  #sayAlive(port: Port): () => void {
    let cancel = (): void => {};
    const next = (): void => {
      cancel = this.#timers.after(ALIVE_EVERY_MS, () => {
        port.postMessage(this.#word("alive"));
        next();
      });
    };
    next();
    return () => cancel();
  }

  #word(say: TabWord["say"]): TabWord {
    const { url, flowId, headers } = this.#options;
    return { from: "tab", tab: this.#tab, say, url, flowId, headers: headers?.() ?? {} };
  }

  #hear(data: unknown, onSilence: () => void): void {
    const word = data as HubWord | null;
    if (word?.from !== "hub" || (word.to !== undefined && word.to !== this.#tab) || this.#state.kind === "closed") return;
    // While the holder itself is cut off it has nothing to pass on.
    if (word.state === undefined || word.state.kind === "live") this.#expectWord(SILENCE_MS, onSilence);
    else this.#cancelSilence?.();
    this.#apply(word);
  }

  #expectWord(within: number, onSilence: () => void): void {
    this.#cancelSilence?.();
    this.#cancelSilence = this.#timers.after(within, onSilence);
  }

  #apply({ event, state }: HubWord): void {
    if (this.#state.kind === "closed") return;
    if (state !== undefined) this.#set(state);
    if (event === undefined) return;
    if (event.type === "message") {
      // Between joining and being welcomed there is nothing yet that a change could be folded into.
      if (event.message.type !== "snapshot" && (this.#lastSeq === 0 || event.seq <= this.#lastSeq)) return;
      this.#lastSeq = event.seq;
    } else if (event.type === "deleted") this.#lastSeq = 0;
    this.#options.onEvent(event);
  }

  #set(state: ConnectionState): void {
    this.#state = state;
    this.#options.onState?.(state);
  }
}
