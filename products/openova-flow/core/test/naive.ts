import { compareBytes, type FlowMessage, type FlowNode, type FullSnapshot, type Relationship } from "../src/index.js";

/** The fold as the contract defines it, without optimizations. */
export function naiveFold(flowId: string, messages: readonly FlowMessage[]): FullSnapshot | null {
  let flow: FullSnapshot["flow"] | null = null;
  let nodes: FlowNode[] = [];
  let rels: Relationship[] = [];
  const putNode = (n: FlowNode): void => void (nodes = [...nodes.filter((o) => o.id !== n.id), n]);
  const same = (a: Relationship, b: { fromId: string; toId: string; type: string }): boolean =>
    a.fromId === b.fromId && a.toId === b.toId && a.type === b.type;
  const putRel = (r: Relationship): void => void (rels = [...rels.filter((o) => !same(o, r)), r]);
  const here = (f: string | undefined): boolean => f === undefined || f === "" || f === flowId;
  for (const m of messages) {
    if (m.type === "snapshot") [nodes, rels] = [[], []];
    if (m.type === "snapshot" || m.type === "upsert-flow") flow = m.flow;
    if (m.type === "snapshot" || m.type === "upsert-nodes") (m.nodes ?? []).forEach(putNode);
    if (m.type === "snapshot" || m.type === "upsert-rels") (m.relationships ?? []).forEach(putRel);
    if (m.type === "delete-rels") rels = rels.filter((r) => !m.pairs.some((p) => same(r, p)));
    if (m.type === "delete-nodes") {
      nodes = nodes.filter((n) => !m.ids.includes(n.id));
      rels = rels.filter((r) => !(here(r.fromFlowId) && m.ids.includes(r.fromId)) && !(here(r.toFlowId) && m.ids.includes(r.toId)));
    }
  }
  if (flow === null) return null;
  return {
    type: "snapshot",
    flow,
    nodes: nodes.sort((a, b) => compareBytes(a.id, b.id)),
    relationships: rels.sort((a, b) => compareBytes(a.fromId, b.fromId) || compareBytes(a.toId, b.toId) || compareBytes(a.type, b.type)),
  };
}
