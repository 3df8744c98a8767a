import type { FlowNode, FluxMeta } from "./types.js";

/** Worst first. */
export const DISPLAY_STATES = [
  "broken",
  "terminating",
  "waiting",
  "working",
  "not-started",
  "suspended",
  "unconfirmed",
  "ready",
] as const;
/** What a person sees: computed from wire status and meta. */
export type DisplayState = (typeof DISPLAY_STATES)[number];

/** What a display state depends on besides the node. A FlowState plus `now` is one. */
export interface DisplayContext {
  readonly nodes: { has(id: string): boolean };
  readonly unconfirmed?: ReadonlySet<string>;
  readonly now: number;
}
/** How long a reason that usually passes must last before it counts as broken. */
export const BROKEN_AFTER_MS = 60_000;

export type DisplayCounts = Readonly<Record<DisplayState, number>>;

/** `meta` as the Flux adapter writes it; a field of another type is left out. The same object for the same node. */
export declare function metaOf(node: FlowNode): FluxMeta;
export declare function displayState(node: FlowNode, context: DisplayContext): DisplayState;
/** When, after `context.now`, time alone changes the display state; Infinity if it does not. */
export declare function displayChangesAt(node: FlowNode, context: DisplayContext): number;
/** Nothing goes on and nothing is waited for: ready, broken or suspended. */
export declare function isSettled(display: DisplayState): boolean;
export declare function countByDisplay(nodes: Iterable<FlowNode>, context: DisplayContext): DisplayCounts;

export interface NodeTimes {
  readonly waitingMs: number;
  readonly workingMs: number;
}
/** Waiting split from working, of the present run, up to `now`. */
export declare function times(node: FlowNode, now: number): NodeTimes;
