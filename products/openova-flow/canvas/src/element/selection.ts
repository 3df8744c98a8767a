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
  /** Whether the element has the focus and shows it. */
  focused(): boolean;
  /** Called once the code for highlights is loaded, or has failed to load. */
  loaded(): void;
}

/** Minimum milliseconds between two updates of the emphasis while statuses change. */
const emphasisMs = 200;

/** The selection, the hovered target, the filter and the highlight, and the emphasis that follows from them. */
export class Selection {
  readonly #renderer: Renderer;
  readonly #hooks: SelectionHooks;
  #id: string | null = null;
  #hovered: Hit | null = null;
  #filter: Filter | null = null;
  #highlight: Highlight | null | undefined;
  /** Makes the highlight of a selected node. Loaded with the first selection, because the first drawing needs none. */
  #highlightOf: typeof highlightOf | null = null;
  #isLoading = false;
  #isOutdated = false;
  #emphasisedAt = -Infinity;

  constructor(renderer: Renderer, hooks: SelectionHooks) {
    this.#renderer = renderer;
    this.#hooks = hooks;
  }

  get id(): string | null { return this.#id; }
  get isLoading(): boolean { return this.#isLoading; }
  /** The target under the pointer. */
  get hovered(): Target | null { return this.target(this.#hovered); }

  select(id: string | null): void {
    this.#id = id;
    this.#highlight = undefined;
    if (id !== null && this.#highlightOf === null && !this.#isLoading) this.#load();
    this.refresh();
  }

  #load(): void {
    this.#isLoading = true;
    // After a failed load the selection shows no paths, and the next one tries again.
    void import("../view/highlight.js").then((m) => void (this.#highlightOf = m.highlightOf), () => undefined).then(() => {
      this.#isLoading = false;
      this.#emphasise();
      this.#hooks.loaded();
    });
  }

  set filter(filter: Filter | null) {
    this.#filter = filter === null || typeof filter === "function" ? filter : new Set(filter);
    this.#emphasise();
  }

  /** Paths instead of those of the selection; null for none, undefined for those of the selection. */
  set highlight(highlight: Highlight | null | undefined) {
    this.#highlight = highlight;
    this.#emphasise();
  }

  hover(hit: Hit | null): void {
    this.#hovered = hit;
    this.point();
  }

  /** Marks the emphasis as outdated, after a node changed. */
  touch(): void {
    this.#isOutdated = true;
  }

  /** Updates an outdated emphasis, at most every `emphasisMs`. */
  tick(now: number): void {
    if (!this.#isOutdated || now - this.#emphasisedAt < emphasisMs) return;
    if (this.#renderer.emphasis !== null || this.#id !== null || this.#filter !== null) this.#emphasise();
    this.#isOutdated = false;
    this.#emphasisedAt = now;
  }

  /** Draws the selection and the emphasis again. */
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
    if (this.#highlight === undefined && this.#highlightOf !== null && i >= 0 && graph?.nodes.has(scene.ids[i]!) === true) highlight = this.#highlightOf(graph, scene.ids[i]!, this.#hooks.now());
    this.#renderer.setEmphasis(emphasise(scene, i, highlight, this.#filter === null ? null : matches(scene, this.#filter)));
  }

  /** Draws rings round the selected and the hovered target. */
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
