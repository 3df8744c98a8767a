import { metaOf, type DisplayState } from "./display.js";
import type { FlowGraph } from "./graph.js";
import { insightOf, worstFirst, type Root } from "./insight.js";
import { lastHeard, REGION_SILENT, sayLastHeard, type RegionLease } from "./regions.js";
import { commandLine, offeredCommand } from "./shell.js";
import type { FlowNode } from "./types.js";

/** One root cause. */
export interface Problem {
  /** The node or region that it shows on. Two problems may show on one. */
  readonly id: string;
  /** Differs between any two problems of a flow, and stays while the problem does. */
  readonly key: string;
  /** First `id`, then every node that shows the same cause, for instance all that use one dead repository. */
  readonly ids: readonly string[];
  readonly label: string;
  readonly region: string;
  readonly display: DisplayState;
  readonly reason: string;
  /** As it came, for who wants it in full. */
  readonly message: string;
  readonly sentence: string;
  readonly command?: string;
  /** Downstream nodes that are not ready, nearest first. */
  readonly blocks: readonly string[];
  /** There may be more of them: a flow with many problems and many edges is not looked at to the end for each. */
  readonly blocksMore?: true;
  readonly since?: number;
  /** When its region was last heard of, where that is no longer so: all the rest is as it was then. */
  readonly heard?: number;
}

/** How long a region may be stale before that is a problem: a server that began anew is heard of again by then. */
const SILENT_AFTER_MS = 15_000;

/** What is wrong, one entry for each root cause, worst first; empty when all is well. */
export function problems(graph: FlowGraph, now: number): readonly Problem[] {
  const found = insightOf(graph, now).problems().map((root) => toProblem(graph, root));
  return [...found, ...troubledRegions(graph, now)].sort(worstFirst);
}

function troubledRegions(graph: FlowGraph, now: number): readonly Problem[] {
  return [...graph.state.regions].flatMap(([region, lease]) => {
    const found: Problem[] = [];
    const key = (reason: string): string => `region ${reason} ${region}`;
    const base = { id: region, ids: [region], label: graph.nodes.get(region)?.label ?? region, region: "", message: "", blocks: [] };
    if (lease.state === "stale" && now - lease.since > SILENT_AFTER_MS) {
      const sentence = `${base.label} was ${sayLastHeard(lease.heard, now)}, and what is shown of it is from then. Check that its adapter runs and that it reaches this server.`;
      found.push({ ...base, key: key(REGION_SILENT), display: "unconfirmed", reason: REGION_SILENT, sentence, ...given(EMITTERS), since: lease.heard });
    }
    if (lease.refused !== undefined) found.push({ ...base, key: key("cluster-refused"), display: "broken", reason: "cluster-refused", sentence: refusal(base.label, lease, lease.refused.cluster), ...given(WHICH_CLUSTER) });
    return found;
  });
}

/** Tells which of two clusters one is at. */
const WHICH_CLUSTER = commandLine`kubectl get namespace kube-system -o jsonpath={.metadata.uid}`;
const EMITTERS = commandLine`kubectl get pods -A -l app.kubernetes.io/name=openova-flow-emitter`;

function given(command: string | undefined): { readonly command?: string } {
  return command === undefined ? {} : { command };
}

function refusal(region: string, lease: RegionLease, refused: string): string {
  const one = `${region} is held by cluster ${lease.cluster}${lease.state === "stale" ? ", which is not heard of any more" : ""}. Cluster ${refused} claims it too and is refused.`;
  return lease.state === "fresh"
    ? `${one} Give one of the two another REGION_KEY; the command says which cluster is which.`
    : `${one} If it takes the place of the first, let an admin delete the region, which it then gets; else give it another REGION_KEY. The command says which cluster is which.`;
}

function toProblem(graph: FlowGraph, root: Root): Problem {
  const { command, final: _, ...rest } = root;
  const node = graph.nodes.get(root.id) as FlowNode;
  const heard = lastHeard(graph.state.regions, node.region);
  return {
    ...rest,
    key: `${root.reason} ${root.id}`,
    message: metaOf(node).message ?? "",
    ...given(command === undefined ? undefined : offeredCommand(command)),
    ...(heard === undefined ? {} : { heard }),
  };
}
