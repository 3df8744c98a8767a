import type { FlowGraph } from "../graph/graph.js";
import { start, type LayoutOptions, type LayoutResult } from "./index.js";
import type { Block, BlockLayout, BlockOptions } from "./layered.js";

/** The part of a Worker that the client uses. */
export interface WorkerLike {
  postMessage(message: unknown, transfer: ArrayBuffer[]): void;
  addEventListener(type: "message" | "error", listener: (event: { readonly data?: unknown; readonly message?: string }) => void): void;
  terminate(): void;
}
/** A request to the worker. The response is an array with the layout of each block, in the same order. */
export interface LayoutRequest {
  readonly blocks: readonly Block[];
  readonly options: BlockOptions;
}
export interface LayoutClient {
  /**
   * The layout of the graph. Changed regions are computed in the worker. Calls during a running one are merged: only the last graph is laid
   * out, and all of them resolve with its result.
   */
  layout(graph: FlowGraph, previous?: LayoutResult | null): Promise<LayoutResult>;
  close(): void;
}

interface Call {
  readonly graph: FlowGraph;
  readonly previous: LayoutResult | null;
  readonly done: ((result: LayoutResult | Promise<never>) => void)[];
}

/** Returns a client that computes layouts in a worker (`@openova/flow-core/layout-worker`), or in this thread if there is no worker or it fails. */
export function createLayoutClient(worker: WorkerLike | null, options: LayoutOptions = {}): LayoutClient {
  let usable = worker;
  let running: (Call & { finish(layouts: Iterable<BlockLayout>): LayoutResult }) | null = null;
  let waiting: Call | null = null;

  const settle = (call: Call, result: LayoutResult | Promise<never>): void => {
    running = null;
    for (const done of call.done) done(result);
    const next = waiting;
    waiting = null;
    if (next !== null) begin(next);
  };
  // Loaded on demand: not needed with a worker.
  const inThisThread = (call: Call): void => {
    import("./whole.js").then(
      ({ layout }) => settle(call, layout(call.graph, call.previous, options)),
      (error: unknown) => settle(call, Promise.reject(error)),
    );
  };
  const begin = (call: Call): void => {
    const started = start(call.graph, call.previous, options);
    if (started.blocks.length === 0) return settle(call, started.finish([]));
    running = { ...call, finish: started.finish };
    if (usable === null) return inThisThread(call);
    const request: LayoutRequest = { blocks: started.blocks, options: started.options };
    usable.postMessage(request, started.blocks.map((b) => b.edges.buffer as ArrayBuffer));
  };
  usable?.addEventListener("message", ({ data }) => {
    if (running !== null && usable !== null) settle(running, running.finish(data as readonly BlockLayout[]));
  });
  usable?.addEventListener("error", () => {
    if (usable === null) return;
    usable = null;
    if (running !== null) inThisThread(running);
  });
  return {
    layout: (graph, previous = null) =>
      new Promise((resolve) => {
        if (running === null) begin({ graph, previous, done: [resolve] });
        else waiting = { graph, previous, done: [...(waiting?.done ?? []), resolve] };
      }),
    close: () => usable?.terminate(),
  };
}
