import { buildGraph, displayState, fold, type FlowGraph, type FlowNode } from "@openova/flow-core";

/**
 * Decides what is drawn of the nodes that stand beside the rollout, such as sources: those that are not ready, and the one that is
 * asked for. There is a source behind nearly every release, and as long as all is well with it nobody wants to see it.
 */
export class Auxiliary {
  #topology = -1;
  #ids: readonly string[] = [];

  /** The ids of the nodes that are not drawn, in a fixed order for one topology. */
  hidden(graph: FlowGraph, now: number, asked: string | null): readonly string[] {
    if (graph.topologyVersion !== this.#topology) {
      this.#topology = graph.topologyVersion;
      this.#ids = [...graph.nodes.keys()].filter((id) => graph.isAuxiliary(id) && !graph.isContainer(id));
    }
    // That a server which began anew has not heard of a source yet says nothing against it.
    const isReady = (node: FlowNode): boolean => displayState(node, { graph, nodes: graph.nodes, regions: graph.state.regions, now }) === "ready";
    return this.#ids.filter((id) => id !== asked && isReady(graph.nodes.get(id) as FlowNode));
  }
}

/** The graph without some nodes and all that leads to or from them. */
export function without(graph: FlowGraph, ids: readonly string[]): FlowGraph {
  return ids.length === 0 ? graph : buildGraph(fold(graph.state, { type: "delete-nodes", ids: [...ids] }));
}
