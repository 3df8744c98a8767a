import type { FlowGraph } from "../graph.js";

export interface Rect {
  readonly x: number;
  readonly y: number;
  readonly w: number;
  readonly h: number;
}
export interface NodeBox extends Rect {
  readonly region: string;
  /** The column, from 0. */
  readonly layer: number;
}
/** The frame of a container other than a region's own node. */
export interface GroupBox extends Rect {
  readonly region: string;
  /** 1 directly within the region's frame. */
  readonly depth: number;
}
export interface LayoutResult {
  /** Cards: every node that is no container. */
  readonly nodes: ReadonlyMap<string, NodeBox>;
  readonly groups: ReadonlyMap<string, GroupBox>;
  /** Frames by region name; nodes without a region are under "". */
  readonly regions: ReadonlyMap<string, Rect>;
  readonly width: number;
  readonly height: number;
  readonly topologyVersion: number;
}
export interface LayoutOptions {
  readonly nodeWidth?: number;
  readonly nodeHeight?: number;
  /** Width to height that the whole aims at, default 1.6. */
  readonly aspect?: number;
}
/**
 * Dependency columns from left to right, a frame for each region. The same input gives the same output. A region of `previous` whose
 * topology did not change keeps every position exactly; one that grew moves only if its place has become too small.
 */
export declare function layout(graph: FlowGraph, previous?: LayoutResult | null, options?: LayoutOptions): LayoutResult;

/** The part of a Worker that the client uses. */
export interface WorkerLike {
  postMessage(message: unknown, transfer: ArrayBuffer[]): void;
  addEventListener(type: "message" | "error", listener: (event: { readonly data?: unknown; readonly message?: string }) => void): void;
  terminate(): void;
}
export interface LayoutClient {
  /** The layout of the graph; the regions that changed are computed in the worker. Of overlapping calls the last wins: earlier ones resolve with its result. */
  layout(graph: FlowGraph, previous?: LayoutResult | null): Promise<LayoutResult>;
  close(): void;
}
/** Layout in a worker of `@openova/flow-core/layout-worker`; without one, or when it fails, in this thread. */
export declare function createLayoutClient(worker: WorkerLike | null, options?: LayoutOptions): LayoutClient;
