import type { FlowNode, Relationship, RelationshipType, SnapshotMessage } from "@openova/flow-core";
import { fleetNow } from "./fleet.js";

const node = (id: string, more: Partial<FlowNode> = {}): FlowNode => ({ id, flowId: "zoo", label: id, status: "succeeded", ...more });

/** All edge types and conditions, a cycle, missing and cross-flow ends, a frame in a region, and most display states. */
export function zoo(): SnapshotMessage {
  const nodes: FlowNode[] = [];
  const relationships: Relationship[] = [];
  const types: RelationshipType[] = ["finish-to-start", "start-to-start", "finish-to-finish", "start-to-finish", "triggers"];
  for (const type of types) {
    nodes.push(node(`${type}-a`, { region: "edges" }), node(`${type}-b`, { region: "edges" }));
    relationships.push({ fromId: `${type}-a`, toId: `${type}-b`, type, ...(type === "finish-to-start" ? { lag: 30 } : {}) });
  }
  nodes.push(node("tried", { region: "edges", status: "failed" }), node("cleanup", { region: "edges" }), node("notify", { region: "edges" }));
  relationships.push({ fromId: "tried", toId: "cleanup", type: "finish-to-start", condition: "on-failure" });
  relationships.push({ fromId: "tried", toId: "notify", type: "finish-to-start", condition: "always" });
  nodes.push(node("egg", { region: "odd", status: "pending" }), node("hen", { region: "odd", status: "pending" }), node("self", { region: "odd" }));
  relationships.push({ fromId: "egg", toId: "hen", type: "finish-to-start" }, { fromId: "hen", toId: "egg", type: "finish-to-start" });
  relationships.push({ fromId: "self", toId: "self", type: "finish-to-start" });
  nodes.push(node("orphan", { region: "odd", status: "pending", meta: { waitingFor: ["gone/bp-nobody"], waitingSince: fleetNow - 300_000, reason: "DependencyNotReady", reasonSince: fleetNow - 300_000 } }));
  relationships.push({ fromId: "gone/bp-nobody", toId: "orphan", type: "finish-to-start" });
  relationships.push({ fromId: "network/vpc", toId: "hen", type: "finish-to-start", fromFlowId: "infrastructure" });
  relationships.push({ fromId: "orphan", toId: "smoke", type: "triggers", toFlowId: "acceptance-tests" });
  nodes.push(node("stack", { region: "odd", label: "monitoring stack" }), node("probe", { region: "odd", status: "running", startedAt: fleetNow - 130_000 }), node("alerts", { region: "odd", status: "pending" }));
  relationships.push({ fromId: "probe", toId: "stack", type: "contains" }, { fromId: "alerts", toId: "stack", type: "contains" });
  relationships.push({ fromId: "probe", toId: "alerts", type: "finish-to-start" });
  nodes.push(
    node("is-ready", { region: "states" }),
    node("is-working", { region: "states", status: "running", startedAt: fleetNow - 130_000, meta: { action: "upgrade" } }),
    node("is-waiting", { region: "states", status: "pending", meta: { reason: "DependencyNotReady", waitingFor: ["is-working"], waitingSince: fleetNow } }),
    node("is-broken", { region: "states", status: "failed", meta: { reason: "InstallFailed" } }),
    node("is-suspended", { region: "states", status: "running", meta: { suspended: true } }),
    node("is-terminating", { region: "states", meta: { deletingSince: fleetNow - 190_000 } }),
    node("is-not-started", { region: "states", status: "pending" }),
    node("has-a-name-that-is-much-too-long-for-a-card", { region: "states" }),
  );
  return { type: "snapshot", flow: { id: "zoo", status: "running", startedAt: fleetNow }, nodes, relationships };
}
