import type { DisplayCounts } from "./display.js";
import type { FlowGraph } from "./graph.js";
import type { Rollout } from "./rollouts.js";

export interface Progress {
  readonly total: number;
  /** How many are ready. */
  readonly done: number;
  /** done / total; 1 for nothing to do. */
  readonly fraction: number;
  readonly counts: DisplayCounts;
  /** All ready, and every Kustomization of the flow (or region) too. */
  readonly complete: boolean;
  readonly kustomizationsNotReady: number;
}
export interface RolloutProgress extends Progress {
  readonly startedAt: number;
  readonly endedAt?: number;
  readonly elapsedMs: number;
  /** When it will be done, from how long the same releases took before; absent unless that is known for all that is left. */
  readonly etaAt?: number;
}
export declare function flowProgress(graph: FlowGraph, now: number): Progress;
export declare function regionProgress(graph: FlowGraph, region: string, now: number): Progress;
/** Of all regions at once, by region name in byte order. */
export declare function progressByRegion(graph: FlowGraph, now: number): ReadonlyMap<string, Progress>;
/** Of a rollout. `history` are earlier rollouts, for the ETA. */
export declare function rolloutProgress(graph: FlowGraph, rollout: Rollout, now: number, history?: readonly Rollout[]): RolloutProgress;
