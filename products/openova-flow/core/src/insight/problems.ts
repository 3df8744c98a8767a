import { metaOf, type DisplayState } from "../graph/display.js";
import type { FlowGraph } from "../graph/graph.js";
import { judgedAt, judgementOf } from "../graph/judgement.js";
import { insightOf, worstFirst, type Root } from "./insight.js";
import { knownUntil, lastSeen, REGION_STALE, lastSeenText, type RegionLease } from "../contract/regions.js";
import { originOf } from "./origin.js";
import { fullNameOf, nameOf } from "../words/names.js";
import { commandLine, offeredCommand } from "../words/shell.js";
import type { FlowNode } from "../contract/types.js";

/** A root cause, or the problem of a region. */
export interface Problem {
  /** The node or region to show it on. Several problems may have the same. */
  readonly id: string;
  /** Unique within a flow. */
  readonly key: string;
  /** `id` first, then all nodes with the same cause, for instance all users of one failed repository. */
  readonly ids: readonly string[];
  /** The shortest unambiguous name, without the region; for a cycle across regions, the names of these. */
  readonly label: string;
  /** The label, with the region in front where it is needed. */
  readonly name: string;
  readonly region: string;
  readonly display: DisplayState;
  readonly reason: string;
  /** The `message` in the node's meta; empty if there is none. */
  readonly message: string;
  readonly sentence: string;
  readonly command?: string;
  /** Set if only a change of manifest, chart or values helps: where these are stored, or empty if unknown. */
  readonly inGit?: string;
  /** Ids of the nodes that wait for `ids`, directly or through others, nearest first. */
  readonly blocks: readonly string[];
  /** `blocks` may be incomplete, because the search reached its limit. */
  readonly blocksMore?: true;
  readonly since?: number;
  /** When the region of node `id` was last seen, if that is stale: the state of the node is as of then. */
  readonly lastSeen?: number;
}

/** How long a region may be stale before that is a problem. After a restart of the server, emitters report within this time. */
const STALE_AFTER_MS = 15_000;

/** All problems of a flow and its regions, worst first. */
export function problems(graph: FlowGraph, now: number): readonly Problem[] {
  const found = insightOf(graph, now).problems().map((root) => toProblem(graph, root, now));
  return [...found, ...regionProblems(graph, now)].sort(worstFirst);
}

function regionProblems(graph: FlowGraph, now: number): readonly Problem[] {
  return [...graph.state.regions].flatMap(([region, lease]) => {
    const found: Problem[] = [];
    const key = (reason: string): string => JSON.stringify(["region", reason, region]);
    const label = graph.nodes.get(region)?.label ?? region;
    const base = { id: region, ids: [region], label, name: label, region: "", message: "", blocks: [] };
    if (lease.state === "stale" && now - lease.since > STALE_AFTER_MS) {
      const sentence = `${base.label} was ${lastSeenText(lease.heard, now)}, and its state is as of then. Check that its adapter runs and can reach this server.`;
      found.push({ ...base, key: key(REGION_STALE), display: "unconfirmed", reason: REGION_STALE, sentence, ...commandField(LIST_EMITTERS), since: lease.heard });
    }
    if (lease.refused !== undefined) found.push({ ...base, key: key("cluster-refused"), display: "broken", reason: "cluster-refused", sentence: refusal(base.label, lease, lease.refused.cluster), ...commandField(PRINT_CLUSTER_ID) });
    return found;
  });
}

const PRINT_CLUSTER_ID = commandLine`kubectl get namespace kube-system -o jsonpath={.metadata.uid}`;
const LIST_EMITTERS = commandLine`kubectl get pods -A -l app.kubernetes.io/name=openova-flow-emitter`;

function commandField(command: string | undefined): { readonly command?: string } {
  return command === undefined ? {} : { command };
}

function refusal(region: string, lease: RegionLease, refused: string): string {
  const one = `${region} is held by cluster ${lease.cluster}${lease.state === "stale" ? "; its claim has expired" : ""}. Cluster ${refused} also claims it and is refused.`;
  return lease.state === "fresh"
    ? `${one} Give one of the two another REGION_KEY. The command prints the id of a cluster.`
    : `${one} If it replaces the first, let an admin delete the region; the new cluster then gets it. Otherwise give it another REGION_KEY. The command prints the id of a cluster.`;
}

function toProblem(graph: FlowGraph, root: Root, now: number): Problem {
  const { command: offered, final: _, ...rest } = root;
  const node = graph.nodes.get(root.id) as FlowNode;
  const seen = lastSeen(graph.state.regions, node.region);
  const judged = judgedAt(judgementOf(node), knownUntil(graph.state.regions, node.region, now));
  const isInGit = judged.inGit === true && judged.class === root.reason;
  return {
    ...rest,
    key: JSON.stringify([root.reason, root.id]),
    // Only a cycle across regions has another label than its root.
    ...(root.label !== node.label ? { label: root.label, name: root.label } : { label: nameOf(graph, root.id), name: fullNameOf(graph, root.id) }),
    message: metaOf(node).message ?? "",
    ...commandField(offered === undefined ? undefined : offeredCommand(offered)),
    ...(isInGit ? { inGit: originOf(graph, root.id) ?? "" } : {}),
    ...(seen === undefined ? {} : { lastSeen: seen }),
  };
}
