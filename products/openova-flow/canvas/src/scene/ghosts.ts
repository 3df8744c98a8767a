import { fold, nameOf, type FlowGraph, type FlowMessage, type FlowNode, type FlowState, type GraphEdge, type Relationship } from "@openova/flow-core";

/** The placeholder for an end of an edge that is not a node of this flow: it does not exist, or is in another flow. */
export interface Ghost {
  readonly id: string;
  readonly kind: "missing" | "external";
  readonly label: string;
  /** The flow of an external end; empty for a missing one. */
  readonly flowId: string;
  /** The id that the relationship names. */
  readonly nodeId: string;
}

/** A string that no id of a flow contains, since the server rejects unpaired surrogates. Ids that start with it sort before all that do not start with U+0000. */
export const FOREIGN = "\u0000\ud800";

/** The id of the ghost for a node of another flow. */
export function externalId(region: string | undefined, flowId: string, nodeId: string): string {
  return ["", "external", region ?? "", flowId, nodeId].join(FOREIGN);
}

export interface WithGhosts {
  /** The state with ghosts as nodes; the state itself if it needs none. */
  readonly state: FlowState;
  readonly ghosts: ReadonlyMap<string, Ghost>;
}

/** The name of a node or ghost on its card. */
export function drawnName(graph: FlowGraph, ghosts: ReadonlyMap<string, Ghost>, id: string): string {
  const ghost = ghosts.get(id);
  return ghost?.kind === "external" ? ghost.label : nameOf(graph, id);
}

function ghostFor(edge: GraphEdge, end: "from" | "to", region: string | undefined): Ghost {
  const flowId = end === "from" ? edge.fromFlowId : edge.toFlowId;
  const nodeId = end === "from" ? edge.from : edge.to;
  return flowId === undefined
    ? { id: nodeId, kind: "missing", label: nodeId, flowId: "", nodeId }
    : { id: externalId(region, flowId, nodeId), kind: "external", label: nodeId, flowId, nodeId };
}

/**
 * Adds a ghost node for each end that does not exist or is in another flow, so that layout places it like any node: in the region of the other
 * end, of the first edge if several share the ghost. An edge with neither end here gets none.
 */
export function addGhosts(graph: FlowGraph): WithGhosts {
  const ghosts = new Map<string, Ghost>();
  const nodes: FlowNode[] = [];
  const rels: Relationship[] = [];
  for (const edge of graph.edges) {
    const offFrom = edge.fromFlowId !== undefined || edge.danglingFrom;
    const offTo = edge.toFlowId !== undefined || edge.danglingTo;
    if (offFrom === offTo) continue;
    const here = graph.nodes.get(offFrom ? edge.to : edge.from);
    const ghost = ghostFor(edge, offFrom ? "from" : "to", here?.region);
    if (!ghosts.has(ghost.id)) {
      ghosts.set(ghost.id, ghost);
      const node = { id: ghost.id, flowId: graph.flowId, label: ghost.label, status: "pending" };
      nodes.push(here?.region === undefined ? node : { ...node, region: here.region });
    }
    if (ghost.kind === "external") {
      const { fromFlowId: _f, toFlowId: _t, ...rest } = edge.rel;
      rels.push(offFrom ? { ...rest, fromId: ghost.id } as Relationship : { ...rest, toId: ghost.id } as Relationship);
    }
  }
  if (ghosts.size === 0) return { state: graph.state, ghosts };
  const messages: FlowMessage[] = [{ type: "upsert-nodes", nodes }];
  if (rels.length > 0) messages.push({ type: "upsert-rels", relationships: rels });
  return { state: messages.reduce(fold, graph.state), ghosts };
}
