import { buildGraph, displayState, fold, type FlowGraph, type FlowNode } from "@openova/flow-core";

/**
 * Decides which auxiliary nodes, such as sources, are left out. Nearly every release has a source, which matters only while it is not
 * ready, or while the user selects it.
 */
export class Auxiliary {
  #topology = -1;
  #ids: readonly string[] = [];

  /** The ids of the nodes to leave out: all ready auxiliary nodes but containers and `pinned`. Their order is fixed for one topology. */
  hidden(graph: FlowGraph, now: number, pinned: string | null): readonly string[] {
    if (graph.topologyVersion !== this.#topology) {
      this.#topology = graph.topologyVersion;
      this.#ids = [...graph.nodes.keys()].filter((id) => graph.isAuxiliary(id) && !graph.isContainer(id));
    }
    // Without `unconfirmed`: a ready source that is unconfirmed after a restart of the server stays hidden.
    const isReady = (node: FlowNode): boolean => displayState(node, { graph, nodes: graph.nodes, regions: graph.state.regions, now }) === "ready";
    return this.#ids.filter((id) => id !== pinned && isReady(graph.nodes.get(id) as FlowNode));
  }
}

/** The graph without these nodes and their edges. */
export function without(graph: FlowGraph, ids: readonly string[]): FlowGraph {
  return ids.length === 0 ? graph : buildGraph(fold(graph.state, { type: "delete-nodes", ids: [...ids] }));
}
