import type { DisplayState, FlowNode } from "@openova/flow-core";

/** One line of the outline. */
export interface OutlineRow {
  readonly key: string;
  readonly level: 1 | 2;
  readonly region: string;
  readonly label: string;
  /** The node that the line stands for; null for a region that has no node of its own. */
  readonly id: string | null;
  /** Its place among its siblings, from 1. */
  readonly position: number;
  readonly size: number;
  /** For a region. */
  readonly isOpen?: boolean;
  readonly counts?: ReadonlyMap<DisplayState, number>;
}

/** More releases than this and the regions start closed. */
const OPEN_UP_TO = 300;

export interface OutlineInput {
  readonly nodes: readonly FlowNode[];
  readonly displays: ReadonlyMap<string, DisplayState>;
  /** The id of a region's own node, by region. */
  readonly regionIds: ReadonlyMap<string, string>;
  /** Regions opened or closed by hand. */
  readonly toggled: ReadonlySet<string>;
}

/** The lines that are to be seen: regions by name, and below each open one its releases by label. */
export function outline(input: OutlineInput): readonly OutlineRow[] {
  const byRegion = new Map<string, FlowNode[]>();
  for (const n of input.nodes) {
    const list = byRegion.get(n.region ?? "");
    if (list === undefined) byRegion.set(n.region ?? "", [n]);
    else list.push(n);
  }
  const regions = [...byRegion.keys()].sort(compare);
  const openAtFirst = input.nodes.length <= OPEN_UP_TO;
  const rows: OutlineRow[] = [];
  regions.forEach((region, i) => {
    const nodes = byRegion.get(region) ?? [];
    const isOpen = openAtFirst !== input.toggled.has(region);
    const counts = new Map<DisplayState, number>();
    for (const n of nodes) {
      const display = input.displays.get(n.id);
      if (display !== undefined) counts.set(display, (counts.get(display) ?? 0) + 1);
    }
    rows.push({
      key: `region ${region}`,
      level: 1,
      region,
      label: region === "" ? "no region" : region,
      id: input.regionIds.get(region) ?? null,
      position: i + 1,
      size: regions.length,
      isOpen,
      counts,
    });
    if (!isOpen) return;
    const sorted = nodes.sort((a, b) => compare(a.label, b.label) || compare(a.id, b.id));
    sorted.forEach((n, j) => rows.push({ key: `node ${n.id}`, level: 2, region, label: n.label, id: n.id, position: j + 1, size: sorted.length }));
  });
  return rows;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
