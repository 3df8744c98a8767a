import type { DisplayContext, DisplayState } from "./display.js";
import type { FlowNode } from "./types.js";

export interface SearchHit {
  readonly node: FlowNode;
  readonly score: number;
}
/** The nodes that match every word of the query, best first. An empty query matches nothing. */
export declare function search(nodes: Iterable<FlowNode>, query: string): readonly SearchHit[];

export interface Filter {
  readonly query?: string;
  readonly displays?: ReadonlySet<DisplayState>;
  readonly regions?: ReadonlySet<string>;
  readonly families?: ReadonlySet<string>;
}
export declare function isEmptyFilter(filter: Filter): boolean;
/** A predicate for a filter: every part that is given must hold. */
export declare function matcher(filter: Filter, context: DisplayContext): (node: FlowNode) => boolean;
