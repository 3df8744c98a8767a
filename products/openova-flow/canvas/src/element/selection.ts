import type { FlowGraph } from "@openova/flow-core";
import type { Hit } from "../input/hit.js";
import type { Renderer } from "../paint/renderer.js";
import { emphasise, matches, type Filter, type Highlight } from "../view/emphasis.js";
import type { highlightOf } from "../view/highlight.js";
import type { SelectKind } from "./events.js";

export interface Target {
  readonly id: string;
  readonly kind: SelectKind;
}

export interface SelectionHooks {
  graph(): FlowGraph | null;
  now(): number;
  /** The element has the keyboard, and shows it. */
  focused(): boolean;
  /** What the selection suggests is known now, or cannot be. */
  suggested(): void;
}

/** Least time between two looks at what stands out while statuses change. */
const emphasisMs = 200;

/** What is selected, pointed at, filtered and highlighted, and what stands out by that. */
export class Selection {
  readonly #renderer: Renderer;
  readonly #hooks: SelectionHooks;
  #id: string | null = null;
  #hovered: Hit | null = null;
  #filter: Filter | null = null;
  #highlight: Highlight | null | undefined;
  /** Makes the highlight of a selected node. Loaded with the first selection: a flow is first shown without any. */
  #suggest: typeof highlightOf | null = null;
  #isLoading = false;
  #isOld = false;
  #lookedAt = -Infinity;

  constructor(renderer: Renderer, hooks: SelectionHooks) {
    this.#renderer = renderer;
    this.#hooks = hooks;
  }

  get id(): string | null { return this.#id; }
  get isLoading(): boolean { return this.#isLoading; }
  /** What the pointer is on. */
  get hovered(): Target | null { return this.target(this.#hovered); }

  select(id: string | null): void {
    this.#id = id;
    this.#highlight = undefined;
    if (id !== null && this.#suggest === null && !this.#isLoading) this.#load();
    this.refresh();
  }

  #load(): void {
    this.#isLoading = true;
    // Without it the selection is shown all the same, and the next one tries again.
    void import("../view/highlight.js").then((m) => void (this.#suggest = m.highlightOf), () => undefined).then(() => {
      this.#isLoading = false;
      this.#emphasise();
      this.#hooks.suggested();
    });
  }

  set filter(filter: Filter | null) {
    this.#filter = filter === null || typeof filter === "function" ? filter : new Set(filter);
    this.#emphasise();
  }

  /** In place of what the selection suggests; null draws no path, undefined goes back to the suggestion. */
  set highlight(highlight: Highlight | null | undefined) {
    this.#highlight = highlight;
    this.#emphasise();
  }

  hover(hit: Hit | null): void {
    this.#hovered = hit;
    this.point();
  }

  /** A node looks different, and so may what stands out by it. */
  touch(): void {
    this.#isOld = true;
  }

  /** What blocks the selected node, and what a filter lets through, change with the statuses: now and then that is enough. */
  tick(now: number): void {
    if (!this.#isOld || now - this.#lookedAt < emphasisMs) return;
    if (this.#renderer.emphasis !== null || this.#id !== null || this.#filter !== null) this.#emphasise();
    this.#isOld = false;
    this.#lookedAt = now;
  }

  /** Draws all of it, on another scene for instance. */
  refresh(): void {
    this.#emphasise();
    this.point();
  }

  #emphasise(): void {
    const { scene } = this.#renderer;
    if (scene === null) return;
    const i = scene.index.get(this.#id ?? "") ?? -1;
    const graph = this.#hooks.graph();
    let highlight: Highlight | null = this.#highlight ?? null;
    if (this.#highlight === undefined && this.#suggest !== null && i >= 0 && graph?.nodes.has(scene.ids[i]!) === true) highlight = this.#suggest(graph, scene.ids[i]!, this.#hooks.now());
    this.#renderer.setEmphasis(emphasise(scene, i, highlight, this.#filter === null ? null : matches(scene, this.#filter)));
  }

  /** Draws the rings of what is selected and pointed at. */
  point(): void {
    const { scene } = this.#renderer;
    if (scene === null) return;
    const selected = scene.index.get(this.#id ?? "") ?? -1;
    const hit = this.#hovered;
    this.#renderer.setPointed({
      selected,
      hovered: hit !== null && "index" in hit ? hit.index : -1,
      selectedFrame: selected < 0 && this.#id !== null ? scene.regionRect(this.#id) : undefined,
      hoveredFrame: hit?.kind === "tile" ? hit.region : undefined,
      focused: this.#hooks.focused(),
    });
  }

  target(hit: Hit | null): Target | null {
    const { scene } = this.#renderer;
    if (hit === null || scene === null) return null;
    if ("index" in hit) return { id: scene.ids[hit.index]!, kind: hit.kind };
    return "group" in hit ? { id: hit.group.id, kind: "group" } : { id: hit.region.containerId ?? hit.region.name, kind: "region" };
  }
}
