import { SseParser, type SseFrame } from "./sse-parser.js";
import type { ValidationError } from "../contract/validate.js";
import { endpoint, web, webTimers, type Fetch, type FetchResponse, type Timers } from "./web.js";

/** The state of a connection. `since` is its start; for `reconnecting` and `stale` the last live moment, or the creation if there was none. */
export type ConnectionState =
  | { readonly kind: "connecting"; readonly since: number }
  | { readonly kind: "live"; readonly since: number }
  | { readonly kind: "reconnecting"; readonly since: number; readonly attempt: number; readonly nextAttemptAt: number; readonly reason: string }
  /** Not live for longer than `staleAfterMs`: the state on the page may be old. */
  | { readonly kind: "stale"; readonly since: number; readonly attempt: number; readonly nextAttemptAt: number; readonly reason: string }
  /** 401 or 403. Retried slowly, since permissions and sessions may come back. */
  | { readonly kind: "forbidden"; readonly since: number; readonly status: number; readonly nextAttemptAt: number }
  /** Deleted, or 404 or 410. Retried; live again once the flow exists. */
  | { readonly kind: "gone"; readonly since: number; readonly nextAttemptAt: number }
  | { readonly kind: "closed"; readonly since: number };

export interface StreamOptions {
  /** Base URL of the server, with or without a trailing slash. */
  readonly url: string;
  readonly onState?: ((state: ConnectionState) => void) | undefined;
  /** Resume after this event, by its id in `Connection.lastEventId`, instead of requesting snapshots. */
  readonly lastEventId?: string | undefined;
  /** Extra request headers, called for each attempt, for instance for a bearer token. */
  readonly headers?: (() => Readonly<Record<string, string>>) | undefined;
  readonly fetch?: Fetch | undefined;
  readonly now?: (() => number) | undefined;
  readonly random?: (() => number) | undefined;
  readonly timers?: Timers | undefined;
  /** Default 30 s. */
  readonly staleAfterMs?: number | undefined;
}

export interface Connection {
  readonly state: ConnectionState;
  /** The id of the event after which another connection can resume. Undefined: it gets snapshots. */
  readonly lastEventId: string | undefined;
  /** Connects at once if the connection waits for its next attempt and the last one began at least a second ago. */
  retryNow(): void;
  close(): void;
}

/** The server sends something every 15 s. After this time without a byte, the connection counts as dead. */
const SILENCE_MS = 40_000;
/** After a connection of this length, the backoff starts again from the shortest wait. */
const STABLE_MS = 10_000;
const MAX_BACKOFF_MS = 30_000;
/** Minimum wait after a 401, 403, 404 or 410; jitter adds at most as much again. */
const REFUSED_MS = 30_000;
const MAX_RETRY_AFTER_MS = 300_000;
const STALE_AFTER_MS = 30_000;
/** After this much work on received data, other tasks get a turn. */
const SLICE_MS = 10;

/** The connection of one stream, independent of the meaning of its frames: attempts, backoff and the cursor to resume from. Never throws. */
export class Stream implements Connection {
  readonly #options: StreamOptions;
  readonly #path: string;
  readonly #read: (frame: SseFrame, stream: Stream) => void;
  readonly #now: () => number;
  readonly #random: () => number;
  readonly #timers: Timers;
  #state: ConnectionState;
  /** The cursor: the next attempt resumes after this sequence number. Undefined: it gets snapshots. */
  lastSeq: number | undefined;
  /** The part of a frame's id after the sequence number: of the last frame that had one. */
  mark = "";
  /** Attempts since the last stable connection. */
  #attempt = 0;
  #attemptedAt = 0;
  /** When the connection was live last; before the first time, when it was created. */
  #liveAt: number;
  #abort: AbortController | null = null;
  #cancelRetry: (() => void) | null = null;
  #cancelSilence: (() => void) | null = null;
  #cancelStale: (() => void) | null = null;

  /** `read` is called for each frame of the current attempt. */
  constructor(options: StreamOptions, path: string, read: (frame: SseFrame, stream: Stream) => void) {
    this.#options = options;
    this.#path = path;
    this.#read = read;
    this.#now = options.now ?? Date.now;
    this.#random = options.random ?? Math.random;
    this.#timers = options.timers ?? webTimers;
    const [, digits, mark = ""] = /^(\d+)(.*)$/.exec(options.lastEventId ?? "") ?? [];
    if (digits !== undefined) [this.lastSeq, this.mark] = [Number(digits), mark];
    this.#liveAt = this.#now();
    this.#state = { kind: "connecting", since: this.#liveAt };
    this.#try();
  }

  get state(): ConnectionState {
    return this.#state;
  }
  get lastEventId(): string | undefined {
    return this.lastSeq === undefined ? undefined : `${this.lastSeq}${this.mark}`;
  }

  retryNow(): void {
    if (this.#cancelRetry === null || this.#now() - this.#attemptedAt < 1000) return;
    this.#try();
    if (this.#state.kind === "forbidden") this.#set({ kind: "connecting", since: this.#now() });
  }

  close(): void {
    if (this.#state.kind === "closed") return;
    this.#drop();
    this.#cancelRetry?.();
    this.#cancelStale?.();
    this.#cancelRetry = this.#cancelStale = null;
    this.#set({ kind: "closed", since: this.#now() });
  }

  #try(): void {
    this.#cancelRetry?.();
    this.#cancelRetry = null;
    this.#attemptedAt = this.#now();
    const abort = new web.AbortController();
    this.#abort = abort;
    this.#listenForSilence(abort);
    this.#follow(abort).catch((e: unknown) => this.#failed(abort, e instanceof Error ? e.message : String(e)));
  }

  async #follow(abort: AbortController): Promise<void> {
    const fetch = this.#options.fetch ?? web.fetch;
    const response = await fetch(endpoint(this.#options.url, this.#path), {
      headers: {
        ...this.#options.headers?.(),
        Accept: "text/event-stream",
        ...(this.lastEventId === undefined ? {} : { "Last-Event-ID": this.lastEventId }),
      },
      signal: abort.signal,
      cache: "no-store",
      credentials: "same-origin",
    });
    if (this.#abort !== abort) return;
    if (!response.ok || response.body === null) return this.#refused(abort, response);
    if (!(response.headers.get("content-type") ?? "").startsWith("text/event-stream")) {
      return this.#failed(abort, "the response is not an event stream");
    }
    const reader = response.body.getReader();
    const parser = new SseParser((frame) => {
      if (this.#abort === abort) this.#read(frame, this);
    });
    for (let worked = 0; ; ) {
      const { done, value } = await reader.read();
      if (this.#abort !== abort) return;
      if (done) return this.#failed(abort, "the server ended the stream");
      this.#listenForSilence(abort);
      const began = this.#now();
      if (value !== undefined) parser.push(value);
      worked += this.#now() - began;
      if (worked < SLICE_MS) continue;
      worked = 0;
      await new Promise<void>((resolve) => this.#timers.after(0, resolve));
    }
  }

  /** Call this for a frame that proves that the connection works. */
  live(): void {
    if (this.#state.kind === "live") return;
    this.#cancelStale?.();
    this.#cancelStale = null;
    this.#set({ kind: "live", since: this.#now() });
  }

  /** Ends the current attempt and drops the cursor: a message that can't be decoded can't be folded, so the next attempt gets a snapshot. */
  unreadable(error: ValidationError): void {
    this.lastSeq = undefined;
    if (this.#abort !== null) this.#failed(this.#abort, `cannot decode a message: ${error.field} ${error.message}`.trim());
  }

  /** Ends the current attempt because the flow is deleted. It may be created again. */
  gone(): void {
    this.lastSeq = undefined;
    if (this.#abort !== null) this.#later(this.#abort, this.#backoff(), (nextAttemptAt) => ({ kind: "gone", since: this.#now(), nextAttemptAt }));
  }

  #refused(abort: AbortController, response: FetchResponse): void {
    const { status } = response;
    if (status === 401 || status === 403) {
      return this.#later(abort, this.#slowly(), (nextAttemptAt) => ({ kind: "forbidden", since: this.#now(), status, nextAttemptAt }));
    }
    if (status === 404 || status === 410) {
      return this.#later(abort, this.#slowly(), (nextAttemptAt) => ({ kind: "gone", since: this.#now(), nextAttemptAt }));
    }
    this.#failed(abort, `the server responded with ${status}`, retryAfter(response.headers.get("retry-after"), this.#now()));
  }

  #failed(abort: AbortController, reason: string, atLeast = 0): void {
    this.#later(abort, Math.max(atLeast, this.#backoff()), (nextAttemptAt) => {
      const since = this.#liveAt;
      const staleAt = since + (this.#options.staleAfterMs ?? STALE_AFTER_MS);
      const attempt = this.#attempt;
      if (this.#now() < staleAt) {
        this.#cancelStale ??= this.#timers.after(staleAt - this.#now(), () => {
          this.#cancelStale = null;
          if (this.#state.kind === "reconnecting") this.#set({ ...this.#state, kind: "stale" });
        });
      }
      return { kind: this.#now() < staleAt ? "reconnecting" : "stale", since, attempt, nextAttemptAt, reason };
    });
  }

  /** Ends the current attempt and schedules the next. */
  #later(abort: AbortController, wait: number, state: (nextAttemptAt: number) => ConnectionState): void {
    if (this.#abort !== abort) return;
    const now = this.#now();
    const delay = Math.ceil(wait);
    if (this.#state.kind === "live") this.#liveAt = now;
    this.#drop();
    this.#attempt++;
    this.#cancelRetry = this.#timers.after(delay, () => this.#try());
    const next = state(now + delay);
    this.#set(next.kind === this.#state.kind && "since" in this.#state ? { ...next, since: this.#state.since } : next);
  }

  #drop(): void {
    this.#cancelSilence?.();
    this.#cancelSilence = null;
    const abort = this.#abort;
    this.#abort = null;
    abort?.abort();
  }

  #listenForSilence(abort: AbortController): void {
    this.#cancelSilence?.();
    this.#cancelSilence = this.#timers.after(SILENCE_MS, () => this.#failed(abort, "no data for 40 s"));
  }

  /** Half of the wait is fixed and half random, so that many clients do not reconnect at the same time. */
  #backoff(): number {
    if (this.#state.kind === "live" && this.#now() - this.#state.since >= STABLE_MS) this.#attempt = 0;
    const bound = Math.min(MAX_BACKOFF_MS, 2000 * 2 ** Math.min(this.#attempt, 10));
    return (bound / 2) * (1 + this.#random());
  }

  #slowly(): number {
    return REFUSED_MS * (1 + this.#random());
  }

  #set(state: ConnectionState): void {
    this.#state = state;
    this.#options.onState?.(state);
  }
}

/** The id of a frame as a sequence number; undefined if it is none. */
export function seqOf(frame: SseFrame): number | undefined {
  return frame.id === undefined || !/^\d+$/.test(frame.id) ? undefined : Number(frame.id);
}

function retryAfter(value: string | null, now: number): number {
  if (value === null) return 0;
  const ms = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - now;
  return Number.isNaN(ms) ? 0 : Math.min(MAX_RETRY_AFTER_MS, Math.max(0, ms));
}
