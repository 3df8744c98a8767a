import type { DisplayState } from "./display.js";
import type { FlowGraph } from "./graph.js";

/** One root cause. */
export interface Problem {
  /** The node that it shows on, the first of `ids`. */
  readonly id: string;
  /** Every node that shows the same cause, for instance all that use one dead repository. */
  readonly ids: readonly string[];
  readonly label: string;
  readonly region: string;
  readonly display: DisplayState;
  readonly reason: string;
  /** As it came, for who wants it in full. */
  readonly message: string;
  readonly sentence: string;
  readonly command?: string;
  /** Downstream nodes that are not ready, nearest first. */
  readonly blocks: readonly string[];
  readonly since?: number;
}
/** What is wrong, one entry for each root cause, worst first; empty when all is well. */
export declare function problems(graph: FlowGraph, now: number): readonly Problem[];
