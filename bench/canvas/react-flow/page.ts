import "@xyflow/react/dist/style.css";
import { Handle, Position, ReactFlow, useNodesState, type Edge, type Node, type NodeProps, type ReactFlowInstance } from "@xyflow/react";
import { createElement as h, memo, useEffect } from "react";
import { createRoot } from "react-dom/client";
import { buildGraph, emptyState, fold, layout, type FlowNode } from "../../../products/openova-flow/core/src/index.js";
import { changes, evenly, frame, frames, snapshotOf } from "../data.js";

type Release = Node<{ label: string; status: string }>;
const Card = memo(({ data }: NodeProps<Release>) => h("div", { className: "release", "data-status": data.status },
  h(Handle, { type: "target", position: Position.Left }), h("i"), h("span", null, data.label), h(Handle, { type: "source", position: Position.Right })));
const nodeTypes = { release: Card };

let instance: ReactFlowInstance<Release> | null = null;
let setNodes: ((change: (nodes: Release[]) => Release[]) => void) | null = null;
let next: Generator<FlowNode, never>;
const indexOf = new Map<string, number>();

function App({ nodes: initial, edges, ready }: { nodes: Release[]; edges: Edge[]; ready: () => void }) {
  const [nodes, set, onNodesChange] = useNodesState(initial);
  useEffect(() => void (setNodes = set), [set]);
  return h(ReactFlow<Release>, {
    nodes, edges, nodeTypes, onNodesChange, onlyRenderVisibleElements: true, minZoom: 0.005, fitView: true, proOptions: { hideAttribution: true },
    onInit: (i) => {
      instance = i;
      ready();
    },
  });
}

globalThis.subject = {
  async first(count) {
    const snapshot = snapshotOf(count);
    next = changes(snapshot);
    // React Flow has no layout of its own, so it gets finished positions.
    const graph = buildGraph(fold(emptyState("fleet"), snapshot));
    const spots = layout(graph, null, { aspect: 2.24 });
    const text = JSON.stringify(snapshot);
    await frame();
    const start = performance.now();
    const parsed = JSON.parse(text) as typeof snapshot;
    const nodes: Release[] = [];
    for (const node of parsed.nodes ?? []) {
      const spot = spots.nodes.get(node.id);
      if (spot === undefined) continue;
      indexOf.set(node.id, nodes.length);
      nodes.push({ id: node.id, type: "release", position: { x: spot.x, y: spot.y }, width: 168, height: 40, data: { label: node.label, status: node.status } });
    }
    const edges = (parsed.relationships ?? []).filter((r) => r.type !== "contains").map((r) => ({ id: `${r.fromId}>${r.toId}`, source: r.fromId, target: r.toId }));
    await new Promise<void>((resolve) => createRoot(document.getElementById("root")!).render(h(App, { nodes, edges, ready: resolve })));
    while (document.querySelectorAll(".release").length === 0) await frame();
    await frame();
    return performance.now() - start;
  },
  async pan(scale, count) {
    await instance!.fitView({ duration: 0 });
    const v = instance!.getViewport();
    let { x, y } = v;
    const zoom = scale > 0 ? scale : v.zoom;
    if (scale > 0) {
      x = 700 - ((700 - x) / v.zoom) * scale;
      y = 400 - ((400 - y) / v.zoom) * scale;
    }
    await instance!.setViewport({ x, y, zoom });
    await frames(count, (i) => {
      x -= i % 2 === 0 || i < count / 2 ? 9 : -9;
      y -= i < count / 2 ? 4 : -4;
      void instance!.setViewport({ x, y, zoom });
    });
  },
  async update(perSecond, ms) {
    await evenly(perSecond, ms, () => {
      const node = next.next().value;
      const i = indexOf.get(node.id)!;
      setNodes!((nodes) => {
        const copy = nodes.slice();
        copy[i] = { ...copy[i]!, data: { label: node.label, status: node.status } };
        return copy;
      });
    });
  },
  layout: () => Promise.resolve(-1),
};
