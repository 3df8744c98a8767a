import type { FlowGraph } from "../graph/graph.js";
import { start, type LayoutOptions, type LayoutResult } from "./index.js";
import { layoutBlock } from "./layered.js";

/**
 * Dependency columns from left to right, with a frame for each region. Equal input gives equal output. With equal options, a region whose
 * nodes, edges and widths are as in `previous` keeps every position. If there is such a region, the others move only if they no longer fit.
 */
export function layout(graph: FlowGraph, previous?: LayoutResult | null, options: LayoutOptions = {}): LayoutResult {
  const started = start(graph, previous, options);
  return started.finish(started.blocks.map((b) => layoutBlock(b, started.options)));
}
