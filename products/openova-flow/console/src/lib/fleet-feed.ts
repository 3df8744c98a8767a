import { ApiError, connectMany, createApi, validate, type Api, type Connection, type FleetStore, type FlowSummary, type ManyEvent } from "@openova/flow-core";
import { guardedFetch } from "./guard.js";

export interface FleetTrouble {
  readonly kind: "forbidden" | "unreachable" | "error";
  readonly text: string;
  /** The HTTP status; 0 without a response. */
  readonly status: number;
  /** By the store's clock, in Unix milliseconds. */
  readonly nextAttemptAt: number;
}
export interface FleetFeedOptions {
  readonly url: string;
  /** The store that `onEvent` fills; used for its clock. */
  readonly store: FleetStore;
  readonly onEvent: (event: ManyEvent) => void;
  /** The server's list of flows: counts before the first snapshot, and when each flow changed. The stream has neither. */
  readonly onList: (flows: readonly FlowSummary[]) => void;
  readonly onTrouble: (trouble: FleetTrouble | null) => void;
  readonly onPolling: (polling: boolean) => void;
  /** The flows whose snapshots are polled. */
  readonly wanted: () => readonly string[];
}

const POLL_MS = 2000;
const MAX_BACKOFF_MS = 30_000;
/** How long the stream may take to start before polling starts. */
const PATIENCE_MS = 1500;
/** A flow with more nodes is polled less often: its snapshot has megabytes. */
const LARGE = 2000;
const LARGE_PAUSE_MS = 15_000;

/**
 * Subscribes to all flows over one stream, between `start` and `stop`.
 *
 * While the stream is not live, it polls the list and the snapshots of changed flows: an older server has no such stream (404), a busy one
 * refuses it (503), and some gateways buffer it. It retries the stream, after 30 to 60 s if the server has none, and stops polling once the
 * stream is live.
 */
export class FleetFeed {
  readonly #options: FleetFeedOptions;
  readonly #api: Api;
  readonly #polled = new Map<string, { readonly seq: number; readonly at: number }>();
  #stream: Connection | null = null;
  /** The id from which the next stream resumes. */
  #lastEventId: string | undefined;
  #poll: AbortController | null = null;
  #list: AbortController | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #failures = 0;

  constructor(options: FleetFeedOptions) {
    this.#options = options;
    this.#api = createApi({ url: options.url, fetch: guardedFetch });
  }

  start(): void {
    if (this.#stream !== null) return;
    this.#timer = setTimeout(() => this.#startPolling(), PATIENCE_MS);
    const options = this.#options;
    this.#stream = connectMany({
      url: options.url,
      fetch: guardedFetch,
      lastEventId: this.#lastEventId,
      onEvent: (event) => {
        options.onEvent(event);
        if (event.type === "flows") void this.#loadList();
      },
      onState: (state) => {
        options.store.setConnection(state);
        const { kind } = state;
        if (kind === "live") this.#stopPolling();
        else if (kind !== "closed") this.#startPolling();
      },
    });
  }

  stop(): void {
    if (this.#stream !== null) {
      this.#stream.close();
      this.#lastEventId = this.#stream.lastEventId;
      this.#stream = null;
    }
    this.#list?.abort();
    this.#endPolling();
  }

  retryNow(): void {
    this.#stream?.retryNow();
    if (this.#poll === null) return;
    this.#endPolling();
    this.#startPolling();
  }

  async #loadList(): Promise<void> {
    this.#list?.abort();
    const { signal } = (this.#list = new AbortController());
    const flows = await this.#api.flows(signal).catch(() => null);
    if (flows !== null && !signal.aborted) this.#options.onList(flows);
  }

  #startPolling(): void {
    if (this.#poll !== null) return;
    clearTimeout(this.#timer);
    this.#poll = new AbortController();
    void this.#round(this.#poll.signal);
  }

  /** Drops responses under way: they may be older than the stream. */
  #endPolling(): void {
    clearTimeout(this.#timer);
    this.#poll?.abort();
    this.#poll = null;
  }

  #stopPolling(): void {
    this.#endPolling();
    this.#failures = 0;
    this.#options.onTrouble(null);
    this.#options.onPolling(false);
  }

  async #round(signal: AbortSignal): Promise<void> {
    let pause = POLL_MS;
    try {
      const flows = await this.#api.flows(signal);
      if (signal.aborted) return;
      this.#failures = 0;
      this.#options.onEvent({ type: "flows", flows: new Map(flows.map((f) => [f.id, f.incarnation])) });
      this.#options.onList(flows);
      this.#options.onTrouble(null);
      this.#options.onPolling(true);
      await this.#loadChanged(flows, signal);
    } catch (e) {
      if (signal.aborted) return;
      const bound = Math.min(MAX_BACKOFF_MS, POLL_MS * 2 ** this.#failures++);
      pause = (bound / 2) * (1 + Math.random());
      this.#options.onTrouble(troubleOf(e, this.#options.store.now() + pause));
    }
    if (!signal.aborted) this.#timer = setTimeout(() => void this.#round(signal), pause);
  }

  /** Loads the snapshots of wanted flows that changed, one after the other. */
  async #loadChanged(flows: readonly FlowSummary[], signal: AbortSignal): Promise<void> {
    const byId = new Map(flows.map((f) => [f.id, f]));
    for (const id of this.#polled.keys()) if (!byId.has(id)) this.#polled.delete(id);
    for (const id of this.#options.wanted()) {
      const flow = byId.get(id);
      if (flow === undefined || !this.#isDue(flow)) continue;
      this.#polled.set(id, { seq: flow.seq, at: Date.now() });
      await this.#load(id, signal).catch(() => this.#polled.delete(id));
      if (signal.aborted) return;
    }
  }

  #isDue(flow: FlowSummary): boolean {
    const last = this.#polled.get(flow.id);
    if (last === undefined) return true;
    const nodes = Object.values(flow.counts).reduce((a, b) => a + b, 0);
    return last.seq !== flow.seq && (nodes <= LARGE || Date.now() - last.at > LARGE_PAUSE_MS);
  }

  async #load(flowId: string, signal: AbortSignal): Promise<void> {
    const response = await guardedFetch(new URL(`v1/flows/${flowId}/snapshot`, this.#options.url).href, { headers: {}, signal, cache: "no-cache", credentials: "same-origin" });
    if (!response.ok) throw new Error(`the server responded with ${response.status}`);
    const read = validate(flowId, await response.json());
    if (!read.ok) throw new Error(`${read.error.field} ${read.error.message}`);
    if (!signal.aborted) this.#options.onEvent({ type: "message", flowId, seq: undefined, message: read.message });
  }
}

function troubleOf(e: unknown, nextAttemptAt: number): FleetTrouble {
  if (e instanceof ApiError) {
    return { kind: e.status === 401 || e.status === 403 ? "forbidden" : "error", text: e.message, status: e.status, nextAttemptAt };
  }
  return { kind: "unreachable", status: 0, text: e instanceof Error ? e.message : String(e), nextAttemptAt };
}
