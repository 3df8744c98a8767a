import {
  allKnownUntil,
  buildGraph,
  createApi,
  currentRollout,
  DISPLAY_STATES,
  FleetStore,
  flowProgress,
  NO_REGIONS,
  rolloutProgress,
  type Api,
  type DisplayCounts,
  type DisplayState,
  type FlowGraph,
  type FlowState,
  type FlowSummary,
  type ManyEvent,
  type Problem,
  type Progress,
  type Regions,
  type Rollout,
  type RolloutProgress,
} from "@openova/flow-core";
import { guardedFetch } from "./guard.js";
import { FleetFeed, type FleetTrouble } from "./fleet-feed.js";
import { baseUrl, nav } from "./nav.svelte.js";
import { throttled } from "./schedule.js";

/** A flow in the fleet. Each change creates a new object, so that only its card is updated. */
export interface FleetEntry {
  readonly id: string;
  /** Null until known. */
  readonly nodes: number | null;
  readonly regions: readonly string[];
  /** Empty until known. */
  readonly leases: Regions;
  readonly changedAt: number | null;
  /** Null until computed. */
  readonly problems: readonly Problem[] | null;
  /** Releases in each state; null until computed. */
  readonly counts: DisplayCounts | null;
  readonly detail: FlowDetail | null;
}
export interface FlowDetail {
  readonly whole: Progress;
  /** The current rollout, otherwise the last one. */
  readonly rollout: Rollout | null;
  readonly progress: RolloutProgress | null;
}

/** Kept for each flow besides its state. */
interface Watched {
  listed: FlowSummary | null;
  changedAt: number;
  graph: FlowGraph | null;
  computedAt: number;
  /** The earliest time of the next computation (performance.now()). */
  restsUntil: number;
  /** It changes only with a message, not with time. */
  isCalm: boolean;
  rollouts: readonly Rollout[] | null;
  rolloutsLoadedAt: number;
  rolloutsAreOld: boolean;
}

/** Cards added when the end of the list comes into view. */
const CARDS = 60;
/** The least time between two updates, and the time that an update may spend on changed flows. */
const REFRESH_MS = 100;
const BUDGET_MS = 12;
/** After an update a flow pauses for this many times its duration, so that a large flow cannot block the page. */
const REST = 20;
/** Some problems and the end of a rollout depend on time alone. */
const RECOMPUTE_MS = 15_000;
const ROLLOUTS_RELOAD_MS = 60_000;
/** Minimum time between two requests for the rollouts of a flow; longer for one with more than LARGE nodes, whose rollouts are several megabytes. */
const ROLLOUTS_PAUSE_MS = 2000;
const LARGE = 2000;
const LARGE_PAUSE_MS = 15_000;
const byName = new Intl.Collator("en").compare;

/**
 * All flows of the server, followed while the page is visible. Cards show display states and problems, which need meta and edges, so each
 * flow is folded as a whole. The computation for cards is limited: it handles changed flows in slices, those with drawn cards first.
 */
export class FleetModel {
  readonly #api: Api = createApi({ url: baseUrl, fetch: guardedFetch });
  readonly #abort = new AbortController();
  readonly #store = new FleetStore();
  readonly #feed: FleetFeed;
  readonly #watched = new Map<string, Watched>();
  readonly #entries = new Map<string, FleetEntry>();
  readonly #dirty = new Set<string>();
  readonly #refresh = throttled(() => this.#update(), () => REFRESH_MS);
  readonly #interval: ReturnType<typeof setInterval>;
  #diagnose: ((graph: FlowGraph, now: number) => readonly Problem[]) | null = null;
  #isLoadingRollouts = false;
  #limit = $state(CARDS);

  /** Null until the list of flows has arrived. */
  entries = $state.raw<readonly FleetEntry[] | null>(null);
  trouble = $state.raw<FleetTrouble | null>(null);
  /** When the connection was lost, by the server's clock; null while connected. */
  lostAt = $state<number | null>(null);
  /** The flows are polled, because there is no stream. */
  polling = $state(false);
  /** The server's clock, updated every second while the page is visible. */
  now = $state(Date.now());

  /** The flows that pass search and states. First those with broken releases, then those with other problems, then those with working or waiting releases. */
  readonly ordered: readonly FleetEntry[] = $derived.by(() => {
    const words = nav.route.query.toLowerCase().split(/\s+/).filter((w) => w !== "");
    return [...(this.entries ?? [])]
      .filter((e) => words.every((w) => `${e.id} ${e.regions.join(" ")}`.toLowerCase().includes(w)) && isIn(e, nav.route.displays))
      .sort((a, b) => urgency(b) - urgency(a) || byName(a.id, b.id));
  });
  readonly shown: readonly FleetEntry[] = $derived(this.ordered.slice(0, this.#limit));
  readonly withProblem: number = $derived((this.entries ?? []).filter(hasProblem).length);
  /** The number of flows with a release in each state. */
  readonly inState: ReadonlyMap<DisplayState, number> = $derived(new Map(DISPLAY_STATES.map((s) => [s, (this.entries ?? []).filter((e) => isIn(e, [s])).length])));
  /** Problems are known for every flow. */
  readonly isKnown: boolean = $derived((this.entries ?? []).every((e) => e.problems !== null));

  constructor() {
    this.#feed = new FleetFeed({
      url: baseUrl,
      store: this.#store,
      onEvent: (event) => this.#receive(event),
      onList: (flows) => this.#list(flows),
      onTrouble: (trouble) => {
        this.trouble = trouble;
        this.lostAt = trouble === null ? null : (this.lostAt ?? this.#store.now());
      },
      onPolling: (polling) => (this.polling = polling),
      wanted: () => this.shown.map((e) => e.id),
    });
    document.addEventListener("visibilitychange", this.#wake);
    this.#interval = setInterval(() => this.#tick(), 1000);
    this.#wake();
    void import("./diagnosis.js").then((m) => {
      this.#diagnose = m.problems;
      this.#updateAll();
    });
  }

  close(): void {
    document.removeEventListener("visibilitychange", this.#wake);
    clearInterval(this.#interval);
    this.#refresh.stop();
    this.#feed.stop();
    this.#abort.abort();
  }

  retryNow(): void {
    this.#feed.retryNow();
  }

  more(): void {
    if (this.#limit < this.ordered.length) this.#limit += CARDS;
  }

  /** Browsers limit connections per server: a hidden tab closes its own, and resumes when visible. */
  #wake = (): void => {
    if (document.visibilityState === "visible") this.#feed.start();
    else this.#feed.stop();
  };

  #receive(event: ManyEvent): void {
    if (event.type === "message") {
      const before = this.#store.flows?.get(event.flowId);
      const watched = this.#watch(event.flowId);
      watched.rolloutsAreOld = true;
      // For first snapshots and for polled flows the list says when they changed.
      if (!this.polling && (before !== null || event.message.type !== "snapshot")) watched.changedAt = this.#store.now();
    }
    this.#store.receive(event);
    if (event.type === "flows" && this.entries === null) this.#update();
    else if (event.type !== "heartbeat") this.#refresh.schedule();
  }

  #list(flows: readonly FlowSummary[]): void {
    for (const listed of flows) {
      const state = this.#store.flows?.get(listed.id);
      if (state === undefined) continue;
      const watched = this.#watch(listed.id);
      watched.listed = listed;
      if (state !== null && watched.changedAt >= listed.updatedAt) continue;
      watched.changedAt = Math.max(watched.changedAt, listed.updatedAt);
      this.#dirty.add(listed.id);
    }
    this.#refresh.schedule();
  }

  #watch(id: string): Watched {
    let watched = this.#watched.get(id);
    if (watched === undefined) {
      watched = { listed: null, changedAt: 0, graph: null, computedAt: 0, restsUntil: 0, isCalm: false, rollouts: null, rolloutsLoadedAt: 0, rolloutsAreOld: true };
      this.#watched.set(id, watched);
    }
    return watched;
  }

  #updateAll(): void {
    for (const id of this.#watched.keys()) this.#dirty.add(id);
    this.#refresh.schedule();
  }

  #tick(): void {
    if (document.visibilityState !== "visible") return;
    this.now = this.#store.now();
    const now = this.lostAt ?? this.now;
    for (const [id, w] of this.#watched) if (w.graph !== null && !w.isCalm && now - w.computedAt > RECOMPUTE_MS) this.#dirty.add(id);
    if (this.#dirty.size > 0) this.#refresh.schedule();
    void this.#loadRollouts();
  }

  /** Computes the cards of changed flows, drawn ones first, for about BUDGET_MS; at the first call all of them. */
  #update(): void {
    for (const id of this.#store.takeChanged()) this.#dirty.add(id);
    const until = performance.now() + BUDGET_MS;
    for (const id of [...this.shown.map((e) => e.id), ...this.#dirty]) {
      if (!this.#dirty.has(id)) continue;
      const began = performance.now();
      if (this.entries !== null && began > until) break;
      const watched = this.#watched.get(id);
      if (this.#store.flows?.has(id) && watched !== undefined && began < watched.restsUntil) continue;
      this.#dirty.delete(id);
      this.#updateEntry(id);
      if (watched !== undefined) watched.restsUntil = performance.now() + REST * (performance.now() - began);
    }
    if (Math.abs(this.#store.now() - this.now) > 5000) this.now = this.#store.now(); // the first frame has set the clock
    this.entries = this.#store.flows === null ? null : [...this.#entries.values()];
    if (this.#dirty.size > 0) this.#refresh.schedule();
    void this.#loadRollouts();
  }

  #updateEntry(id: string): void {
    const state = this.#store.flows?.get(id);
    if (state === undefined) {
      this.#watched.delete(id);
      this.#entries.delete(id);
      return;
    }
    const watched = this.#watch(id);
    this.#entries.set(id, state === null ? entryOf(id, watched) : this.#inspect(state, watched));
  }

  #inspect(state: FlowState, watched: Watched): FleetEntry {
    const now = this.lostAt ?? this.#store.now();
    const graph = (watched.graph = buildGraph(state, watched.graph));
    const problems = this.#diagnose?.(graph, now) ?? null;
    const { rollouts } = watched;
    const regions = regionsOf(state);
    const rollout = rollouts === null ? null : currentRollout(rollouts);
    const whole = flowProgress(graph, now);
    watched.computedAt = now;
    watched.isCalm = whole.complete && problems?.length === 0;
    return {
      ...entryOf(state.flowId, watched),
      nodes: state.nodes.size,
      regions,
      leases: state.regions,
      problems,
      counts: whole.counts,
      detail: rollouts === null ? null : { whole, rollout, progress: rollout === null ? null : rolloutProgress(graph, rollout, allKnownUntil(state.regions, regions, now), rollouts.slice(1)) },
    };
  }

  /** Loads the rollouts of drawn cards where they are due, one after the other. */
  async #loadRollouts(): Promise<void> {
    if (this.#isLoadingRollouts || this.trouble !== null) return;
    this.#isLoadingRollouts = true;
    for (const { id } of this.shown) {
      const watched = this.#watched.get(id);
      if (watched === undefined || !this.#rolloutsAreDue(id, watched)) continue;
      watched.rolloutsLoadedAt = Date.now();
      watched.rolloutsAreOld = false;
      try {
        watched.rollouts = await this.#api.rollouts(id, this.#abort.signal);
      } catch {
        watched.rollouts ??= [];
        watched.rolloutsAreOld = true;
        watched.rolloutsLoadedAt += ROLLOUTS_RELOAD_MS;
      }
      if (this.#abort.signal.aborted) return;
      this.#dirty.add(id);
      this.#refresh.schedule();
    }
    this.#isLoadingRollouts = false;
  }

  #rolloutsAreDue(id: string, watched: Watched): boolean {
    const state = this.#store.flows?.get(id) ?? null;
    if (state === null || watched.rollouts === null) return state !== null;
    const age = Date.now() - watched.rolloutsLoadedAt;
    const isInProgress = watched.rollouts[0] !== undefined && watched.rollouts[0].endedAt === undefined;
    if (isInProgress && age > ROLLOUTS_RELOAD_MS) return true;
    return watched.rolloutsAreOld && age > (state.nodes.size > LARGE ? LARGE_PAUSE_MS : ROLLOUTS_PAUSE_MS);
  }
}

/** Whether it has a release in one of the states, or no state is given. */
function isIn(entry: FleetEntry, states: readonly DisplayState[]): boolean {
  return states.length === 0 || states.some((s) => (entry.counts?.[s] ?? 0) > 0);
}

function urgency(entry: FleetEntry): number {
  if ((entry.counts?.broken ?? 0) > 0) return 3;
  if (hasProblem(entry)) return 2;
  return (entry.counts?.working ?? 0) + (entry.counts?.waiting ?? 0) > 0 ? 1 : 0;
}

function hasProblem(entry: FleetEntry): boolean {
  return (entry.problems?.length ?? 0) > 0;
}

/** What is known about a flow without its state. */
function entryOf(id: string, { listed, changedAt }: Watched): FleetEntry {
  return {
    id,
    nodes: listed === null ? null : Object.values(listed.counts).reduce((a, b) => a + b, 0),
    regions: listed?.regions ?? [],
    leases: NO_REGIONS,
    changedAt: changedAt === 0 ? null : changedAt,
    problems: null,
    counts: null,
    detail: null,
  };
}

function regionsOf(state: FlowState): readonly string[] {
  const regions = new Set<string>();
  for (const node of state.nodes.values()) if (node.region !== undefined && node.region !== "") regions.add(node.region);
  return [...regions].sort();
}
