import type { Fetch, FetchResponse, Timers } from "../src/index.js";

export class Clock implements Timers {
  time = 1_000_000;
  readonly #due = new Map<number, { readonly at: number; readonly fn: () => void }>();
  #next = 0;

  readonly now = (): number => this.time;

  after(ms: number, fn: () => void): () => void {
    const id = this.#next++;
    this.#due.set(id, { at: this.time + ms, fn });
    return () => this.#due.delete(id);
  }

  get pending(): number {
    return this.#due.size;
  }

  /** Advances the clock and runs the due timers in order. Promises settle between two timers. */
  async advance(ms: number): Promise<void> {
    const end = this.time + ms;
    await settle();
    for (;;) {
      const next = [...this.#due].sort(([i, a], [j, b]) => a.at - b.at || i - j)[0];
      if (next === undefined || next[1].at > end) break;
      this.time = Math.max(this.time, next[1].at);
      this.#due.delete(next[0]);
      next[1].fn();
      await settle();
    }
    this.time = end;
  }
}

export async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
}

/** A request to a FakeServer, and its stream if the response is one. */
export interface Request {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal | null;
  send(text: string): void;
  /** Ends the stream, with an error if one is given. */
  end(error?: Error): void;
}
export type Answer = { readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly body?: unknown } | "stream" | "refuse" | "hang";

/** A server whose responses the test defines. It records the requests. */
export class FakeServer {
  readonly requests: Request[] = [];
  answer: (request: Request) => Answer = () => "stream";

  get last(): Request {
    const request = this.requests.at(-1);
    if (request === undefined) throw new Error("no request came");
    return request;
  }

  readonly fetch: Fetch = (url, init) => {
    const stream = new FakeStream(init.signal);
    const request: Request = {
      url,
      headers: init.headers,
      signal: init.signal,
      send: (text) => stream.push(new TextEncoder().encode(text)),
      end: (error) => stream.end(error),
    };
    this.requests.push(request);
    const answer = this.answer(request);
    if (answer === "refuse") return Promise.reject(new TypeError("fetch failed"));
    if (answer === "hang") return new Promise((_, reject) => onAbort(init.signal, () => reject(new Error("aborted"))));
    return Promise.resolve(answer === "stream" ? respond(200, { "content-type": "text/event-stream" }, stream) : respond(answer.status, answer.headers ?? {}, null, answer.body));
  };
}

function respond(status: number, headers: Readonly<Record<string, string>>, stream: FakeStream | null, body?: unknown): FetchResponse {
  return {
    ok: status >= 200 && status < 300,
    status,
    headers: { get: (name) => headers[name.toLowerCase()] ?? null },
    body: stream === null ? null : { getReader: () => stream },
    json: () => (body === undefined ? Promise.reject(new SyntaxError("no JSON")) : Promise.resolve(body)),
  };
}

function onAbort(signal: AbortSignal | null, fn: () => void): void {
  (signal as unknown as { addEventListener?(type: "abort", fn: () => void): void } | null)?.addEventListener?.("abort", fn);
}

interface Chunk {
  readonly done: boolean;
  readonly value?: Uint8Array | undefined;
}

class FakeStream {
  readonly #chunks: Chunk[] = [];
  #error: Error | null = null;
  #wake: (() => void) | null = null;

  constructor(signal: AbortSignal | null) {
    onAbort(signal, () => this.end(new Error("aborted")));
  }
  push(value: Uint8Array): void {
    this.#chunks.push({ done: false, value });
    this.#wake?.();
  }
  end(error?: Error): void {
    if (error === undefined) this.#chunks.push({ done: true });
    else this.#error = error;
    this.#wake?.();
  }
  async read(): Promise<Chunk> {
    for (;;) {
      if (this.#error !== null) throw this.#error;
      const chunk = this.#chunks.shift();
      if (chunk !== undefined) return chunk;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

export function frame(seq: number, message: { readonly type: string }): string {
  return `id: ${seq}\nevent: ${message.type}\ndata: ${JSON.stringify(message)}\n\n`;
}
export function heartbeat(seq: number, at: number, incarnation = "i1"): string {
  return `event: heartbeat\ndata: ${JSON.stringify({ seq, at, incarnation })}\n\n`;
}
