import { afterEach, expect, it, vi } from "vitest";
import { buildGraph, createLayoutClient, layout, type Port, type WorkerLike } from "../src/index.js";
import { FakeServer, frame, heartbeat, settle } from "./clock.js";
import { stateOf, edge, node } from "./flow.js";

// The two worker scripts, each with the globals of a worker.

type Listener = (event: { data?: unknown; ports?: readonly Port[] }) => void;
afterEach(() => vi.unstubAllGlobals());

it("the layout worker answers as the client expects", async () => {
  let inside: Listener = () => {};
  let outside: Listener = () => {};
  vi.stubGlobal("addEventListener", (_: string, listener: Listener) => void (inside = listener));
  vi.stubGlobal("postMessage", (data: unknown, transfer: ArrayBuffer[]) => outside({ data: structuredClone(data, { transfer }) }));
  await import("../src/layout/worker.js");
  const worker: WorkerLike = {
    postMessage: (data, transfer) => queueMicrotask(() => inside({ data: structuredClone(data, { transfer }) })),
    addEventListener: (type, listener) => void (type === "message" && (outside = listener)),
    terminate: () => {},
  };
  const graph = buildGraph(stateOf([node("a"), node("b"), node("c", "x", {}, { region: "r" })], [edge("a", "b")]));
  expect(await createLayoutClient(worker).layout(graph)).toEqual(layout(graph));
});

it("the shared worker serves the ports that connect", async () => {
  let onConnect: Listener = () => {};
  const server = new FakeServer();
  vi.stubGlobal("addEventListener", (_: string, listener: Listener) => void (onConnect = listener));
  vi.stubGlobal("fetch", server.fetch);
  vi.useFakeTimers();
  await import("../src/stream/shared-worker.js");
  const received: unknown[] = [];
  let listener: Listener = () => {};
  onConnect({ ports: [{ postMessage: (d) => void received.push(d), addEventListener: (_, l) => void (listener = l as Listener), close: () => {} }] });
  listener({ data: { from: "tab", tab: "t", action: "join", url: "http://x", flowId: "F", headers: {} } });
  await settle();
  server.last.send(heartbeat(5, 0) + frame(5, { type: "snapshot", flow: { id: "F", status: "x", startedAt: 0 } } as never));
  await settle();
  expect(received).toContainEqual(expect.objectContaining({ from: "hub", event: expect.objectContaining({ type: "message", seq: 5 }) as unknown }));
  listener({ data: { from: "tab", tab: "t", action: "leave", url: "http://x", flowId: "F", headers: {} } });
  expect(server.last.signal?.aborted).toBe(true);
  vi.useRealTimers();
});
