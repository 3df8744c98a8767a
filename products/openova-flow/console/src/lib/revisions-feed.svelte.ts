import type { FlowState, Revision } from "@openova/flow-core";
import { untrack } from "svelte";
import { createSubscriber } from "svelte/reactivity";
import type { FlowModel } from "./flow.svelte.js";
import { sourceKey, sourceNames } from "./revisions.js";
import { throttled } from "./schedule.js";

/** A load may take this share of the time at most: an answer with many regions is megabytes. */
const BUSY = 1 / 20;
const PAUSE_MS = 2000;
/** How many are loaded at first, and how many at all: what the server keeps. */
const AT_FIRST = 100;
const ALL = 1000;

/** What the server told, and what is looked up in it. */
class Told {
  readonly list: readonly Revision[];
  readonly byId: ReadonlyMap<string, Revision>;
  readonly nameOf: (r: Revision) => string;
  /** Regions, each with what it follows. */
  readonly places: ReadonlySet<string>;

  constructor(list: readonly Revision[]) {
    this.list = list;
    this.byId = new Map(list.map((r) => [r.id, r]));
    this.nameOf = sourceNames(list);
    this.places = new Set(list.flatMap((r) => r.regions.map((g) => `${g.region} ${sourceKey(r)}`)));
  }
}

/** The revisions of a flow, newest first, followed as long as something that is shown reads them. Has no derived state, which would end with the component that asked first. */
class RevisionsFeed {
  readonly #model: FlowModel;
  #told = $state.raw<Told | null>(null);
  #error = $state("");
  #limit = $state(AT_FIRST);
  readonly #follow: () => void;
  #ask = (): void => undefined;

  constructor(model: FlowModel) {
    this.#model = model;
    this.#follow = createSubscriber(() => this.#start());
  }

  get #known(): Told | null {
    this.#follow();
    return this.#told;
  }
  /** Null until the server has told them. */
  get list(): readonly Revision[] | null {
    return this.#known?.list ?? null;
  }
  /** Why the last load failed; empty if it did not. */
  get error(): string {
    return this.#error;
  }
  byId(id: string): Revision | undefined {
    return this.#known?.byId.get(id);
  }
  /** What a person calls what a revision is of. */
  sourceOf(r: Revision): string {
    return this.#known?.nameOf(r) ?? r.source.name;
  }
  /** Whether what it is of is followed in a region at all. */
  isFollowed(r: Revision, region: string): boolean {
    const { kind, namespace, name } = r.source;
    return this.#known?.places.has(`${region} ${sourceKey(r)}`) === true || this.#model.graph.nodes.has(`${region}/${kind}/${namespace}/${name}`);
  }
  /** Whether the server may have older ones. */
  get hasMore(): boolean {
    return this.#limit < ALL && (this.list?.length ?? 0) >= this.#limit;
  }
  /** Loads all that the server has. */
  more(): void {
    this.#limit = ALL;
    this.#ask();
  }

  #start(): () => void {
    const abort = new AbortController();
    let took = 0;
    let before: FlowState | null = null;
    const load = throttled(() => {
      const began = performance.now();
      void this.#load(abort.signal).then(() => (took = performance.now() - began));
    }, () => Math.max(PAUSE_MS, took / BUSY));
    this.#ask = load.ask;
    load.ask();
    const stop = this.#model.follow((state) => {
      if (state !== before) load.ask();
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
      this.#told = new Told(await api.revisions(this.#model.flowId, { limit: this.#limit }, signal));
      this.#error = "";
    } catch (e) {
      if (!signal.aborted) this.#error = e instanceof Error ? e.message : String(e);
    }
  }
}

const feeds = new WeakMap<FlowModel, RevisionsFeed>();

/** The feed of a flow, one for all that show something of it. */
export function revisionsOf(model: FlowModel): RevisionsFeed {
  let feed = feeds.get(model);
  // Not as a part of whatever asks first: that would not be told of changes of what it has made itself.
  if (feed === undefined) feeds.set(model, (feed = untrack(() => new RevisionsFeed(model))));
  return feed;
}
