import { metaOf } from "../graph/display.js";
import type { FlowGraph } from "../graph/graph.js";

interface Named {
  readonly id: string;
  readonly label: string;
  readonly region?: string | undefined;
}

interface Names {
  readonly byId: ReadonlyMap<string, string>;
  /** The key that a name belongs to; empty if the name is ambiguous. */
  readonly owners: ReadonlyMap<string, string>;
  readonly regions: number;
}

const kept = new WeakMap<FlowGraph, Names>();

/** The id without its region, so that it is the same in every region. If the id does not begin with its region, the label. */
export function keyOf({ id, label, region = "" }: Named): string {
  return region !== "" && id.startsWith(`${region}/`) ? id.slice(region.length + 1) : label;
}

/**
 * The shortest unambiguous name, without the region: the label, otherwise with namespace, otherwise also with kind, otherwise the id. A
 * release takes precedence over a source. An id that does not exist is named by its last part or two, if no node has that name.
 */
export function nameOf(graph: FlowGraph, id: string): string {
  const { byId, owners } = namesOf(graph);
  const known = byId.get(id);
  if (known !== undefined) return known;
  const parts = id.split("/");
  return [-1, -2].map((n) => parts.slice(n).join("/")).find((name) => name !== "" && !owners.has(name)) ?? id;
}

/** The name, with the node's region in front if the flow has several regions, unless the node is the region's own or the name is an id that begins with it. */
export function fullNameOf(graph: FlowGraph, id: string): string {
  const region = graph.nodes.get(id)?.region ?? "", name = nameOf(graph, id);
  return region === "" || region === id || namesOf(graph).regions < 2 || (name === id && id.startsWith(`${region}/`)) ? name : `${region}/${name}`;
}

function namesOf(graph: FlowGraph): Names {
  let names = kept.get(graph);
  if (names === undefined) kept.set(graph, (names = makeNames(graph)));
  return names;
}

function makeNames(graph: FlowGraph): Names {
  const regions = new Set<string>(), seen = new Map<string, string>(), keys = new Map<string, string>();
  for (const [id, node] of graph.nodes) {
    const region = node.region ?? "", key = keyOf(node), regionAndKey = `${region}\0${key}`;
    regions.add(region);
    const twin = seen.get(regionAndKey);
    // Nodes of one region with the same key are distinguished by their ids.
    keys.set(id, twin === undefined ? key : id);
    if (twin === undefined) seen.set(regionAndKey, id);
    else keys.set(twin, twin);
  }
  const byId = new Map<string, string>(), owners = new Map<string, string>();
  for (const isAuxiliary of [false, true]) {
    const rows = [...graph.nodes.values()].filter((n) => graph.isAuxiliary(n.id) === isAuxiliary).map((node) => {
      const { id, label } = node, { namespace, kind } = metaOf(node);
      const withSpace = namespace === undefined ? label : `${namespace}/${label}`;
      return { id, key: keys.get(id) as string, names: [label, withSpace, `${kind ?? ""} ${withSpace}`] };
    });
    for (const { key, names } of rows) for (const name of names) owners.set(name, (owners.get(name) ?? key) === key ? key : "");
    for (const { id, key, names } of rows) byId.set(id, names.find((name) => owners.get(name) === key) ?? id);
  }
  return { byId, owners, regions: regions.size };
}
