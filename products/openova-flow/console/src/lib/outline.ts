import { metaOf, type DisplayState, type FlowNode } from "@openova/flow-core";

export interface OutlineRow {
  readonly key: string;
  /** 1: regions. 2: releases or namespaces. 3: releases of namespaces. */
  readonly level: 1 | 2 | 3;
  readonly region: string;
  readonly label: string;
  /** The node of the line; null for a namespace and for a region without a node. */
  readonly id: string | null;
  /** Its position among its siblings, from 1. */
  readonly position: number;
  readonly size: number;
  /** For regions and namespaces only. */
  readonly isOpen?: boolean;
  readonly counts?: ReadonlyMap<DisplayState, number>;
}

/** With more releases, regions and namespaces start closed. */
const OPEN_UP_TO = 300;

export interface OutlineInput {
  readonly nodes: readonly FlowNode[];
  readonly displays: ReadonlyMap<string, DisplayState>;
  readonly name: (id: string) => string;
  /** The ids of the regions' nodes, by region. */
  readonly regionIds: ReadonlyMap<string, string>;
  /** Groups by namespace, even if names are unambiguous without it. */
  readonly byNamespace?: boolean;
  /** The keys of lines that the user opened or closed. */
  readonly toggled: ReadonlySet<string>;
}

/**
 * The visible lines: regions by name, and below each open region its releases by name. A region's releases are grouped by namespace if
 * `byNamespace` is set, or if the name of one of them contains its namespace.
 */
export function outline(input: OutlineInput): readonly OutlineRow[] {
  const openAtFirst = input.nodes.length <= OPEN_UP_TO;
  const rows: OutlineRow[] = [];
  /** Adds the line of a group; returns whether it is open. */
  const group = (row: Pick<OutlineRow, "key" | "level" | "region" | "label" | "id" | "position" | "size">, nodes: readonly FlowNode[]): boolean => {
    const isOpen = openAtFirst !== input.toggled.has(row.key);
    rows.push({ ...row, isOpen, counts: count(nodes, input.displays) });
    return isOpen;
  };
  const releases = (region: string, level: 2 | 3, nodes: readonly FlowNode[], name: (n: FlowNode) => string): void => {
    const sorted = nodes.map((n) => ({ id: n.id, label: name(n) })).sort((a, b) => compare(a.label, b.label) || compare(a.id, b.id));
    sorted.forEach(({ id, label }, i) => rows.push({ key: `node ${id}`, level, region, label, id, position: i + 1, size: sorted.length }));
  };
  const namespaceOf = (n: FlowNode): string => metaOf(n).namespace ?? "";
  const regions = grouped(input.nodes, (n) => n.region ?? "");
  regions.forEach(([region, nodes], i) => {
    const label = region === "" ? "no region" : region;
    if (!group({ key: `region ${region}`, level: 1, region, label, id: input.regionIds.get(region) ?? null, position: i + 1, size: regions.length }, nodes)) return;
    if (!input.byNamespace && !nodes.some((n) => input.name(n.id) === `${namespaceOf(n)}/${n.label}`)) return releases(region, 2, nodes, (n) => input.name(n.id));
    const namespaces = grouped(nodes, namespaceOf);
    namespaces.forEach(([namespace, within], j) => {
      const isOpen = group({ key: `namespace ${region}/${namespace}`, level: 2, region, label: namespace === "" ? "no namespace" : namespace, id: null, position: j + 1, size: namespaces.length }, within);
      // Does not repeat the namespace of the line above.
      if (isOpen) releases(region, 3, within, (n) => (input.name(n.id) === `${namespace}/${n.label}` ? n.label : input.name(n.id)));
    });
  });
  return rows;
}

function grouped(nodes: readonly FlowNode[], key: (n: FlowNode) => string): readonly (readonly [string, readonly FlowNode[]])[] {
  const groups = new Map<string, FlowNode[]>();
  for (const n of nodes) {
    const list = groups.get(key(n));
    if (list === undefined) groups.set(key(n), [n]);
    else list.push(n);
  }
  return [...groups].sort(([a], [b]) => compare(a, b));
}

function count(nodes: readonly FlowNode[], displays: ReadonlyMap<string, DisplayState>): ReadonlyMap<DisplayState, number> {
  const counts = new Map<DisplayState, number>();
  for (const n of nodes) {
    const display = displays.get(n.id);
    if (display !== undefined) counts.set(display, (counts.get(display) ?? 0) + 1);
  }
  return counts;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
