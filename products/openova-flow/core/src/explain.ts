import type { FlowNode, FluxMeta } from "./types.js";

export interface Explanation {
  /** One plain sentence; for an unknown reason the reason and message as they came. */
  readonly sentence: string;
  /** The next command to run; absent when there is nothing useful. */
  readonly command?: string;
  /** False when reason and message are not known. */
  readonly known: boolean;
}
/** What a reason and message of Flux, Helm or the API server mean, and what to run next. */
export declare function explain(reason: string, message: string, meta?: FluxMeta, label?: string): Explanation;

export interface Command {
  readonly title: string;
  readonly command: string;
}
/** Commands that a person may copy for a node: look, events, logs, retry, resume. */
export declare function commandsFor(node: FlowNode): readonly Command[];
