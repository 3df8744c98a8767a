import { displayChangesAt, displayState, type DisplayState } from "../graph/display.js";
import type { NodeChange } from "../fold/log.js";

/** A period in which a node had one display state. */
export interface Segment {
  readonly from: number;
  readonly to: number;
  readonly display: DisplayState;
}

/** The bars of a timeline: the display states of a node over time, from its history (`EventLog.history`) up to `now`. */
export function segments(history: readonly NodeChange[], nodes: { has(id: string): boolean }, now: number): readonly Segment[] {
  const result: Segment[] = [];
  const existing = { has: (id: string) => nodes.has(id) }; // without `get`: the states of other nodes in the past are unknown
  const add = (from: number, to: number, display: DisplayState): void => {
    const last = result.at(-1);
    if (last !== undefined && last.display === display && last.to === from) result[result.length - 1] = { ...last, to };
    else if (to > from) result.push({ from, to, display });
  };
  history.forEach(({ at, node }, i) => {
    const end = Math.min(now, history[i + 1]?.at ?? now);
    if (node === null) return;
    for (let from = at; from < end; ) {
      const context = { nodes: existing, now: from };
      const to = Math.min(end, displayChangesAt(node, context));
      add(from, to, displayState(node, context));
      from = to;
    }
  });
  return result;
}
