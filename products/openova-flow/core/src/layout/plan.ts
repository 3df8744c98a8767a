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

function push(map: Map<string, string[]>, key: string, id: string): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [id]);
  else list.push(id);
}

function planRegion(graph: FlowGraph, region: string, members: Members): RegionPlan {
  const done = new Set<string>();
  const frameOf = (id: string): Frame => {
    done.add(id);
    const ids = (members.cards.get(id) ?? []).sort(compareBytes);
    const inner = (members.groups.get(id) ?? []).filter((g) => !done.has(g)).sort(compareBytes);
    return { id, ids, block: blockOf(graph, ids), frames: inner.map(frameOf) };
  };
  let frame = frameOf("");
  // Groups that contain each other hang from nothing; they are shown all the same.
  const astray = members.top.sort(compareBytes).flatMap((id) => (done.has(id) ? [] : [frameOf(id)]));
  if (astray.length > 0) frame = { ...frame, frames: [...frame.frames, ...astray] };
  return { region, frame, signature: signatureOf(frame) };
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
  return JSON.stringify([frame.id, frame.ids, frame.block.edges.join(), frame.frames.map(signatureOf)]);
}

/** The blocks of frames in the order in which `layouts` are handed to who builds them. */
export function blocksOf(frame: Frame): readonly Block[] {
  return [frame.block, ...frame.frames.flatMap(blocksOf)];
}
