import { metaOf, type FlowNode } from "@openova/flow-core";
import type { Component } from "svelte";

/** A view of a flow. All but the graph load on demand. */
export interface View {
  readonly id: string;
  readonly name: string;
  readonly key: string;
  /** The component takes the flow's model. Its type is not imported, since the model imports route.ts, which imports this file. */
  readonly load?: () => Promise<{ default: Component<{ model: never }> }>;
  /** Whether it has anything to show; default: always. */
  readonly needs?: (model: { readonly regions: readonly string[]; readonly searchable: readonly FlowNode[] }) => boolean;
}

/** The kinds of sources whose revisions the server follows, and the kind that applies them. */
const HAVE_REVISIONS = /^(GitRepository|OCIRepository|Bucket|ExternalArtifact|Kustomization)$/;

/** In the order of the toolbar. */
export const VIEWS = [
  { id: "graph", name: "Graph", key: "g" },
  { id: "timeline", name: "Timeline", key: "t", load: () => import("../views/Timeline.svelte") },
  { id: "table", name: "Table", key: "l", load: () => import("../views/Table.svelte") },
  { id: "matrix", name: "Matrix", key: "m", load: () => import("../views/Matrix.svelte"), needs: (model) => model.regions.length > 1 },
  { id: "rollouts", name: "Rollouts", key: "r", load: () => import("../views/Rollouts.svelte") },
  { id: "revisions", name: "Revisions", key: "v", load: () => import("../views/Revisions.svelte"), needs: (model) => model.searchable.some((n) => HAVE_REVISIONS.test(metaOf(n).kind ?? "")) },
] as const satisfies readonly View[];

export type ViewId = (typeof VIEWS)[number]["id"];
