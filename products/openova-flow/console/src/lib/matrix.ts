import type { DisplayState, FlowNode } from "@openova/flow-core";
import { versionOf } from "./rows.js";

export interface Cell {
  readonly node: FlowNode;
  readonly display: DisplayState;
  readonly version: string;
  /** It differs from what most regions have. */
  readonly otherVersion: boolean;
  readonly otherState: boolean;
}
export interface MatrixRow {
  readonly label: string;
  /** By region; a region that does not have the release is not there. */
  readonly cells: ReadonlyMap<string, Cell>;
  /** Not all regions are alike: versions, states, or one that lacks it. */
  readonly differs: boolean;
}

/** Each release side by side over the regions, by label. */
export function matrix(nodes: readonly FlowNode[], displays: ReadonlyMap<string, DisplayState>, regions: readonly string[]): readonly MatrixRow[] {
  const byLabel = new Map<string, FlowNode[]>();
  for (const n of nodes) {
    const list = byLabel.get(n.label);
    if (list === undefined) byLabel.set(n.label, [n]);
    else list.push(n);
  }
  return [...byLabel]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([label, list]) => {
      const version = most(list.map(versionOf));
      // Of what is unconfirmed nobody knows whether it differs.
      const state = most(list.map((n) => displays.get(n.id) ?? "working").filter((d) => d !== "unconfirmed"));
      const cells = new Map<string, Cell>();
      for (const node of list) {
        const display = displays.get(node.id) ?? "working";
        const cell = { node, display, version: versionOf(node), otherVersion: versionOf(node) !== version, otherState: display !== "unconfirmed" && display !== state };
        const there = cells.get(node.region ?? "");
        // Two of one name in a region share its cell: the one that is not as the others shows.
        if (there === undefined || (!there.otherState && cell.otherState)) cells.set(node.region ?? "", cell);
      }
      const differs = cells.size < regions.length || [...cells.values()].some((c) => c.otherVersion || c.otherState);
      return { label, cells, differs };
    });
}

/** The value that comes up most often, the first of them where several do. */
function most<T>(values: readonly T[]): T | undefined {
  const counts = new Map<T, number>();
  for (const v of values) counts.set(v, (counts.get(v) ?? 0) + 1);
  let best: T | undefined;
  for (const [v, n] of counts) if (best === undefined || n > (counts.get(best) ?? 0)) best = v;
  return best;
}
