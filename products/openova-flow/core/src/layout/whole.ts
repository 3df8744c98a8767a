import type { FlowGraph } from "../graph.js";
import { start, type LayoutOptions, type LayoutResult } from "./index.js";
import { layoutBlock } from "./layered.js";

/**
 * Dependency columns from left to right, a frame for each region. The same input gives the same output. A region of `previous` whose
 * topology did not change keeps every position exactly; one that grew moves only if its place has become too small.
 */
export function layout(graph: FlowGraph, previous?: LayoutResult | null, options: LayoutOptions = {}): LayoutResult {
  const started = start(graph, previous, options);
  return started.finish(started.blocks.map((b) => layoutBlock(b, started.options)));
}
