import type { FlowNode } from "@openova/flow-core";
import type { Scene } from "../scene/scene.js";
import type { Emphasis } from "./view.js";

/** The paths to emphasise. Unknown ids are ignored. */
export interface Highlight {
  /** Chains of ids, each from a blocker to the node it blocks. */
  readonly blockedBy?: readonly (readonly string[])[];
  readonly blocks?: readonly string[];
  /** Ids of the critical path in order. */
  readonly critical?: readonly string[];
}

export type Filter = ((node: FlowNode) => boolean) | Iterable<string>;

/** 1 for each node that passes the filter. Ghosts pass no predicate. */
export function matches(scene: Scene, filter: Filter): Uint8Array {
  const out = new Uint8Array(scene.ids.length);
  if (typeof filter === "function") {
    for (let i = 0; i < scene.count; i++) {
      const node = scene.node(i);
      if (node !== undefined && filter(node)) out[i] = 1;
    }
    return out;
  }
  for (const id of filter) {
    const i = scene.index.get(id);
    if (i !== undefined) out[i] = 1;
  }
  return out;
}

const pair = (from: number, to: number): string => `${from} ${to}`;

class Chains {
  readonly pairs = new Set<string>();
  readonly nodes = new Set<number>();
  readonly #scene: Scene;

  constructor(scene: Scene) {
    this.#scene = scene;
  }

  add(ids: readonly string[]): void {
    let before: number | undefined;
    for (const id of ids) {
      const i = this.#scene.index.get(id);
      if (i !== undefined) {
        this.nodes.add(i);
        if (before !== undefined) this.pairs.add(pair(before, i));
      }
      before = i;
    }
  }
}

/** The emphasis for the selected node and the highlight or, without both, for the filter; null without all three. */
export function emphasise(scene: Scene, selected: number, highlight: Highlight | null, passed: Uint8Array | null): Emphasis | null {
  const n = scene.ids.length;
  const path = highlight !== null || selected >= 0;
  if (!path && passed === null) return null;
  const dim = new Uint8Array(n);
  if (!path) {
    for (let i = 0; i < n; i++) dim[i] = passed![i] === 1 ? 0 : 1;
    return { dim, blockedBy: [], blocks: [], critical: [], near: [] };
  }
  const blocked = new Chains(scene), critical = new Chains(scene);
  for (const chain of highlight?.blockedBy ?? []) blocked.add(chain);
  critical.add(highlight?.critical ?? []);
  const downstream = new Set<number>(selected >= 0 ? [selected] : []);
  for (const id of highlight?.blocks ?? []) {
    const i = scene.index.get(id);
    if (i !== undefined) downstream.add(i);
  }
  const bright = new Uint8Array(n);
  for (const set of [blocked.nodes, critical.nodes, downstream]) for (const i of set) bright[i] = 1;
  const lists = { blockedBy: [] as number[], blocks: [] as number[], critical: [] as number[], near: [] as number[] };
  const { edges } = scene;
  for (let e = 0; e < edges.count; e++) {
    const from = edges.from[e]!, to = edges.to[e]!;
    const key = pair(from, to);
    if (critical.pairs.has(key)) lists.critical.push(e);
    if (blocked.pairs.has(key)) lists.blockedBy.push(e);
    else if (downstream.has(from) && downstream.has(to)) lists.blocks.push(e);
    else if (from === selected || to === selected) {
      lists.near.push(e);
      bright[from] = bright[to] = 1;
    }
  }
  for (let i = 0; i < n; i++) dim[i] = bright[i] === 1 ? 0 : 1;
  return { dim, ...lists };
}
