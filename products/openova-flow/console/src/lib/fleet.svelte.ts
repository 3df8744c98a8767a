import {
  buildGraph,
  createApi,
  currentRollout,
  FleetStore,
  flowProgress,
  NO_REGIONS,
  rolloutProgress,
  type Api,
  type FlowGraph,
  type FlowState,
  type FlowSummary,
  type ManyEvent,
  type Problem,
  type Progress,
  type Regions,
  type Rollout,
} from "@openova/flow-core";
import { guardedFetch } from "./guard.js";
import { FleetFeed, type FleetTrouble } from "./fleet-feed.js";
import { baseUrl, nav } from "./nav.svelte.js";
import { throttled } from "./schedule.js";

/** One flow as the fleet shows it. Another object whenever anything of it changes, so that only its card is drawn anew. */
export interface FleetEntry {
  readonly id: string;
  /** Null until it is known. */
  readonly nodes: number | null;
  readonly regions: readonly string[];
  /** Who holds them, as far as is known. */
  readonly leases: Regions;
  readonly changedAt: number | null;
  /** Null until it has been looked for. */
  readonly problems: readonly Problem[] | null;
  readonly detail: FlowDetail | null;
}
export interface FlowDetail {
  /** Of the current, else the last rollout; of the whole flow when there has been none. */
  readonly progress: Progress;
  readonly rollout: Rollout | null;
}

/** What is kept of one flow besides its state. */
interface Watched {
  listed: FlowSummary | null;
  changedAt: number;
  graph: FlowGraph | null;
  lookedAt: number;
  /** Not looked at again before, by the clock of the page. */
  restsUntil: number;
  /** Time alone changes nothing of it. */
  isCalm: boolean;
  rollouts: readonly Rollout[] | null;
  rolloutsAskedAt: number;
  rolloutsAreOld: boolean;
}

/** How many more cards are drawn when the end of the list comes into view. */
const CARDS = 60;
/** Between two times that the page is brought up to date, and how much of one may go into looking at what changed. */
const REFRESH_MS = 100;
const BUDGET_MS = 12;
/** A flow rests so many times as long as looking at it took: a large one that changes all the time must not hold the page up. */
const REST = 20;
/** Time alone turns some reasons into trouble, and ends a rollout. */
const LOOK_AGAIN_MS = 15_000;
const ROLLOUTS_AGAIN_MS = 60_000;
/** Rollouts are told by the server alone. Those of a large flow are megabytes. */
const LARGE = 2000;
const ROLLOUTS_PAUSE_MS = 2000;
const LARGE_PAUSE_MS = 15_000;
const byName = new Intl.Collator("en").compare;

/**
 * All flows of the server, followed while somebody looks. A card tells what a person sees of each node and what blocks how many others,
 * which takes meta and edges; so each flow is folded whole, and what is bounded is the looking: what changed is looked at in slices,
 * what is in view first, however much comes.
 */
export class FleetModel {
  readonly #api: Api = createApi({ url: baseUrl, fetch: guardedFetch });
  readonly #abort = new AbortController();
  readonly #store = new FleetStore();
  readonly #feed: FleetFeed;
  readonly #watched = new Map<string, Watched>();
  readonly #entries = new Map<string, FleetEntry>();
  readonly #dirty = new Set<string>();
  readonly #refresh = throttled(() => this.#look(), () => REFRESH_MS);
  readonly #second: ReturnType<typeof setInterval>;
  #diagnose: ((graph: FlowGraph, now: number) => readonly Problem[]) | null = null;
  #askingRollouts = false;
  #limit = $state(CARDS);

  /** Null until the server has told which flows there are. */
  entries = $state.raw<readonly FleetEntry[] | null>(null);
  trouble = $state.raw<FleetTrouble | null>(null);
  /** There is no stream; the list is asked for again and again. */
  polling = $state(false);
  /** The server's clock, once a second. */
  now = $state(Date.now());

  /** What the search lets through, what has something wrong first. */
  readonly ordered: readonly FleetEntry[] = $derived.by(() => {
    const words = nav.route.query.toLowerCase().split(/\s+/).filter((w) => w !== "");
    return [...(this.entries ?? [])]
      .filter((e) => words.every((w) => `${e.id} ${e.regions.join(" ")}`.toLowerCase().includes(w)))
      .sort((a, b) => Number(isTroubled(b)) - Number(isTroubled(a)) || byName(a.id, b.id));
  });
  /** What is drawn of it. */
  readonly shown: readonly FleetEntry[] = $derived(this.ordered.slice(0, this.#limit));
  readonly troubled: number = $derived((this.entries ?? []).filter(isTroubled).length);
  /** Every flow has been looked at. */
  readonly isKnown: boolean = $derived((this.entries ?? []).every((e) => e.problems !== null));

  constructor() {
    this.#feed = new FleetFeed({
      url: baseUrl,
      store: this.#store,
      onEvent: (event) => this.#receive(event),
      onList: (flows) => this.#list(flows),
      onTrouble: (trouble) => (this.trouble = trouble),
      onPolling: (polling) => (this.polling = polling),
      wanted: () => this.shown.map((e) => e.id),
    });
    document.addEventListener("visibilitychange", this.#wake);
    this.#second = setInterval(() => this.#tick(), 1000);
    this.#wake();
    void import("./diagnosis.js").then((m) => {
      this.#diagnose = m.problems;
      this.#lookAtAll();
    });
  }

  close(): void {
    document.removeEventListener("visibilitychange", this.#wake);
    clearInterval(this.#second);
    this.#refresh.stop();
    this.#feed.stop();
    this.#abort.abort();
  }

  retryNow(): void {
    this.#feed.retryNow();
  }

  /** Draws more cards. */
  more(): void {
    if (this.#limit < this.ordered.length) this.#limit += CARDS;
  }

  /** A browser opens few connections to a server: a tab that nobody sees holds none, and resumes when it is seen again. */
  #wake = (): void => {
    if (document.visibilityState === "visible") this.#feed.start();
    else this.#feed.stop();
  };

  #receive(event: ManyEvent): void {
    if (event.type === "message") {
      const before = this.#store.flows?.get(event.flowId);
      const watched = this.#watch(event.flowId);
      watched.rolloutsAreOld = true;
      // Of what was there already, and of what is polled, the list says when it changed.
      if (!this.polling && (before !== null || event.message.type !== "snapshot")) watched.changedAt = this.#store.now();
    }
    this.#store.receive(event);
    if (event.type === "flows" && this.entries === null) this.#look();
    else if (event.type !== "heartbeat") this.#refresh.ask();
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
    this.#refresh.ask();
  }

  #watch(id: string): Watched {
    let watched = this.#watched.get(id);
    if (watched === undefined) {
      watched = { listed: null, changedAt: 0, graph: null, lookedAt: 0, restsUntil: 0, isCalm: false, rollouts: null, rolloutsAskedAt: 0, rolloutsAreOld: true };
      this.#watched.set(id, watched);
    }
    return watched;
  }

  #lookAtAll(): void {
    for (const id of this.#watched.keys()) this.#dirty.add(id);
    this.#refresh.ask();
  }

  #tick(): void {
    if (document.visibilityState !== "visible") return;
    this.now = this.#store.now();
    for (const [id, w] of this.#watched) if (!w.isCalm && this.now - w.lookedAt > LOOK_AGAIN_MS) this.#dirty.add(id);
    if (this.#dirty.size > 0) this.#refresh.ask();
    void this.#askRollouts();
  }

  /** Looks at what changed for as long as it may. */
  #look(): void {
    for (const id of this.#store.takeChanged()) this.#dirty.add(id);
    const until = performance.now() + BUDGET_MS;
    for (const id of [...this.shown.map((e) => e.id), ...this.#dirty]) {
      if (!this.#dirty.has(id)) continue;
      const began = performance.now();
      if (this.entries !== null && began > until) break;
      const watched = this.#watched.get(id);
      if (this.#store.flows?.has(id) && watched !== undefined && began < watched.restsUntil) continue;
      this.#dirty.delete(id);
      this.#lookAt(id);
      if (watched !== undefined) watched.restsUntil = performance.now() + REST * (performance.now() - began);
    }
    this.entries = this.#store.flows === null ? null : [...this.#entries.values()];
    if (this.#dirty.size > 0) this.#refresh.ask();
    void this.#askRollouts();
  }

  #lookAt(id: string): void {
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
    const now = this.#store.now();
    const graph = (watched.graph = buildGraph(state, watched.graph));
    const problems = this.#diagnose?.(graph, now) ?? null;
    const { rollouts } = watched;
    const rollout = rollouts === null ? null : currentRollout(rollouts);
    const whole = flowProgress(graph, now);
    watched.lookedAt = now;
    watched.isCalm = whole.complete && problems?.length === 0;
    return {
      ...entryOf(state.flowId, watched),
      nodes: state.nodes.size,
      regions: regionsOf(state),
      leases: state.regions,
      problems,
      detail: rollouts === null ? null : { rollout, progress: rollout === null ? whole : rolloutProgress(graph, rollout, now, rollouts.slice(1)) },
    };
  }

  /** Of the cards that are drawn, one after the other. */
  async #askRollouts(): Promise<void> {
    if (this.#askingRollouts || this.trouble !== null) return;
    this.#askingRollouts = true;
    for (const { id } of this.shown) {
      const watched = this.#watched.get(id);
      if (watched === undefined || !this.#rolloutsAreDue(id, watched)) continue;
      watched.rolloutsAskedAt = Date.now();
      watched.rolloutsAreOld = false;
      try {
        watched.rollouts = await this.#api.rollouts(id, this.#abort.signal);
      } catch {
        watched.rollouts ??= [];
        watched.rolloutsAreOld = true;
        watched.rolloutsAskedAt += ROLLOUTS_AGAIN_MS;
      }
      if (this.#abort.signal.aborted) return;
      this.#dirty.add(id);
      this.#refresh.ask();
    }
    this.#askingRollouts = false;
  }

  #rolloutsAreDue(id: string, watched: Watched): boolean {
    const state = this.#store.flows?.get(id) ?? null;
    if (state === null || watched.rollouts === null) return state !== null;
    const age = Date.now() - watched.rolloutsAskedAt;
    const isOpen = watched.rollouts[0] !== undefined && watched.rollouts[0].endedAt === undefined;
    if (isOpen && age > ROLLOUTS_AGAIN_MS) return true;
    return watched.rolloutsAreOld && age > (state.nodes.size > LARGE ? LARGE_PAUSE_MS : ROLLOUTS_PAUSE_MS);
  }
}

function isTroubled(entry: FleetEntry): boolean {
  return (entry.problems?.length ?? 0) > 0;
}

/** What is known of a flow without its state. */
function entryOf(id: string, { listed, changedAt }: Watched): FleetEntry {
  return {
    id,
    nodes: listed === null ? null : Object.values(listed.counts).reduce((a, b) => a + b, 0),
    regions: listed?.regions ?? [],
    leases: NO_REGIONS,
    changedAt: changedAt === 0 ? null : changedAt,
    problems: null,
    detail: null,
  };
}

function regionsOf(state: FlowState): readonly string[] {
  const regions = new Set<string>();
  for (const node of state.nodes.values()) if (node.region !== undefined && node.region !== "") regions.add(node.region);
  return [...regions].sort();
}
