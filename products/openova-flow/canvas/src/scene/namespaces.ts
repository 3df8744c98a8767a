import { buildGraph, fold, metaOf, type FlowGraph, type FlowMessage, type FlowNode, type Relationship } from "@openova/flow-core";
import { FOREIGN } from "./ghosts.js";

/** Prefix of the ids of namespace frames. They sort before the ids of regions, so that the layout takes the frame as parent and not the region. */
const PREFIX = `${FOREIGN}namespace${FOREIGN}`;

export const isNamespace = (id: string): boolean => id.startsWith(PREFIX);

/** The graph with a frame around the nodes of each namespace of a region. Nodes inside containers other than the region's stay there. */
export function inNamespaces(graph: FlowGraph): FlowGraph {
  const frames = new Map<string, FlowNode>(), relationships: Relationship[] = [];
  for (const [fromId, node] of graph.nodes) {
    const { region } = node, { namespace } = metaOf(node);
    const parent = graph.nodes.get(graph.parent.get(fromId) ?? "");
    if (namespace === undefined || graph.isContainer(fromId) || (parent !== undefined && metaOf(parent).kind !== "Region")) continue;
    const id = `${PREFIX}${region ?? ""}${FOREIGN}${namespace}`;
    // Auxiliary, so that a release with the same name keeps its short name.
    frames.set(id, { id, flowId: graph.flowId, label: namespace, status: "succeeded", meta: { auxiliary: true }, ...(region === undefined ? {} : { region }) });
    relationships.push({ fromId, toId: id, type: "contains" });
  }
  const messages: FlowMessage[] = [{ type: "upsert-nodes", nodes: [...frames.values()] }, { type: "upsert-rels", relationships }];
  return frames.size === 0 ? graph : buildGraph(messages.reduce(fold, graph.state));
}
