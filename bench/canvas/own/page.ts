import { buildGraph, createLayoutClient, emptyState, fold, type FlowNode, type FlowState } from "../../../products/openova-flow/core/src/index.js";
import "../../../products/openova-flow/canvas/src/index.js";
import { layoutWorker } from "../../../products/openova-flow/canvas/src/element/worker.js";
import { changes, evenly, fleetNow, frame, frames, snapshotOf } from "../data.js";

let state: FlowState = emptyState("fleet");
let next: Generator<FlowNode, never>;
const element = document.createElement("openova-flow");
element.clock = () => fleetNow;
document.getElementById("root")!.append(element);

globalThis.subject = {
  async first(nodes) {
    const snapshot = snapshotOf(nodes);
    next = changes(snapshot);
    const text = JSON.stringify(snapshot);
    await frame();
    const start = performance.now();
    const painted = new Promise((resolve) => element.addEventListener("painted", resolve, { once: true }));
    state = fold(emptyState("fleet"), JSON.parse(text));
    element.setState(state);
    await painted;
    const ms = performance.now() - start;
    await frame();
    return ms;
  },
  async pan(scale, count) {
    element.fit(undefined, { animate: false });
    if (scale > 0) {
      const { x, y, k } = element.view;
      element.view = { x: x + 700 / k - 700 / scale, y: y + 400 / k - 400 / scale, k: scale };
    }
    await frames(count, (i) => element.panBy(i % 2 === 0 || i < count / 2 ? 9 : -9, i < count / 2 ? 4 : -4));
  },
  async update(perSecond, ms) {
    await evenly(perSecond, ms, () => {
      state = fold(state, { type: "upsert-nodes", nodes: [next.next().value] });
      element.setState(state);
    });
  },
  async layout() {
    const client = createLayoutClient(layoutWorker());
    const graph = buildGraph(state);
    // The first call also starts the worker, which a page does once.
    await client.layout(buildGraph(fold(emptyState("fleet"), snapshotOf(60))));
    const start = performance.now();
    await client.layout(graph);
    const ms = performance.now() - start;
    client.close();
    return ms;
  },
};
