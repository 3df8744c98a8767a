import { push } from "../graph/adjacency.js";
import { metaOf } from "../graph/display.js";
import type { FlowGraph } from "../graph/graph.js";
import { compareBytes } from "../fold/state.js";
import type { Block } from "./layered.js";

/** A frame to fill: its own cards as one block, and the frames inside. */
export interface Frame {
  /** The container; empty for a region's frame. */
  readonly id: string;
  readonly ids: readonly string[];
  readonly block: Omit<Block, "ranks">;
  readonly frames: readonly Frame[];
}
export interface RegionPlan {
  readonly region: string;
  readonly frame: Frame;
  /** A region whose signature is unchanged need not be laid out again. */
  readonly signature: string;
}

/** The plan of each region, by name in byte order. It does not depend on the order of nodes and edges. */
export function planRegions(graph: FlowGraph, widthOf: (id: string) => number): readonly RegionPlan[] {
  const regions = new Map<string, Members>();
  for (const [id, node] of graph.nodes) {
    const region = node.region ?? "";
    let members = regions.get(region);
    if (members === undefined) regions.set(region, (members = { containers: [], cards: new Map(), groups: new Map() }));
    addMember(graph, id, region, members);
  }
  return [...regions].sort(([a], [b]) => compareBytes(a, b)).map(([region, members]) => planRegion(graph, region, members, widthOf));
}

/** The nodes of one region. */
interface Members {
  readonly containers: string[];
  /** The nodes that are not containers, by their container; "" is the region itself. */
  readonly cards: Map<string, string[]>;
  /** `containers` by their own container; "" is the region itself. */
  readonly groups: Map<string, string[]>;
}

function isRegionNode(graph: FlowGraph, id: string): boolean {
  const node = graph.nodes.get(id);
  return node !== undefined && graph.isContainer(id) && (metaOf(node).kind === "Region" || node.id === node.region);
}

function addMember(graph: FlowGraph, id: string, region: string, members: Members): void {
  if (isRegionNode(graph, id)) return;
  const parent = graph.parent.get(id);
  const within = parent !== undefined && (graph.nodes.get(parent)?.region ?? "") === region && !isRegionNode(graph, parent) ? parent : "";
  if (graph.isContainer(id)) {
    members.containers.push(id);
    push(members.groups, within, id);
  } else push(members.cards, within, id);
}

/**
 * Maximum nesting of frames. A container further down is drawn beside the frame of this depth that contains it, not inside. Recursion over
 * frames is therefore safe.
 */
export const MAX_DEPTH = 32;

function planRegion(graph: FlowGraph, region: string, members: Members, widthOf: (id: string) => number): RegionPlan {
  const within = frameTree(members);
  const frameOf = (id: string): Frame => {
    const ids = (members.cards.get(id) ?? []).sort(compareBytes);
    return { id, ids, block: { ...blockOf(graph, ids), widths: Float64Array.from(ids, widthOf) }, frames: (within.get(id) ?? []).map(frameOf) };
  };
  const frame = frameOf("");
  return { region, frame, signature: signatureOf(frame) };
}

/**
 * The containers that are drawn directly inside each container; "" is the region. Each container is in one list, at depth MAX_DEPTH at
 * most.
 */
function frameTree(members: Members): ReadonlyMap<string, readonly string[]> {
  const tree = new Map<string, string[]>();
  const done = new Set<string>();
  const descend = (roots: readonly string[]): void => {
    const queue = roots.map((id) => ({ id, above: "", depth: 1 }));
    for (const { id, above, depth } of queue) {
      if (done.has(id)) continue;
      done.add(id);
      push(tree, above, id);
      const below = depth < MAX_DEPTH ? { above: id, depth: depth + 1 } : { above, depth };
      for (const g of (members.groups.get(id) ?? []).sort(compareBytes)) queue.push({ id: g, ...below });
    }
  };
  descend((members.groups.get("") ?? []).sort(compareBytes));
  // Containers on a cycle of `contains`, or inside one, have no path from the region. The first that is left goes to its top level, with all that it contains.
  for (const id of members.containers.sort(compareBytes)) if (!done.has(id)) descend([id]);
  return tree;
}

function blockOf(graph: FlowGraph, ids: readonly string[]): Pick<Block, "n" | "edges"> {
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
  // A flat list: nested JSON strings would double their backslashes at every level.
  return JSON.stringify(flatten(frame).map((f) => [f.id, f.ids, f.block.edges.join(), f.block.widths.join(), f.frames.length]));
}

/** A frame and all frames inside, parents first. */
function flatten(frame: Frame): readonly Frame[] {
  const all: Frame[] = [];
  const add = (f: Frame): void => {
    all.push(f);
    f.frames.forEach(add);
  };
  add(frame);
  return all;
}

/**
 * The blocks of a frame and of all frames inside, in the order in which `fillRegion` reads their layouts. `ranks` are those of the previous
 * layout, by id.
 */
export function blocksOf(frame: Frame, ranks: ReadonlyMap<string, number>): readonly Block[] {
  return flatten(frame).map((f) => ({ ...f.block, ranks: Float64Array.from(f.ids, (id) => ranks.get(id) ?? NaN) }));
}
