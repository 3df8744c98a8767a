import { blockingChains, blocks, criticalPath, upstream, type FlowGraph } from "@openova/flow-core";
import type { Highlight } from "./emphasis.js";

/** What blocks a node, what it blocks, and the critical path among the node and its upstream nodes. */
export function highlightOf(graph: FlowGraph, id: string, now: number): Highlight {
  return {
    blockedBy: blockingChains(graph, id, now),
    blocks: blocks(graph, id),
    critical: criticalPath(graph, now, [id, ...upstream(graph, id)]).ids,
  };
}
