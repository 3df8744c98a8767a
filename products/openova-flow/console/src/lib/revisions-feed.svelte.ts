import type { FlowState, Revision } from "@openova/flow-core";
import { untrack } from "svelte";
import { createSubscriber } from "svelte/reactivity";
import type { FlowModel } from "./flow.svelte.js";
import { sourceKey, sourceNames } from "./revisions.js";
import { throttled } from "./schedule.js";

/** Maximum share of time spent on loading: a response with many regions is several megabytes. */
const BUSY = 1 / 20;
const PAUSE_MS = 2000;
/** Number of revisions loaded at first, and the maximum of one request. */
const AT_FIRST = 100;
const ALL = 1000;

/** A response of the server, with indexes. */
class Loaded {
  readonly list: readonly Revision[];
  readonly byId: ReadonlyMap<string, Revision>;
  readonly nameOf: (r: Revision) => string;
  /** Pairs of a region and a source that it follows. */
  readonly followed: ReadonlySet<string>;

  constructor(list: readonly Revision[]) {
    this.list = list;
    this.byId = new Map(list.map((r) => [r.id, r]));
    this.nameOf = sourceNames(list);
    this.followed = new Set(list.flatMap((r) => r.regions.map((g) => `${g.region} ${sourceKey(r)}`)));
  }
}

/** The revisions of a flow, newest first. Loads them while a mounted component reads them. It has no `$derived` state: that ends with the component that made the feed. */
class RevisionsFeed {
  readonly #model: FlowModel;
  #loaded = $state.raw<Loaded | null>(null);
  #error = $state("");
  #limit = $state(AT_FIRST);
  readonly #follow: () => void;
  #reload = (): void => undefined;

  constructor(model: FlowModel) {
    this.#model = model;
    this.#follow = createSubscriber(() => this.#start());
  }

  get #known(): Loaded | null {
    this.#follow();
    return this.#loaded;
  }
  /** Null until loaded. */
  get list(): readonly Revision[] | null {
    return this.#known?.list ?? null;
  }
  /** The error of the last load; empty if it succeeded. */
  get error(): string {
    return this.#error;
  }
  byId(id: string): Revision | undefined {
    return this.#known?.byId.get(id);
  }
  sourceOf(r: Revision): string {
    return this.#known?.nameOf(r) ?? r.source.name;
  }
  /** Whether a region follows the source of a revision. */
  isFollowed(r: Revision, region: string): boolean {
    const { kind, namespace, name } = r.source;
    return this.#known?.followed.has(`${region} ${sourceKey(r)}`) === true || this.#model.graph.nodes.has(`${region}/${kind}/${namespace}/${name}`);
  }
  /** Whether `more` may load older revisions. */
  get hasMore(): boolean {
    return this.#limit < ALL && (this.list?.length ?? 0) >= this.#limit;
  }
  /** Loads the newest ALL revisions. */
  more(): void {
    this.#limit = ALL;
    this.#reload();
  }

  #start(): () => void {
    const abort = new AbortController();
    let took = 0;
    let before: FlowState | null = null;
    const load = throttled(() => {
      const began = performance.now();
      void this.#load(abort.signal).then(() => (took = performance.now() - began));
    }, () => Math.max(PAUSE_MS, took / BUSY));
    this.#reload = load.schedule;
    load.schedule();
    const stop = this.#model.follow((state) => {
      if (state !== before) load.schedule();
      before = state;
    });
    return () => {
      stop();
      load.stop();
      abort.abort();
    };
  }

  async #load(signal: AbortSignal): Promise<void> {
    try {
      const api = await this.#model.api();
      this.#loaded = new Loaded(await api.revisions(this.#model.flowId, { limit: this.#limit }, signal));
      this.#error = "";
    } catch (e) {
      if (!signal.aborted) this.#error = e instanceof Error ? e.message : String(e);
    }
  }
}

const feeds = new WeakMap<FlowModel, RevisionsFeed>();

/** The feed of a flow, shared by all components. */
export function revisionsOf(model: FlowModel): RevisionsFeed {
  let feed = feeds.get(model);
  // Untracked: a derived value does not react to changes of state that was created inside it.
  if (feed === undefined) feeds.set(model, (feed = untrack(() => new RevisionsFeed(model))));
  return feed;
}
