// The few web globals that core uses, declared here so that it compiles both with and without the DOM library.

declare global {
  interface AbortSignal {
    readonly aborted: boolean;
  }
  interface AbortController {
    readonly signal: AbortSignal;
    abort(reason?: unknown): void;
  }
}

/** The part of `fetch` that core uses. */
export type Fetch = (url: string, init: FetchInit) => Promise<FetchResponse>;
export interface FetchInit {
  readonly headers: Record<string, string>;
  readonly signal: AbortSignal | null;
  readonly cache: "no-store" | "no-cache";
  readonly credentials: "same-origin";
}
export interface FetchResponse {
  readonly ok: boolean;
  readonly status: number;
  readonly headers: { get(name: string): string | null };
  readonly body: { getReader(): ByteReader } | null;
  json(): Promise<unknown>;
}
export interface ByteReader {
  read(): Promise<{ readonly done: boolean; readonly value?: Uint8Array | undefined }>;
}
export interface Timers {
  /** Runs `fn` once after `ms`. Call the result to cancel. */
  after(ms: number, fn: () => void): () => void;
}

interface WebGlobals {
  readonly fetch: Fetch;
  readonly AbortController: new () => AbortController;
  readonly TextDecoder: new (label: string) => { decode(input: Uint8Array, options: { stream: boolean }): string };
  readonly setTimeout: (fn: () => void, ms: number) => unknown;
  readonly clearTimeout: (id: unknown) => void;
}

/** The globals themselves, not copies: fakes that are installed later are used too. */
export const web = globalThis as unknown as WebGlobals;

export const webTimers: Timers = {
  after(ms, fn) {
    const id = web.setTimeout(fn, ms);
    return () => web.clearTimeout(id);
  },
};

export function endpoint(url: string, path: string): string {
  return `${url.replace(/\/+$/, "")}/v1/${path}`;
}
