import {
  allKnownUntil,
  buildGraph,
  contextOf,
  currentRollout,
  displayOf,
  displayState,
  fullNameOf,
  metaOf,
  nameOf,
  rolloutAt,
  staleRegions,
  withRegions,
  type Api,
  type criticalPath,
  type CriticalPath,
  type ConnectionState,
  type DisplayContext,
  type DisplayState,
  type FlowGraph,
  type FlowNode,
  type FlowState,
  type LogEntry,
  type NodeChange,
  type Problem,
  type Regions,
  type Rollout,
} from "@openova/flow-core";
import { sharedPrefixes } from "@openova/flow-canvas/labels";
import { untrack } from "svelte";
import { guardedFetch } from "./guard.js";
import { openFeed, type Feed } from "./feed.js";
import { baseUrl, nav } from "./nav.svelte.js";
import { filterOf } from "./route.js";
import { throttled } from "./schedule.js";

export type HistoryStatus = "none" | "loading" | "ready" | "failed";

/** Up to this number of nodes a flow can be processed many times a second. */
const SMALL = 500;
const LARGE = 3000;

/** The state of a flow's page: live, or at an instant of the past. */
export class FlowModel {
  readonly flowId: string;
  readonly #feed: Feed;
  readonly #stop: (() => void)[] = [];
  readonly #abort = new AbortController();
  #previousGraph: FlowGraph | null = null;

  /** The newest state, throttled. */
  #live = $state.raw<FlowState>() as FlowState;
  connection = $state.raw<ConnectionState>({ kind: "connecting", since: 0 });
  loaded = $state(false);
  /** The flow was deleted, or the server has none with this id. */
  absent = $state(false);
  /** The server's clock, updated every second. */
  now = $state(Date.now());
  /** This computer's clock, which connection times use. */
  localNow = $state(Date.now());
  /** Null until loaded. */
  #rollouts = $state.raw<readonly Rollout[] | null>(null);
  /** Number of requests for rollouts, and which of them `#rollouts` is from. */
  #rolloutsAsked = 0;
  #rolloutsFrom = 0;
  history = $state<HistoryStatus>("none");
  historyError = $state("");
  #logVersion = $state(0);
  /** The instant shown; null: live. */
  at = $state<number | null>(nav.route.at);

  /** The server's clock minus this computer's, in milliseconds. */
  #ahead = 0;
  /** When the connection was lost, by the server's clock; null while live or connecting, and before the first state. */
  readonly lostAt: number | null = $derived(this.loaded && this.connection.kind !== "live" && this.connection.kind !== "connecting" ? this.connection.since + this.#ahead : null);
  /** The time for durations and display states: the instant shown, else the loss of the connection, else now. It is coarser for large flows, which take long to compute. */
  readonly clock = $derived(this.at ?? this.lostAt ?? (this.#live.nodes.size > LARGE ? Math.floor(this.now / 5000) * 5000 + 5000 : this.now));
  readonly state: FlowState = $derived.by(() => {
    void this.#logVersion;
    return this.at === null ? this.#live : withRegions(this.#feed.store.log.stateAt(this.at) ?? this.#live, staleAt(this.#live.regions, this.at));
  });
  readonly graph: FlowGraph = $derived.by(() => (this.#previousGraph = buildGraph(this.state, untrack(() => this.#previousGraph))));
  readonly context: DisplayContext = $derived(contextOf(this.graph, this.clock));
  /** The nodes that are not containers. */
  readonly leaves: readonly FlowNode[] = $derived(this.graph.leaves.map((id) => this.graph.nodes.get(id) as FlowNode));
  /** The leaves, and auxiliary nodes such as sources. */
  readonly searchable: readonly FlowNode[] = $derived([...this.graph.nodes.values()].filter((n) => !this.graph.isContainer(n.id)));
  readonly displays: ReadonlyMap<string, DisplayState> = $derived(new Map(this.leaves.map((n) => [n.id, displayState(n, this.context)])));
  readonly regions: readonly string[] = $derived([...new Set([...this.graph.nodes.values()].map((n) => n.region ?? ""))].filter((r) => r !== "").sort());
  readonly stale: readonly string[] = $derived(staleRegions(this.state.regions));
  /** The latest time with known states: if all regions are stale, when the last one was seen. */
  readonly knownClock = $derived(allKnownUntil(this.state.regions, this.regions, this.clock));
  readonly families: readonly string[] = $derived([...new Set(this.leaves.map((n) => n.family ?? ""))].filter((f) => f !== "").sort());
  readonly namespaces: readonly string[] = $derived([...new Set(this.leaves.map((n) => metaOf(n).namespace ?? ""))].filter((n) => n !== "").sort());
  readonly filter = $derived(filterOf(nav.route));
  readonly isFiltered = $derived.by(() => {
    const { query, displays, regions, families, namespaces, rollout } = nav.route;
    return query.trim() !== "" || displays.length + regions.length + families.length + namespaces.length > 0 || rollout !== null;
  });
  #diagnosis = $state.raw<typeof import("./diagnosis.js") | null>(null);
  /** The leaves that pass search and filters; all leaves until the diagnosis is loaded. */
  readonly selection: readonly FlowNode[] = $derived.by(() => {
    if (!this.isFiltered || this.#diagnosis === null) return this.leaves;
    const passes = this.#diagnosis.matcher(this.filter, this.context);
    const members = nav.route.rollout === null ? null : new Set(this.rollout?.members.map((m) => m.id));
    return this.leaves.filter((n) => passes(n) && (members === null || members.has(n.id)));
  });
  /** The ids that the graph does not dim: the selection, and the auxiliary nodes that it needs. Null without a filter. */
  readonly passing: ReadonlySet<string> | null = $derived.by(() => {
    if (!this.isFiltered) return null;
    const ids = new Set(this.selection.map((n) => n.id));
    const isNeeded = (id: string): boolean => this.graph.isAuxiliary(id) && this.graph.out(id).some((e) => e.toFlowId === undefined && ids.has(e.to));
    return new Set([...ids, ...[...this.graph.nodes.keys()].filter(isNeeded)]);
  });
  readonly #insight = $derived(this.#diagnosis?.insightOf(this.graph, this.clock));
  readonly problems: readonly Problem[] = $derived(this.#diagnosis?.problems(this.graph, this.clock) ?? []);
  /** Newest first. */
  readonly rollouts: readonly Rollout[] = $derived(this.#rollouts ?? []);
  /** The rollout in the link; without one, that of the instant, else the current or last. */
  readonly rollout: Rollout | null = $derived.by(() => {
    const { rollout } = nav.route;
    return rollout === null ? currentRollout(this.rollouts, this.at ?? Infinity) : (this.rollouts.find((r) => r.id === rollout) ?? null);
  });
  readonly rolloutThen: Rollout | null = $derived(this.rollout === null ? null : rolloutAt(this.rollout, this.at ?? Infinity));
  /** The instant is before the loaded log. */
  readonly #isBefore = $derived(this.at !== null && this.at < (this.range()?.from ?? Infinity));
  readonly #isAwaited = $derived(this.history === "none" || this.history === "loading");
  /** Whether the page lacks what the link shows: the instant is before the loaded log, or the rollout is unknown. */
  readonly gone: "instant" | "rollout" | null = $derived(
    this.#isBefore && !this.#isAwaited ? "instant" : nav.route.rollout !== null && this.#rollouts !== null && this.rollout === null ? "rollout" : null,
  );
  /** The instant is before the loaded log, and the past is being loaded. */
  readonly isComing: boolean = $derived(this.#isBefore && this.#isAwaited);
  /** Whether the page shows a view of the flow. */
  readonly isShown: boolean = $derived(this.loaded && this.state.nodes.size > 0 && this.gone === null && !this.isComing);
  readonly #others = $derived(this.rollouts.filter((r) => r !== this.rollout));
  /** How long each release took in the other rollouts, by its key; null until the diagnosis is loaded. */
  readonly usual = $derived(this.#diagnosis?.usualDurations(this.#others) ?? null);
  readonly rolloutProgress = $derived(
    this.rolloutThen === null || this.#diagnosis === null
      ? null
      : this.#diagnosis.rolloutProgress(
          this.graph,
          this.rolloutThen,
          this.knownClock,
          this.#others,
        ),
  );
  /** Null until the diagnosis is loaded. */
  readonly wholeProgress = $derived(this.#diagnosis?.flowProgress(this.graph, this.clock) ?? null);
  #criticalPath = $state.raw<typeof criticalPath | null>(null);
  /** The critical path of the rollout; null without a rollout. Reading it loads its script; null until that has loaded. */
  readonly critical: CriticalPath | null = $derived.by(() => {
    if (this.#criticalPath === null) void import("./critical.js").then((m) => (this.#criticalPath = m.criticalPath));
    const { rolloutThen } = this;
    return rolloutThen === null || this.#criticalPath === null
      ? null
      : this.#criticalPath(
          this.graph,
          rolloutThen.endedAt ?? this.knownClock,
          rolloutThen.members.map((m) => m.id),
        );
  });
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
        flush.schedule();
        if (feed.store.seq !== seq && feed.store.loaded) {
          seq = feed.store.seq;
          rollouts.schedule();
        }
      }),
    );
    const interval = setInterval(() => this.#everySecond(rollouts.schedule), 1000);
    this.#stop.push(() => clearInterval(interval));
    if (this.at !== null) void this.loadHistory();
    void import("./diagnosis.js").then((m) => (this.#diagnosis = m));
    this.#flush();
  }

  close(): void {
    for (const stop of this.#stop) stop();
    this.#abort.abort();
    this.#feed.close();
  }

  /** Calls `fn` with the state, now and after every change, once the flow is loaded. It does not throttle. Returns a function that unsubscribes. */
  follow(fn: (state: FlowState) => void): () => void {
    const { store } = this.#feed;
    if (store.loaded) fn(store.state);
    return store.subscribe(() => {
      if (store.loaded) fn(store.state);
    });
  }

  canvasNow(): number {
    return this.at ?? this.lostAt ?? this.#feed.store.now();
  }

  retryNow(): void {
    this.#feed.connection.retryNow();
  }

  displayOf(id: string): DisplayState | null {
    return this.displays.get(id) ?? displayOf(this.graph, id, this.clock);
  }

  /** The display state of a node right after a change; null if it was removed, or if the log does not have that state. */
  displayThen({ seq, at, node }: NodeChange): DisplayState | null {
    const then = this.#feed.store.log.stateAtSeq(seq);
    return node === null || then === null ? null : displayState(node, contextOf(buildGraph(then, this.graph), at));
  }

  /** The shortest unambiguous name. */
  nameOf = (id: string): string => nameOf(this.graph, id);
  /** For each name, the index from which it differs from all others. */
  readonly parts: ReadonlyMap<string, number> = $derived(sharedPrefixes(this.leaves.map((n) => this.nameOf(n.id))));
  /** The name with its region, if the flow has several. */
  fullNameOf = (id: string): string => fullNameOf(this.graph, id);

  marksOf(id: string): readonly string[] {
    const marks = this.#insight?.marks(id) ?? [];
    return this.displayOf(id) === "suspended" ? marks.filter((m) => m !== "suspended") : marks;
  }

  /** The chains of ids from what blocks a node to the node. */
  chainsTo(id: string): readonly (readonly string[])[] {
    return this.#diagnosis === null ? [] : this.#diagnosis.blockingChains(this.graph, id, this.clock);
  }

  /** The range of the loaded log; null while empty. */
  range(): { readonly from: number; readonly to: number } | null {
    void this.#logVersion;
    return this.#feed.store.log.range;
  }

  changesOf(id: string): ReturnType<FlowLog["history"]> {
    void this.#logVersion;
    return this.#feed.store.log.history(id);
  }

  /** Calls `read` with the entries of the log and the state before them. */
  withLog<T>(read: (base: FlowState | null, entries: readonly LogEntry[]) => T): T {
    void this.#logVersion;
    const { log } = this.#feed.store;
    return read(log.stateAtSeq(0), log.entries());
  }

  /** The server's other endpoints. None is needed to draw the graph. */
  async api(): Promise<Api> {
    return (await import("./diagnosis.js")).createApi({ url: baseUrl, fetch: guardedFetch });
  }

  /** Loads the past that the server holds, unless it is loaded or loading. It does not fail: the error is in `historyError`. */
  async loadHistory(): Promise<void> {
    if (this.history === "loading" || this.history === "ready") return;
    this.history = "loading";
    try {
      const api = await this.api();
      await api.history(this.flowId, (answer) => this.#feed.store.log.ingest(answer), this.#abort.signal);
      this.history = "ready";
    } catch (e) {
      if (this.#abort.signal.aborted) return;
      this.history = "failed";
      this.historyError = e instanceof Error ? e.message : String(e);
    }
    this.#logVersion++;
  }

  /** Shows an instant; null is the live state. */
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
    // The first frame sets the server's clock, which display states depend on.
    if (Math.abs(store.now() - this.now) > 5000) this.now = store.now();
    this.#live = store.state;
    this.#ahead = store.now() - Date.now();
    this.connection = store.connection;
    this.loaded = store.loaded;
    this.absent = store.deleted || (store.connection.kind === "live" && !store.loaded && store.incarnation === "");
    this.#logVersion = store.log.version;
  }

  #everySecond(loadRollouts: () => void): void {
    this.now = this.#feed.store.now();
    this.localNow = Date.now();
    // A rollout ends after a pause, without a message.
    const current = this.rollouts[0];
    if (current !== undefined && current.endedAt === undefined && this.connection.kind === "live" && Math.floor(this.now / 1000) % 10 === 0) loadRollouts();
  }

  async #loadRollouts(): Promise<void> {
    const asked = ++this.#rolloutsAsked;
    try {
      const api = await this.api();
      const rollouts = await api.rollouts(this.flowId, this.#abort.signal);
      if (asked < this.#rolloutsFrom) return;
      this.#rolloutsFrom = asked;
      this.#rollouts = rollouts;
    } catch {
      // The stream shows that the server is unreachable; the known rollouts stay.
    }
  }
}

/** The regions that are stale now and were stale at an instant. Earlier claims are not kept. */
function staleAt(regions: Regions, at: number): Regions {
  return new Map([...regions].filter(([, lease]) => lease.state === "stale" && lease.since <= at));
}

type FlowLog = Feed["store"]["log"];
