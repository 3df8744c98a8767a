import { objectOf } from "../contract/object-id.js";
import { metaOf } from "./display.js";
import type { FlowGraph } from "./graph.js";

/** Whether an object with this id would be in the flow if it existed: whether the region's adapter watches its kind and namespace. */
export function isWatched(graph: FlowGraph, id: string): boolean {
  const region = id.slice(0, Math.max(0, id.indexOf("/")));
  const object = objectOf(region, id);
  if (object === undefined) return true;
  const node = graph.nodes.get(region);
  const { namespaces = ["*"], notWatched = [] } = node === undefined ? {} : metaOf(node);
  if (notWatched.some((n) => n.kind === object.kind)) return false;
  if (!namespaces.includes("*") && !namespaces.includes(object.namespace)) return false;
  // Some recordings have no `notWatched`, so a kind counts as watched only if the region has a node of it.
  return object.kind === "HelmRelease" || [...graph.nodes.values()].some((n) => n.region === region && metaOf(n).kind === object.kind);
}
