import { fold, nameOf, type FlowGraph, type FlowMessage, type FlowNode, type FlowState, type GraphEdge, type Relationship } from "@openova/flow-core";

/** A stand-in that is drawn for the end of an edge that is no node of this flow. */
export interface Ghost {
  readonly id: string;
  readonly kind: "missing" | "external";
  readonly label: string;
  /** The flow that an external end lies in. */
  readonly flowId: string;
  /** The id that the relationship names. */
  readonly nodeId: string;
}

/** The id of the stand-in for a node of another flow. Starts with a byte that no emitter has reason to use. */
export function externalId(region: string | undefined, flowId: string, nodeId: string): string {
  return `\u0000${region ?? ""}\u0000${flowId}\u0000${nodeId}`;
}

export interface Haunted {
  /** The state with stand-ins as nodes; the state itself when it needs none. */
  readonly state: FlowState;
  readonly ghosts: ReadonlyMap<string, Ghost>;
}

/** The name that a node or stand-in is drawn with. */
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
 * Puts a stand-in node in place of each end that dangles or lies in another flow, in the region of the end that is here, so that
 * layout finds it a place like any other. An edge with neither end here is left out.
 */
export function haunt(graph: FlowGraph): Haunted {
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
