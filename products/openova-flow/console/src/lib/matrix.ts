import { keyOf, type DisplayState, type FlowNode } from "@openova/flow-core";
import { versionOf } from "./rows.js";

export interface Cell {
  readonly node: FlowNode;
  readonly display: DisplayState;
  readonly version: string;
  /** It differs from the most frequent version. */
  readonly otherVersion: boolean;
  readonly otherState: boolean;
}
export interface MatrixRow {
  /** The same in every region. */
  readonly key: string;
  readonly name: string;
  /** By region, without the regions that lack the release. */
  readonly cells: ReadonlyMap<string, Cell>;
  /** The regions differ in version or state, or one lacks it. */
  readonly differs: boolean;
}

/** Each release in all regions, by name. States that are not confirmed, or are of stale regions, are not compared. */
export function matrix(
  nodes: readonly FlowNode[],
  displays: ReadonlyMap<string, DisplayState>,
  regions: readonly string[],
  name: (id: string) => string,
  isStale: (region: string) => boolean,
): readonly MatrixRow[] {
  const byKey = new Map<string, FlowNode[]>();
  for (const n of nodes) {
    const list = byKey.get(keyOf(n));
    if (list === undefined) byKey.set(keyOf(n), [n]);
    else list.push(n);
  }
  const isKnown = (n: FlowNode): boolean => displays.get(n.id) !== "unconfirmed" && !isStale(n.region ?? "");
  return [...byKey]
    .map(([key, list]) => {
      const version = most(list.map(versionOf));
      const state = most(list.filter(isKnown).map((n) => displays.get(n.id) ?? "working"));
      const cells = new Map<string, Cell>();
      for (const node of list) {
        const display = displays.get(node.id) ?? "working";
        const cell = { node, display, version: versionOf(node), otherVersion: versionOf(node) !== version, otherState: isKnown(node) && display !== state };
        const other = cells.get(node.region ?? "");
        // If two releases of a region share a cell, it shows one whose state differs.
        if (other === undefined || (!other.otherState && cell.otherState)) cells.set(node.region ?? "", cell);
      }
      const differs = cells.size < regions.length || [...cells.values()].some((c) => c.otherVersion || c.otherState);
      return { key, name: name((list[0] as FlowNode).id), cells, differs };
    })
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** The most frequent value; the first of several. */
function most<T>(values: readonly T[]): T | undefined {
  const counts = new Map<T, number>();
  for (const v of values) counts.set(v, (counts.get(v) ?? 0) + 1);
  let best: T | undefined;
  for (const [v, n] of counts) if (best === undefined || n > (counts.get(best) ?? 0)) best = v;
  return best;
}
