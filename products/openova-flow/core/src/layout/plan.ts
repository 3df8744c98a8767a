import { push } from "../adjacency.js";
import { metaOf } from "../display.js";
import type { FlowGraph } from "../graph.js";
import { compareBytes } from "../state.js";
import type { Block } from "./layered.js";

/** A frame to fill: its own cards as one block, and the frames within it. */
export interface Frame {
  /** The container; empty for a region's frame. */
  readonly id: string;
  readonly ids: readonly string[];
  readonly block: Block;
  readonly frames: readonly Frame[];
}
export interface RegionPlan {
  readonly region: string;
  readonly frame: Frame;
  /** Two plans with the same signature are laid out the same. */
  readonly signature: string;
}

/** What there is to lay out in each region, by region name in byte order. Does not depend on the order of nodes and edges. */
export function planRegions(graph: FlowGraph): readonly RegionPlan[] {
  const regions = new Map<string, Members>();
  for (const [id, node] of graph.nodes) {
    const region = node.region ?? "";
    let members = regions.get(region);
    if (members === undefined) regions.set(region, (members = { top: [], cards: new Map(), groups: new Map() }));
    sortIn(graph, id, region, members);
  }
  return [...regions].sort(([a], [b]) => compareBytes(a, b)).map(([region, members]) => planRegion(graph, region, members));
}

/** The nodes of one region by the group that holds them; "" for the region itself. */
interface Members {
  readonly top: string[];
  readonly cards: Map<string, string[]>;
  readonly groups: Map<string, string[]>;
}

function isRegionNode(graph: FlowGraph, id: string): boolean {
  const node = graph.nodes.get(id);
  return node !== undefined && graph.isContainer(id) && (metaOf(node).kind === "Region" || node.id === node.region);
}

function sortIn(graph: FlowGraph, id: string, region: string, members: Members): void {
  if (isRegionNode(graph, id)) return;
  const parent = graph.parent.get(id);
  const within = parent !== undefined && (graph.nodes.get(parent)?.region ?? "") === region && !isRegionNode(graph, parent) ? parent : "";
  if (graph.isContainer(id)) {
    members.top.push(id);
    push(members.groups, within, id);
  } else push(members.cards, within, id);
}

/**
 * How deep frames lie within each other. A container further down is drawn flat: beside the frame of this depth that it lies in, not
 * within it. So whoever walks over frames may recurse.
 */
export const MAX_DEPTH = 32;

function planRegion(graph: FlowGraph, region: string, members: Members): RegionPlan {
  const within = frameTree(members);
  const frameOf = (id: string): Frame => {
    const ids = (members.cards.get(id) ?? []).sort(compareBytes);
    return { id, ids, block: blockOf(graph, ids), frames: (within.get(id) ?? []).map(frameOf) };
  };
  const frame = frameOf("");
  return { region, frame, signature: signatureOf(frame) };
}

/** The groups that are drawn directly within each group; "" is the region. Each group is in one list, and no deeper than MAX_DEPTH. */
function frameTree(members: Members): ReadonlyMap<string, readonly string[]> {
  const tree = new Map<string, string[]>();
  const done = new Set<string>();
  const descend = (roots: readonly string[]): void => {
    const open = roots.map((id) => ({ id, above: "", depth: 1 }));
    for (const { id, above, depth } of open) {
      if (done.has(id)) continue;
      done.add(id);
      push(tree, above, id);
      const place = depth < MAX_DEPTH ? { above: id, depth: depth + 1 } : { above, depth };
      for (const g of (members.groups.get(id) ?? []).sort(compareBytes)) open.push({ id: g, ...place });
    }
  };
  descend((members.groups.get("") ?? []).sort(compareBytes));
  // Groups that contain each other hang from nothing; they are shown all the same.
  for (const id of members.top.sort(compareBytes)) if (!done.has(id)) descend([id]);
  return tree;
}

function blockOf(graph: FlowGraph, ids: readonly string[]): Block {
  const index = new Map(ids.map((id, i) => [id, i]));
  const edges: number[] = [];
  ids.forEach((id, i) => {
    for (const e of graph.out(id)) {
      if (e.toFlowId !== undefined || e.to === id) continue;
      const j = index.get(e.to);
      if (j !== undefined) edges.push(i, j);
    }
  });
  return { n: ids.length, edges: Int32Array.from(edges) };
}

function signatureOf(frame: Frame): string {
  // A flat list: JSON in a string in JSON would double its backslashes at every depth.
  return JSON.stringify(flatten(frame).map((f) => [f.id, f.ids, f.block.edges.join(), f.frames.length]));
}

/** A frame and all within it, each before what lies in it. */
function flatten(frame: Frame): readonly Frame[] {
  const all: Frame[] = [];
  const add = (f: Frame): void => {
    all.push(f);
    f.frames.forEach(add);
  };
  add(frame);
  return all;
}

/** The blocks of frames in the order in which `layouts` are handed to who builds them. */
export function blocksOf(frame: Frame): readonly Block[] {
  return flatten(frame).map((f) => f.block);
}
