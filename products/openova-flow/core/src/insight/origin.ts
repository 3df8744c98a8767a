import { metaOf } from "../graph/display.js";
import type { FlowGraph } from "../graph/graph.js";

/**
 * Where the manifest of a node is stored, or for a Kustomization the manifests that it applies: `apps/prod of GitRepository
 * flux-system/fleet`. Undefined if unknown.
 */
export function originOf(graph: FlowGraph, id: string): string | undefined {
  const node = graph.nodes.get(id);
  const own = node === undefined ? {} : metaOf(node);
  // The manifest of a release is in the source of the Kustomization that applied it. The release's own source has only its chart.
  const applier = own.kind === "Kustomization" ? node : graph.nodes.get(own.appliedBy ?? "");
  const { path, source } = applier === undefined ? {} : metaOf(applier);
  if (source?.name === undefined) return undefined;
  const from = [source.kind, [source.namespace, source.name].filter((t) => t !== undefined).join("/")].filter((t) => t !== undefined).join(" ");
  return path === undefined ? from : `${path} of ${from}`;
}
