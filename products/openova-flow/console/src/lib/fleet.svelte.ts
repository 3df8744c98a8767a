import {
  ApiError,
  buildGraph,
  createApi,
  currentRollout,
  emptyState,
  flowProgress,
  fold,
  problems,
  rolloutProgress,
  validate,
  type Api,
  type FlowSummary,
  type Problem,
  type Progress,
  type Rollout,
} from "@openova/flow-core";
import { baseUrl } from "./nav.svelte.js";

/** What the list of flows does not say, computed from a flow's state. */
export interface FlowDetail {
  readonly seq: number;
  /** Of the current, else the last rollout; of the whole flow when there has been none. */
  readonly progress: Progress;
  readonly rollout: Rollout | null;
  readonly problems: readonly Problem[];
}
export interface FleetTrouble {
  readonly kind: "forbidden" | "away" | "error";
  readonly text: string;
  readonly nextAttemptAt: number;
}

const POLL_MS = 2000;
const MAX_BACKOFF_MS = 30_000;
/** A large flow's state is megabytes, so it is asked for less often. */
const LARGE = 2000;
const LARGE_PAUSE_MS = 15_000;
/** More flows than this are listed with what the list itself says. */
const DETAILED = 60;

/** All flows of the server, asked for while somebody looks. */
export class FleetModel {
  readonly #api: Api = createApi({ url: baseUrl });
  readonly #abort = new AbortController();
  readonly #askedAt = new Map<string, number>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #failures = 0;
  #detailing = false;

  flows = $state.raw<readonly FlowSummary[] | null>(null);
  details = $state.raw<ReadonlyMap<string, FlowDetail>>(new Map());
  trouble = $state.raw<FleetTrouble | null>(null);
  now = $state(Date.now());

  constructor() {
    document.addEventListener("visibilitychange", this.#wake);
    void this.#poll();
  }

  close(): void {
    document.removeEventListener("visibilitychange", this.#wake);
    clearTimeout(this.#timer);
    this.#abort.abort();
  }

  retryNow(): void {
    clearTimeout(this.#timer);
    void this.#poll();
  }

  #wake = (): void => {
    if (document.visibilityState === "visible") this.retryNow();
  };

  async #poll(): Promise<void> {
    let pause = POLL_MS;
    try {
      this.flows = await this.#api.flows(this.#abort.signal);
      this.trouble = null;
      this.#failures = 0;
      void this.#detail();
    } catch (e) {
      if (this.#abort.signal.aborted) return;
      const bound = Math.min(MAX_BACKOFF_MS, POLL_MS * 2 ** this.#failures++);
      pause = (bound / 2) * (1 + Math.random());
      this.trouble = troubleOf(e, Date.now() + pause);
    }
    this.now = Date.now();
    clearTimeout(this.#timer);
    if (!this.#abort.signal.aborted && document.visibilityState === "visible") this.#timer = setTimeout(() => void this.#poll(), pause);
  }

  /** Looks at what changed, one flow after the other. */
  async #detail(): Promise<void> {
    if (this.#detailing) return;
    this.#detailing = true;
    try {
      for (const flow of (this.flows ?? []).slice(0, DETAILED)) {
        if (this.#abort.signal.aborted) return;
        if (!this.#isDue(flow)) continue;
        this.#askedAt.set(flow.id, Date.now());
        const detail = await this.#look(flow).catch(() => null);
        if (detail !== null) this.details = new Map(this.details).set(flow.id, detail);
      }
    } finally {
      this.#detailing = false;
    }
  }

  #isDue(flow: FlowSummary): boolean {
    const known = this.details.get(flow.id);
    if (known === undefined) return true;
    const nodes = Object.values(flow.counts).reduce((a, b) => a + b, 0);
    const age = Date.now() - (this.#askedAt.get(flow.id) ?? 0);
    // Time alone ends a rollout and turns some reasons into trouble.
    return known.seq === flow.seq ? age > 60_000 : nodes <= LARGE || age > LARGE_PAUSE_MS;
  }

  async #look(flow: FlowSummary): Promise<FlowDetail> {
    const { signal } = this.#abort;
    const response = await fetch(new URL(`v1/flows/${flow.id}/snapshot`, baseUrl), { signal, cache: "no-cache" });
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
    const read = validate(flow.id, await response.json());
    if (!read.ok) throw new Error(`${read.error.field} ${read.error.message}`);
    const rollouts = await this.#api.rollouts(flow.id, signal);
    const graph = buildGraph(fold(emptyState(flow.id), read.message));
    const now = Date.now();
    const rollout = currentRollout(rollouts);
    return {
      seq: flow.seq,
      rollout,
      progress: rollout === null ? flowProgress(graph, now) : rolloutProgress(graph, rollout, now, rollouts.slice(1)),
      problems: problems(graph, now),
    };
  }
}

function troubleOf(e: unknown, nextAttemptAt: number): FleetTrouble {
  if (e instanceof ApiError) {
    return { kind: e.status === 401 || e.status === 403 ? "forbidden" : "error", text: e.message, nextAttemptAt };
  }
  return { kind: "away", text: e instanceof Error ? e.message : String(e), nextAttemptAt };
}
