import type { FlowGraph } from "../graph/graph.js";
import { start, type LayoutOptions, type LayoutResult } from "./index.js";
import { layoutBlock } from "./layered.js";

/**
 * Dependency columns from left to right, with a frame for each region. Equal input gives equal output. A region with the same topology as
 * in `previous` keeps every position; one that has grown moves only if it no longer fits.
 */
export function layout(graph: FlowGraph, previous?: LayoutResult | null, options: LayoutOptions = {}): LayoutResult {
  const started = start(graph, previous, options);
  return started.finish(started.blocks.map((b) => layoutBlock(b, started.options)));
}
