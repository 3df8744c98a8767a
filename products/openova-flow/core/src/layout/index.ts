import type { FlowGraph } from "../graph/graph.js";
import { arrange, fillRegion, type RegionLayout } from "./assemble.js";
import type { Block, BlockLayout, BlockOptions } from "./layered.js";
import type { Spot } from "./pack.js";
import { blocksOf, planRegions, type RegionPlan } from "./plan.js";

export interface Rect {
  readonly x: number;
  readonly y: number;
  readonly w: number;
  readonly h: number;
}
export interface NodeBox extends Rect {
  readonly region: string;
  /** The layer, from 0. Dependencies in the same frame are in lower layers, except on a cycle. */
  readonly layer: number;
}
/** The frame of a container that is not a region's own node. */
export interface GroupBox extends Rect {
  readonly region: string;
  /** 1 directly inside the region's frame. */
  readonly depth: number;
}
export interface LayoutResult {
  /** Cards: all nodes that are not containers. */
  readonly nodes: ReadonlyMap<string, NodeBox>;
  readonly groups: ReadonlyMap<string, GroupBox>;
  /** Frames by region name; nodes without a region are under "". */
  readonly regions: ReadonlyMap<string, Rect>;
  readonly width: number;
  readonly height: number;
  readonly topologyVersion: number;
}
export interface LayoutOptions {
  /** The least width of a node, 168 by default. Those in one column are all as wide as the widest. Other widths alone do not change a layout: the topology must change too. */
  readonly widthOf?: (id: string) => number;
  /** Default 40. */
  readonly nodeHeight?: number;
  /** The width divided by the height to aim for; default 1.6. */
  readonly aspect?: number;
}

/** What the next layout needs of this one. */
interface Memory {
  readonly options: BlockOptions;
  readonly signatures: ReadonlyMap<string, string>;
  readonly layouts: ReadonlyMap<string, RegionLayout>;
}
const memories = new WeakMap<LayoutResult, Memory>();

/** A layout in progress: the blocks to lay out, and a function from their layouts to the result. */
export interface Started {
  readonly options: BlockOptions;
  readonly blocks: readonly Block[];
  finish(layouts: Iterable<BlockLayout>): LayoutResult;
}

export function start(graph: FlowGraph, previous: LayoutResult | null | undefined, given: LayoutOptions): Started {
  const options = { nodeHeight: given.nodeHeight ?? 40, aspect: given.aspect ?? 1.6 };
  const old = previous == null ? undefined : memories.get(previous);
  const memory = old !== undefined && sameOptions(old.options, options) ? old : undefined;
  if (previous != null && memory !== undefined && previous.topologyVersion === graph.topologyVersion) {
    return { options, blocks: [], finish: () => previous };
  }
  const plans = planRegions(graph, given.widthOf ?? (() => 168));
  const kept = new Set(plans.filter((p) => memory?.signatures.get(p.region) === p.signature).map((p) => p.region));
  const changed = plans.filter((p) => !kept.has(p.region));
  return {
    options,
    blocks: changed.flatMap((p) => blocksOf(p.frame, new Map(memory?.layouts.get(p.region)?.cards.map((c) => [c.id, c.rank])))),
    finish: (layouts) => finish(graph, previous ?? null, memory, kept, changed, options, layouts),
  };
}

function sameOptions(a: BlockOptions, b: BlockOptions): boolean {
  return a.nodeHeight === b.nodeHeight && a.aspect === b.aspect;
}

function finish(
  graph: FlowGraph,
  previous: LayoutResult | null,
  memory: Memory | undefined,
  kept: ReadonlySet<string>,
  changed: readonly RegionPlan[],
  options: BlockOptions,
  blockLayouts: Iterable<BlockLayout>,
): LayoutResult {
  const solved = blockLayouts[Symbol.iterator]();
  const signatures = new Map<string, string>();
  const layouts = new Map<string, RegionLayout>();
  const fixed = new Map<string, Rect>();
  for (const region of kept) {
    layouts.set(region, memory?.layouts.get(region) as RegionLayout);
    signatures.set(region, memory?.signatures.get(region) as string);
    fixed.set(region, previous?.regions.get(region) as Rect);
  }
  for (const p of changed) {
    layouts.set(p.region, fillRegion(p.frame, solved, options));
    signatures.set(p.region, p.signature);
  }
  const spots = arrange(layouts, fixed, previous?.regions ?? new Map(), options.aspect);
  const result = build(layouts, spots, previous, kept, options, graph.topologyVersion);
  memories.set(result, { options, signatures, layouts });
  return result;
}

function build(
  layouts: ReadonlyMap<string, RegionLayout>,
  spots: ReadonlyMap<string, Spot>,
  previous: LayoutResult | null,
  kept: ReadonlySet<string>,
  o: BlockOptions,
  topologyVersion: number,
): LayoutResult {
  const nodes = new Map<string, NodeBox>();
  const groups = new Map<string, GroupBox>();
  const regions = new Map<string, Rect>();
  let [width, height] = [0, 0];
  for (const [region, inner] of layouts) {
    const { x, y } = spots.get(region) as Spot;
    regions.set(region, { x, y, w: inner.w, h: inner.h });
    width = Math.max(width, x + inner.w);
    height = Math.max(height, y + inner.h);
    for (const c of inner.cards) {
      const old = kept.has(region) ? previous?.nodes.get(c.id) : undefined;
      nodes.set(c.id, old ?? { x: x + c.x, y: y + c.y, w: c.w, h: o.nodeHeight, region, layer: c.layer });
    }
    for (const g of inner.groups) groups.set(g.id, { x: x + g.x, y: y + g.y, w: g.w, h: g.h, region, depth: g.depth });
  }
  return { nodes, groups, regions, width, height, topologyVersion };
}
