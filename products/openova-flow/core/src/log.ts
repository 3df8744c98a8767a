import type { FlowState } from "./state.js";
import type { FlowMessage, FlowNode, FullSnapshot } from "./types.js";

export interface LogEntry {
  readonly seq: number;
  /** Unix milliseconds at which the server (or, for what came live, this client) had it. */
  readonly at: number;
  readonly message: FlowMessage;
}
/** The answer of `GET /v1/flows/{flowId}/events`. */
export interface EventsAnswer {
  readonly base: FullSnapshot | null;
  readonly baseSeq: number;
  readonly events: readonly LogEntry[];
  readonly oldest: number;
  readonly head: number;
}
/** One value that a node has had; `node` is null from when it was deleted. */
export interface NodeChange {
  readonly seq: number;
  readonly at: number;
  readonly node: FlowNode | null;
}
export interface EventLogOptions {
  readonly flowId: string;
  /** Messages between two checkpoints, default 64. */
  readonly checkpointEvery?: number;
  /** Messages kept, default 20,000; the oldest go first. */
  readonly capacity?: number;
}
/** The messages of a flow in order, and every state between them. */
export declare class EventLog {
  constructor(options: EventLogOptions);
  readonly size: number;
  /** Grows with each change of the log. */
  readonly version: number;
  /** The instants of the first and the last state that can be shown; null while the log is empty. */
  readonly range: { readonly from: number; readonly to: number } | null;
  readonly firstSeq: number;
  readonly lastSeq: number;
  /** Adds what came live. A number that is not above the last is ignored. */
  append(seq: number, at: number, message: FlowMessage): void;
  /** Forgets everything: another incarnation began. */
  reset(): void;
  /** Adds what the server still holds, before and among what is here. */
  ingest(answer: EventsAnswer): void;
  /** The state at an instant: after the last message that had come by then. Before the first: the base. Null while empty. */
  stateAt(instant: number): FlowState | null;
  stateAtSeq(seq: number): FlowState | null;
  /** The entries that came within an interval, both ends included. */
  between(from: number, to: number): readonly LogEntry[];
  /** Index-addressed entries, oldest first. */
  entries(): readonly LogEntry[];
  /** The values that a node has had, oldest first, equal neighbours merged. */
  history(id: string): readonly NodeChange[];
}
