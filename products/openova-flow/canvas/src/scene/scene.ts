import {
  DISPLAY_STATES, displayState, knownUntil, nameOf, NO_REGIONS, STATE_WORDS,
  type DisplayContext, type DisplayState, type FlowGraph, type FlowNode, type LayoutResult, type Regions, type Usual,
} from "@openova/flow-core";
import type { Rect } from "../geometry/camera.js";
import type { TextFitter } from "../look/text.js";
import { caption, captionTicks } from "./caption.js";
import { drawnName, type Ghost } from "./ghosts.js";
import { noNote, noteOf, type RegionNote } from "./region-note.js";
import { commonPrefix, sharedPrefixes } from "./labels.js";
import { ACROSS, collectEdges, type SceneEdges } from "./edges.js";
import { SpatialIndex } from "../geometry/spatial.js";

export const STATES: readonly DisplayState[] = DISPLAY_STATES;
export const MISSING = STATES.length;
export const EXTERNAL = STATES.length + 1;
export const BROKEN = STATES.indexOf("broken");
export const WORKING = STATES.indexOf("working");
const stateIndex = new Map<string, number>(STATES.map((s, i) => [s, i]));

/** Maximum number of regions for which headroom is computed. More of them are too small for titles on their frames. */
const manyRegions = 2000;

export interface SceneRegion {
  readonly name: string;
  readonly label: string;
  /** Id of the region's container node, if it has one. */
  readonly containerId: string | undefined;
  readonly nodes: Uint32Array;
  readonly edges: Uint32Array;
  /** Height of the strip above the topmost node or group, for the label. */
  readonly band: number;
  /** Height of the free space above its frame; Infinity if no region is above it; 0 in a scene with more than `manyRegions`. */
  readonly headroom: number;
  /** Areas at the top left that are free of nodes and groups: pairs of width and height, from narrow and high to wide and low. */
  readonly corner: readonly (readonly [number, number])[];
  x: number;
  y: number;
  w: number;
  h: number;
  /** Number of nodes by index into STATES, without ghosts and auxiliary nodes. */
  readonly counts: Uint32Array;
  total: number;
  note: RegionNote;
}

export interface SceneGroup {
  readonly id: string;
  readonly label: string;
  readonly region: number;
  x: number;
  y: number;
  w: number;
  h: number;
}

/** Everything that is drawn, as arrays: positions in world units, states, edges, regions. An animation may change positions. */
export class Scene {
  readonly graph: FlowGraph;
  readonly layout: LayoutResult;
  readonly ghosts: ReadonlyMap<string, Ghost>;
  /** Nodes and ghosts, then frames. */
  readonly ids: readonly string[];
  /** By id, without frames. */
  readonly index: ReadonlyMap<string, number>;
  /** Number of nodes and ghosts. */
  readonly count: number;
  readonly x: Float32Array;
  readonly y: Float32Array;
  readonly w: Float32Array;
  readonly h: Float32Array;
  readonly region: Int32Array;
  readonly layer: Int32Array;
  /** Index into STATES, or MISSING or EXTERNAL. */
  readonly state: Uint8Array;
  readonly labels: string[];
  /** The common prefix of the nodes' labels, up to a hyphen or slash. It is left out where there is little room. */
  readonly prefix: string;
  readonly #parts: ReadonlyMap<string, number>;
  readonly regions: readonly SceneRegion[];
  readonly groups: readonly SceneGroup[];
  readonly edges: SceneEdges;
  readonly bounds: Rect;
  readonly spatial: SpatialIndex;
  readonly readyIndex = STATES.indexOf("ready");
  readonly #nodes: (FlowNode | undefined)[];
  readonly #captions: (string | undefined)[];
  #now: number;
  #known: Regions = NO_REGIONS;
  #usual: ReadonlyMap<string, Usual> | undefined;

  constructor(graph: FlowGraph, layout: LayoutResult, ghosts: ReadonlyMap<string, Ghost>, context: DisplayContext) {
    this.graph = graph;
    this.layout = layout;
    this.ghosts = ghosts;
    this.#now = context.now;
    const ids = [...layout.nodes.keys()];
    const frames = [...layout.groups.keys(), ...[...layout.regions.keys()].filter((name) => graph.isContainer(name))];
    const n = ids.length + frames.length;
    this.count = ids.length;
    this.index = new Map(ids.map((id, i) => [id, i]));
    this.ids = [...ids, ...frames];
    this.x = new Float32Array(n);
    this.y = new Float32Array(n);
    this.w = new Float32Array(n);
    this.h = new Float32Array(n);
    this.region = new Int32Array(n);
    this.layer = new Int32Array(n);
    this.state = new Uint8Array(n);
    this.labels = new Array<string>(n).fill("");
    this.#nodes = new Array<FlowNode | undefined>(n).fill(undefined);
    this.#captions = new Array<string | undefined>(n).fill(undefined);
    const names = [...layout.regions.keys()];
    const regionIndex = new Map(names.map((name, i) => [name, i]));
    const members: number[][] = names.map(() => []);
    ids.forEach((id, i) => {
      const box = layout.nodes.get(id)!;
      this.x[i] = box.x;
      this.y[i] = box.y;
      this.w[i] = box.w;
      this.h[i] = box.h;
      this.layer[i] = box.layer;
      this.region[i] = regionIndex.get(box.region) ?? -1;
      members[this.region[i]!]?.push(i);
    });
    const ends = new Map(this.index);
    this.#appendFrames(frames, regionIndex, ends);
    this.edges = collectEdges(graph, ends, this.region, this.layer);
    this.regions = this.#collectRegions(names, members);
    this.groups = [...layout.groups].map(([id, g]) => ({
      id, label: graph.nodes.get(id)?.label ?? id, region: regionIndex.get(g.region) ?? -1, x: g.x, y: g.y, w: g.w, h: g.h,
    }));
    this.spatial = new SpatialIndex(this);
    this.bounds = { x: 0, y: 0, w: layout.width, h: layout.height };
    for (let i = 0; i < n; i++) this.#assign(i, graph.nodes.get(this.ids[i]!), context);
    this.#recount();
    this.#annotate(context, () => undefined);
    this.#parts = sharedPrefixes(this.labels);
    this.prefix = commonPrefix(this.labels.slice(0, this.count).filter((_, i) => this.#nodes[i] !== undefined));
  }

  /** Appends frames to the arrays, after the nodes, so that edges can end at them. */
  #appendFrames(frames: readonly string[], regionIndex: ReadonlyMap<string, number>, ends: Map<string, number>): void {
    frames.forEach((id, k) => {
      const i = this.count + k;
      const group = this.layout.groups.get(id);
      const rect = group ?? this.layout.regions.get(id)!;
      this.x[i] = rect.x;
      this.y[i] = rect.y;
      this.w[i] = rect.w;
      this.h[i] = rect.h;
      // A region's own frame is in no region, so its edges count as edges between regions.
      this.region[i] = group === undefined ? -1 : (regionIndex.get(group.region) ?? -1);
      ends.set(id, i);
    });
  }

  #collectRegions(names: readonly string[], members: readonly number[][]): SceneRegion[] {
    const inner: number[][] = names.map(() => []);
    const { edges } = this;
    for (let e = 0; e < edges.count; e++) {
      if ((edges.flags[e]! & ACROSS) === 0) inner[this.region[edges.from[e]!]!]?.push(e);
    }
    const groups = new Map<string, Rect[]>();
    for (const g of this.layout.groups.values()) {
      const list = groups.get(g.region);
      if (list === undefined) groups.set(g.region, [g]);
      else list.push(g);
    }
    return names.map((name, r) => {
      const rect = this.layout.regions.get(name)!;
      const within = groups.get(name) ?? [];
      let top = rect.y + rect.h;
      for (const i of members[r]!) top = Math.min(top, this.y[i]!);
      for (const g of within) top = Math.min(top, g.y);
      const node = this.graph.nodes.get(name);
      return {
        name,
        label: node?.label ?? name,
        containerId: node !== undefined && this.graph.isContainer(name) ? name : undefined,
        nodes: Uint32Array.from(members[r]!),
        edges: Uint32Array.from(inner[r]!),
        band: top - rect.y,
        headroom: names.length > manyRegions ? 0 : this.#headroom(rect),
        corner: this.#corner(rect, members[r]!, within),
        x: rect.x, y: rect.y, w: rect.w, h: rect.h,
        counts: new Uint32Array(STATES.length),
        total: 0,
        note: noNote,
      };
    });
  }

  #headroom(rect: Rect): number {
    let room = Infinity;
    for (const other of this.layout.regions.values()) {
      const above = other.y < rect.y && other.x < rect.x + rect.w && other.x + other.w > rect.x;
      if (above) room = Math.min(room, rect.y - other.y - other.h);
    }
    return room;
  }

  #corner(rect: Rect, members: readonly number[], groups: readonly Rect[]): (readonly [number, number])[] {
    const boxes: (readonly [number, number])[] = members.map((i) => [this.x[i]! - rect.x, this.y[i]! - rect.y]);
    for (const g of groups) boxes.push([g.x - rect.x, g.y - rect.y]);
    boxes.sort((a, b) => a[0] - b[0]);
    const steps: [number, number][] = [];
    let depth = rect.h;
    for (const [x, y] of boxes) {
      if (y >= depth) continue;
      steps.push([x, depth]);
      depth = y;
    }
    steps.push([rect.w, depth]);
    return steps;
  }

  #assign(i: number, node: FlowNode | undefined, context: DisplayContext): void {
    const id = this.ids[i]!;
    this.#nodes[i] = node;
    this.#captions[i] = undefined;
    const ghost = node === undefined ? this.ghosts.get(id) : undefined;
    // The name from the graph that was laid out, unless the node has been renamed since.
    this.labels[i] = node === undefined || node.label === this.graph.nodes.get(id)?.label ? drawnName(this.graph, this.ghosts, id) : node.label;
    this.state[i] = node !== undefined
      ? stateIndex.get(displayState(node, context))!
      : ghost?.kind === "external" ? EXTERNAL : MISSING;
  }

  #recount(): void {
    for (const r of this.regions) {
      r.counts.fill(0);
      r.total = 0;
      for (const i of r.nodes) this.#count(i, 1);
    }
  }

  #count(i: number, by: number): void {
    const r = this.regions[this.region[i]!];
    const s = this.state[i]!;
    if (r === undefined || i >= this.count || s >= STATES.length || this.graph.isAuxiliary(this.ids[i]!)) return;
    r.counts[s]! += by;
    r.total += by;
  }

  /** Whether the node's region is stale. The node then shows its last known state. */
  isStale(i: number): boolean {
    return this.regions[this.region[i]!]?.note.tone === "stale";
  }

  node(i: number): FlowNode | undefined {
    return this.#nodes[i];
  }

  /** Replaces each node whose object in `nodes` differs, and calls `changed` for it. `ids` limits this to these nodes, and excludes frames. */
  update(nodes: ReadonlyMap<string, FlowNode>, context: DisplayContext, ids: Iterable<string> | undefined, changed: (index: number) => void): void {
    this.#now = context.now;
    const one = (i: number): void => {
      const next = nodes.get(this.ids[i]!);
      if (next === this.#nodes[i]) return;
      this.#replace(i, next, context, changed);
    };
    if (ids === undefined) for (let i = 0; i < this.ids.length; i++) one(i);
    else for (const id of ids) {
      const i = this.index.get(id);
      if (i !== undefined) one(i);
    }
  }

  /**
   * Updates the states of nodes and the notes of regions after a change of the clock, the unconfirmed nodes or the claims. Calls `changed` for
   * each node with another state, and `noted` for each region with another note.
   */
  reconsider(context: DisplayContext, changed: (index: number) => void, noted: (region: number, tone: boolean) => void): void {
    this.#now = context.now;
    this.#annotate(context, noted);
    for (let i = 0; i < this.ids.length; i++) {
      const node = this.#nodes[i];
      if (node === undefined) continue;
      if (STATES[this.state[i]!] !== displayState(node, context)) this.#replace(i, node, context, changed);
    }
  }

  /** Updates the notes of regions. Calls `noted` for each that changed; `tone` is true if its tone changed too. */
  #annotate(context: DisplayContext, noted: (region: number, tone: boolean) => void): void {
    this.#known = context.regions ?? NO_REGIONS;
    this.regions.forEach((r, i) => {
      const before = r.note;
      r.note = noteOf(this.#known.get(r.name), context.now);
      if ((r.note.tone === "stale") !== (before.tone === "stale")) for (const n of r.nodes) this.#captions[n] = undefined;
      if (r.note.text !== before.text) noted(i, r.note.tone !== before.tone);
    });
  }

  #replace(i: number, node: FlowNode | undefined, context: DisplayContext, changed: (index: number) => void): void {
    this.#count(i, -1);
    this.#assign(i, node, context);
    this.#count(i, 1);
    changed(i);
  }

  /**
   * The name of a node, cut to `room` pixels where it still differs from other names. With `isShort`, `prefix` is left out.
   */
  fitLabel(i: number, text: TextFitter, room: number, size: number, weight: number, isShort: boolean): string {
    const label = this.labels[i]!;
    const from = isShort && label.startsWith(this.prefix) ? this.prefix.length : 0;
    return text.fit(label.slice(from), room, size, weight, Math.max(0, (this.#parts.get(label) ?? 0) - from));
  }

  /** Usual durations of releases, by key. Resets all captions. */
  set usual(usual: ReadonlyMap<string, Usual>) {
    this.#usual = usual;
    this.#captions.fill(undefined);
  }

  /** The second line of a card. */
  caption(i: number): string {
    return (this.#captions[i] ??= this.#caption(i));
  }

  #caption(i: number): string {
    const node = this.#nodes[i];
    if (node !== undefined) {
      const now = knownUntil(this.#known, node.region, this.#now);
      return caption(node, STATES[this.state[i]!]!, { now, name: (id) => nameOf(this.graph, id), exists: (id) => this.graph.nodes.has(id), ...(this.#usual === undefined ? {} : { usual: this.#usual }) });
    }
    const ghost = this.ghosts.get(this.ids[i]!);
    return ghost?.kind === "external" ? `in ${ghost.flowId}` : "does not exist";
  }

  /** Resets the caption if it counts time, and returns whether it did. In a stale region none counts. */
  retime(i: number, now: number): boolean {
    this.#now = now;
    const node = this.#nodes[i];
    if (node === undefined || this.isStale(i) || !captionTicks(node, STATES[this.state[i]!]!)) return false;
    this.#captions[i] = undefined;
    return true;
  }

  /** The text that a screen reader announces for a node. */
  description(i: number): string {
    const s = this.state[i]!;
    const state = s < STATES.length ? STATE_WORDS[STATES[s]!] : s === EXTERNAL ? "in another flow" : "missing";
    const region = this.regions[this.region[i]!];
    return [this.labels[i]!, region?.label ?? "", state, this.caption(i), region?.note.text ?? ""].filter((part) => part !== "").join(", ");
  }

  rect(i: number): Rect {
    return { x: this.x[i]!, y: this.y[i]!, w: this.w[i]!, h: this.h[i]! };
  }

  /** The box of a node, region or group in world units; undefined if it does not exist. */
  rectOf(id: string): Rect | undefined {
    const i = this.index.get(id);
    return i === undefined ? this.regionRect(id) : this.rect(i);
  }

  /** The kind of a node for events. */
  kind(i: number): "node" | "missing" | "external" {
    const s = this.state[i]!;
    return s === MISSING ? "missing" : s === EXTERNAL ? "external" : "node";
  }

  regionRect(id: string): Rect | undefined {
    return this.regions.find((r) => r.name === id || r.containerId === id) ?? this.groups.find((g) => g.id === id);
  }
}
