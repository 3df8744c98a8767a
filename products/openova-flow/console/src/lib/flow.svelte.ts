import {
  allKnownUntil,
  buildGraph,
  createApi,
  currentRollout,
  displayState,
  flowProgress,
  progressByRegion,
  rolloutProgress,
  staleRegions,
  withRegions,
  type Api,
  type ConnectionState,
  type DisplayContext,
  type DisplayState,
  type FlowGraph,
  type FlowNode,
  type FlowState,
  type LogEntry,
  type Problem,
  type Regions,
  type Rollout,
} from "@openova/flow-core";
import { untrack } from "svelte";
import { guardedFetch } from "./guard.js";
import { openFeed, type Feed } from "./feed.js";
import { baseUrl, nav } from "./nav.svelte.js";
import { filterOf } from "./route.js";
import { throttled } from "./schedule.js";

export type HistoryStatus = "none" | "loading" | "ready" | "failed";

/** A flow with up to so many nodes is cheap to look at as a whole, many times a second. */
const SMALL = 500;
const LARGE = 3000;

/** One flow as the page shows it: live, or at an instant of its past. */
export class FlowModel {
  readonly flowId: string;
  readonly api: Api = createApi({ url: baseUrl, fetch: guardedFetch });
  readonly #feed: Feed;
  readonly #stop: (() => void)[] = [];
  readonly #abort = new AbortController();
  #before: FlowGraph | null = null;

  /** The newest state, at most a few times a second: the canvas follows it closer by itself. */
  #live = $state.raw<FlowState>() as FlowState;
  connection = $state.raw<ConnectionState>({ kind: "connecting", since: 0 });
  loaded = $state(false);
  /** Connected, and the server says that there is no such flow yet. */
  absent = $state(false);
  /** The server's clock, once a second. */
  now = $state(Date.now());
  rollouts = $state.raw<readonly Rollout[]>([]);
  history = $state<HistoryStatus>("none");
  historyError = $state("");
  #logVersion = $state(0);
  /** The instant that is shown; null is live. */
  at = $state<number | null>(nav.route.at);

  /** The time that durations and display states are counted to. Coarser for a large flow, which is dear to look at as a whole. */
  readonly clock = $derived(this.at ?? (this.#live.nodes.size > LARGE ? Math.floor(this.now / 5000) * 5000 + 5000 : this.now));
  readonly state: FlowState = $derived.by(() => {
    void this.#logVersion;
    return this.at === null ? this.#live : withRegions(this.#feed.store.log.stateAt(this.at) ?? this.#live, staleAt(this.#live.regions, this.at));
  });
  readonly graph: FlowGraph = $derived.by(() => (this.#before = buildGraph(this.state, untrack(() => this.#before))));
  readonly context: DisplayContext = $derived({ graph: this.graph, nodes: this.state.nodes, unconfirmed: this.state.unconfirmed, regions: this.state.regions, now: this.clock });
  /** Every node that is no container, by id. */
  readonly leaves: readonly FlowNode[] = $derived(this.graph.leaves.map((id) => this.graph.nodes.get(id) as FlowNode));
  /** The leaves and what stands beside the rollout, such as sources. */
  readonly searchable: readonly FlowNode[] = $derived([...this.graph.nodes.values()].filter((n) => !this.graph.isContainer(n.id)));
  readonly displays: ReadonlyMap<string, DisplayState> = $derived(new Map(this.leaves.map((n) => [n.id, displayState(n, this.context)])));
  readonly regions: readonly string[] = $derived([...progressByRegion(this.graph, this.clock).keys()].filter((r) => r !== ""));
  /** Those that are not heard of any more. */
  readonly silent: readonly string[] = $derived(staleRegions(this.state.regions));
  /** The time up to which anything is known: once nobody is heard of, nothing goes on that could be counted. */
  readonly #knownClock = $derived(allKnownUntil(this.state.regions, this.regions, this.clock));
  readonly families: readonly string[] = $derived([...new Set(this.leaves.map((n) => n.family ?? ""))].filter((f) => f !== "").sort());
  readonly filter = $derived(filterOf(nav.route));
  readonly isFiltered = $derived(
    nav.route.query.trim() !== "" || nav.route.displays.length + nav.route.regions.length + nav.route.families.length > 0 || nav.route.rollout !== null,
  );
  #diagnosis = $state.raw<typeof import("./diagnosis.js") | null>(null);
  /** What search and filters let through: the same for every view. */
  readonly selection: readonly FlowNode[] = $derived.by(() => {
    if (!this.isFiltered || this.#diagnosis === null) return this.leaves;
    const passes = this.#diagnosis.matcher(this.filter, this.context);
    const members = nav.route.rollout === null || this.rollout === null ? null : new Set(this.rollout.members.map((m) => m.id));
    return this.leaves.filter((n) => passes(n) && (members === null || members.has(n.id)));
  });
  readonly #insight = $derived(this.#diagnosis?.insightOf(this.graph, this.clock));
  readonly problems: readonly Problem[] = $derived(this.#diagnosis?.problems(this.graph, this.clock) ?? []);
  /** The rollout that is looked at: the one in the link, else the one of the instant, else the current or last. */
  readonly rollout: Rollout | null = $derived(
    this.rollouts.find((r) => r.id === nav.route.rollout) ?? currentRollout(this.rollouts, this.at ?? Infinity),
  );
  /** The rollout as it was at the instant. */
  readonly rolloutThen: Rollout | null = $derived.by(() => {
    const r = this.rollout;
    if (r === null || this.at === null || r.endedAt === undefined || r.endedAt <= this.at) return r;
    const { endedAt: _, ...open } = r;
    return open;
  });
  readonly rolloutProgress = $derived(
    this.rolloutThen === null
      ? null
      : rolloutProgress(
          this.graph,
          this.rolloutThen,
          this.#knownClock,
          this.rollouts.filter((r) => r !== this.rollout),
        ),
  );
  readonly wholeProgress = $derived(flowProgress(this.graph, this.clock));
  readonly critical = $derived(
    this.rolloutThen === null || this.#diagnosis === null
      ? null
      : this.#diagnosis.criticalPath(
          this.graph,
          this.rolloutThen.endedAt ?? this.#knownClock,
          this.rolloutThen.members.map((m) => m.id),
        ),
  );
  readonly selected: FlowNode | null = $derived(nav.route.node === null ? null : (this.graph.nodes.get(nav.route.node) ?? null));

  constructor(flowId: string) {
    this.flowId = flowId;
    const feed = (this.#feed = openFeed(baseUrl, flowId));
    this.#live = feed.store.state;
    const flush = throttled(() => this.#flush(), () => this.#pause());
    const rollouts = throttled(() => void this.#loadRollouts(), () => (this.#live.nodes.size > LARGE ? 5000 : 2000));
    let seq = -1;
    this.#stop.push(
      flush.stop,
      rollouts.stop,
      feed.store.subscribe(() => {
        flush.ask();
        if (feed.store.seq !== seq && feed.store.loaded) {
          seq = feed.store.seq;
          rollouts.ask();
        }
      }),
    );
    const second = setInterval(() => this.#second(rollouts.ask), 1000);
    this.#stop.push(() => clearInterval(second));
    if (this.at !== null) void this.loadHistory();
    void import("./diagnosis.js").then((m) => (this.#diagnosis = m));
    this.#flush();
  }

  close(): void {
    for (const stop of this.#stop) stop();
    this.#abort.abort();
    this.#feed.close();
  }

  /** Calls `fn` with the newest state after every change, not throttled; for the canvas. */
  follow(fn: (state: FlowState) => void): () => void {
    const { store } = this.#feed;
    if (store.loaded) fn(store.state);
    return store.subscribe(() => {
      if (store.loaded) fn(store.state);
    });
  }

  serverNow(): number {
    return this.#feed.store.now();
  }

  retryNow(): void {
    this.#feed.connection.retryNow();
  }

  displayOf(id: string): DisplayState | null {
    const node = this.graph.nodes.get(id);
    return node === undefined ? null : (this.displays.get(id) ?? displayState(node, this.context));
  }

  /** What is to be said of a node beside its state. */
  marksOf(id: string): readonly string[] {
    const marks = this.#insight?.marks(id) ?? [];
    return this.displayOf(id) === "suspended" ? marks.filter((m) => m !== "suspended") : marks;
  }

  /** The chains of ids that lead from what blocks a node to it. */
  chainsTo(id: string): readonly (readonly string[])[] {
    return this.#diagnosis === null ? [] : this.#diagnosis.blockingChains(this.graph, id, this.clock);
  }

  /** What can be travelled in; null while nothing is known. */
  range(): { readonly from: number; readonly to: number } | null {
    void this.#logVersion;
    return this.#feed.store.log.range;
  }

  changesOf(id: string): ReturnType<FlowLog["history"]> {
    void this.#logVersion;
    return this.#feed.store.log.history(id);
  }

  /** Reads the log: the state before its first entry, and its entries. */
  withLog<T>(read: (base: FlowState | null, entries: readonly LogEntry[]) => T): T {
    void this.#logVersion;
    const { log } = this.#feed.store;
    return read(log.stateAtSeq(0), log.entries());
  }

  /** Gets what the server still holds, once. */
  async loadHistory(): Promise<void> {
    if (this.history === "loading" || this.history === "ready") return;
    this.history = "loading";
    try {
      await this.api.history(this.flowId, (answer) => this.#feed.store.log.ingest(answer), this.#abort.signal);
      this.history = "ready";
    } catch (e) {
      if (this.#abort.signal.aborted) return;
      this.history = "failed";
      this.historyError = e instanceof Error ? e.message : String(e);
    }
    this.#logVersion++;
  }

  /** Shows an instant, or with null what is now. */
  travel(at: number | null): void {
    this.at = at;
    if (at !== null) void this.loadHistory();
  }

  #pause(): number {
    const n = this.#live.nodes.size;
    return n <= SMALL ? 100 : n <= LARGE ? 300 : 1000;
  }

  #flush(): void {
    const { store } = this.#feed;
    this.#live = store.state;
    this.connection = store.connection;
    this.loaded = store.loaded;
    this.absent = store.deleted || (store.connection.kind === "live" && !store.loaded && store.incarnation === "");
    this.#logVersion = store.log.version;
  }

  #second(askRollouts: () => void): void {
    this.now = this.serverNow();
    // A rollout ends when nothing has happened for a while, which nothing tells.
    const current = this.rollouts[0];
    if (current !== undefined && current.endedAt === undefined && this.connection.kind === "live" && Math.floor(this.now / 1000) % 10 === 0) askRollouts();
  }

  async #loadRollouts(): Promise<void> {
    try {
      this.rollouts = await this.api.rollouts(this.flowId, this.#abort.signal);
    } catch {
      // The stream tells of a server that is away; what was known of rollouts stays until it is back.
    }
  }
}

/** The claims that are stale now and were so already at an instant; of others nobody kept what was known then. */
function staleAt(regions: Regions, at: number): Regions {
  return new Map([...regions].filter(([, lease]) => lease.state === "stale" && lease.since <= at));
}

type FlowLog = Feed["store"]["log"];
