import { metaOf } from "../graph/display.js";
import type { FlowGraph } from "../graph/graph.js";

/** Where the manifest of a node is stored: `apps/prod of GitRepository flux-system/fleet`. Undefined if unknown. */
export function originOf(graph: FlowGraph, id: string): string | undefined {
  const node = graph.nodes.get(id);
  const own = node === undefined ? {} : metaOf(node);
  // The manifest of a release is where the Kustomization that applied it comes from. Its own source has only
  // its chart.
  const keeper = own.kind === "Kustomization" ? node : graph.nodes.get(own.appliedBy ?? "");
  const { path, source } = keeper === undefined ? {} : metaOf(keeper);
  if (source?.name === undefined) return undefined;
  const from = [source.kind, [source.namespace, source.name].filter((t) => t !== undefined).join("/")].filter((t) => t !== undefined).join(" ");
  return path === undefined ? from : `${path} of ${from}`;
}
