import { COMMANDS, subjectOf } from "./commands.js";
import { displayState, metaOf, missingDependencies, type DisplayContext, type DisplayState } from "./display.js";
import { explain } from "./explain.js";
import type { FlowGraph } from "./graph.js";
import { downstream } from "./queries.js";
import { knownUntil, lastHeard, NO_REGIONS, REGION_SILENT, sayLastHeard, type RegionLease } from "./regions.js";
import { commandLine } from "./shell.js";
import { compareBytes } from "./state.js";
import type { FlowNode, FluxMeta } from "./types.js";

/** One root cause. */
export interface Problem {
  /** The node or region that it shows on, the first of `ids`. Two problems may show on one. */
  readonly id: string;
  /** Differs between any two problems of a flow, and stays while the problem does. */
  readonly key: string;
  /** Every node that shows the same cause, for instance all that use one dead repository. */
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

const CYCLE = "DependencyCycle";
/** How many edges are looked at for all problems together, and for each of them at least, to tell what they block. */
const LOOKS = 200_000;
const LEAST_LOOKS = 10;

/** How long a deletion may take before it counts as stuck. */
const STUCK_AFTER_MS = 300_000;

interface Finding {
  readonly node: FlowNode;
  readonly display: DisplayState;
  /** Findings with the same cause are one problem. */
  readonly cause: string;
  readonly reason: string;
  readonly message: string;
  readonly sentence: string;
  readonly command?: string | undefined;
  readonly since: number | undefined;
}

/** What is wrong, one entry for each root cause, worst first; empty when all is well. */
export function problems(graph: FlowGraph, now: number): readonly Problem[] {
  const context = { nodes: graph.nodes, unconfirmed: graph.state.unconfirmed, regions: graph.state.regions, now };
  const byCause = new Map<string, Finding[]>();
  for (const id of graph.leaves) {
    const found = inspect(graph, graph.nodes.get(id) as FlowNode, context);
    if (found === null) continue;
    const same = byCause.get(found.cause);
    if (same === undefined) byCause.set(found.cause, [found]);
    else same.push(found);
  }
  return [...[...byCause.values()].map((f) => toProblem(graph, f, byCause.size)), ...cyclesAcross(graph, now), ...troubledRegions(graph, now)].sort(worstFirst);
}

/** How many edges of a cycle over regions its sentence names. */
const NAMED_EDGES = 4;

/**
 * A cycle over regions is one problem, of no region: which of its edges closed it cannot be told, so it names those between the regions and who
 * declares each. It counts only while each region says that a node of its own on the cycle waits: by edges alone a region could hold up another.
 */
function cyclesAcross(graph: FlowGraph, now: number): readonly Problem[] {
  const context = { nodes: graph.nodes, unconfirmed: graph.state.unconfirmed, regions: graph.state.regions, now };
  const regionOf = (id: string): string => graph.nodes.get(id)?.region ?? "";
  const labelOf = (id: string): string => graph.nodes.get(id)?.label ?? id;
  return graph.cyclesAcross.flatMap(({ ids, edges }) => {
    const waiting = ids.filter((id) => {
      const node = graph.nodes.get(id) as FlowNode;
      return !graph.isContainer(id) && displayState(node, { ...context, regions: NO_REGIONS, now: knownUntil(context.regions, node.region, now) }) === "waiting";
    });
    const regions = [...new Set(ids.map(regionOf))].sort(compareBytes);
    const first = waiting.find((id) => !graph.cyclic.has(id));
    if (first === undefined || regions.some((region) => !waiting.some((id) => regionOf(id) === region))) return [];
    const declared = edges.slice(0, NAMED_EDGES).map((e) => `${regionOf(e.to) || "no region"} declares that ${labelOf(e.to)} waits for ${labelOf(e.from)}`);
    const more = edges.length > declared.length ? `, and ${edges.length - declared.length} more edges` : "";
    const since = waiting.map((id) => metaOf(graph.nodes.get(id) as FlowNode).waitingSince).filter((ms) => ms !== undefined);
    return [
      {
        id: first,
        key: `cycles across ${ids[0]}`,
        ids: waiting,
        label: regions.map((region) => region || "no region").join(" and "),
        region: "",
        display: "waiting" as const,
        reason: CYCLE,
        message: "",
        sentence: `Releases of ${regions.length} regions wait for each other; none can ever start: ${declared.join(", ")}${more}.`,
        ...heldBy(graph, ids, graph.cyclesAcross.length),
        ...(since.length === 0 ? {} : { since: since.reduce((least, ms) => Math.min(least, ms)) }),
      },
    ];
  });
}

function troubledRegions(graph: FlowGraph, now: number): readonly Problem[] {
  return [...graph.state.regions].flatMap(([region, lease]) => {
    const found: Problem[] = [];
    const base = { id: region, ids: [region], label: graph.nodes.get(region)?.label ?? region, region: "", message: "", blocks: [] };
    const key = (reason: string): string => `region ${reason} ${region}`;
    if (lease.state === "stale" && now - lease.since > SILENT_AFTER_MS) {
      const sentence = `${base.label} was ${sayLastHeard(lease.heard, now)}, and what is shown of it is from then. Check that its adapter runs and that it reaches this server.`;
      found.push({ ...base, key: key(REGION_SILENT), display: "unconfirmed", reason: REGION_SILENT, sentence, command: EMITTERS, since: lease.heard });
    }
    if (lease.refused !== undefined) found.push({ ...base, key: key("ClusterRefused"), display: "broken", reason: "ClusterRefused", sentence: refusal(base.label, lease, lease.refused.cluster), command: WHICH_CLUSTER });
    return found;
  });
}

/** Tells which of two clusters one is at. */
const WHICH_CLUSTER = commandLine`kubectl get namespace kube-system -o jsonpath={.metadata.uid}` as string;
const EMITTERS = commandLine`kubectl get pods -A -l app.kubernetes.io/name=openova-flow-emitter` as string;

function refusal(region: string, lease: RegionLease, refused: string): string {
  const one = `${region} is held by cluster ${lease.cluster}${lease.state === "stale" ? ", which is not heard of any more" : ""}. Cluster ${refused} claims it too and is refused.`;
  return lease.state === "fresh"
    ? `${one} Give one of the two another REGION_KEY; the command says which cluster is which.`
    : `${one} If it takes the place of the first, let an admin delete the region, which it then gets; else give it another REGION_KEY. The command says which cluster is which.`;
}

function worstFirst(a: Problem, b: Problem): number {
  return (
    Number(neverEnds(b)) - Number(neverEnds(a)) || 
    b.blocks.length - a.blocks.length ||
    (a.since ?? 0) - (b.since ?? 0) ||
    compareBytes(a.id, b.id)
  );
}

/** Not just slow or held on purpose. */
function neverEnds(p: Problem): boolean {
  return p.display === "broken" || p.reason === CYCLE;
}

function inspect(graph: FlowGraph, node: FlowNode, present: DisplayContext): Finding | null {
  const meta = metaOf(node);
  // What was wrong when its region was last heard of has not gone since, as far as anybody knows.
  const context = { ...present, regions: NO_REGIONS, now: knownUntil(present.regions, node.region, present.now) };
  const display = displayState(node, context);
  switch (display) {
    case "broken":
      return broken(node, meta, context);
    case "terminating":
      return terminating(node, meta, context.now);
    case "suspended":
      return node.status === "succeeded" || heldBy(graph, [node.id], graph.leaves.length).blocks.length === 0 ? null : suspended(node, meta);
    case "waiting":
      return graph.cyclic.has(node.id) ? cycle(graph, node, meta) : null;
    default:
      return null;
  }
}

function broken(node: FlowNode, meta: FluxMeta, context: DisplayContext): Finding {
  const region = node.region ?? "";
  const missing = node.status === "failed" ? [] : missingDependencies(node, context);
  const first = missing[0];
  if (first !== undefined) {
    return {
      node,
      display: "broken",
      cause: `missing ${region} ${first}`,
      reason: "DependencyNotReady",
      message: meta.message ?? "",
      sentence: `${node.label} waits for ${first}, which does not exist.`,
      command: COMMANDS.get(subjectOf(meta, nameOf(first))),
      since: meta.waitingSince ?? meta.reasonSince,
    };
  }
  const reason = meta.reason ?? meta.stalledReason ?? node.status;
  const message = meta.message ?? meta.stalledMessage ?? "";
  const told = explain(reason, message, meta, node.label);
  const source = meta.source;
  const sharesSource = node.status !== "failed" && source?.name !== undefined && source.ready !== undefined && source.ready !== "True";
  return {
    node,
    display: "broken",
    cause: sharesSource ? `source ${region} ${source.kind} ${source.namespace}/${source.name}` : `node ${node.id}`,
    reason,
    message,
    sentence: told.sentence,
    command: told.command,
    since: node.status === "failed" ? (node.endedAt ?? meta.reasonSince) : meta.reasonSince,
  };
}

function terminating(node: FlowNode, meta: FluxMeta, now: number): Finding | null {
  const since = meta.deletingSince ?? now;
  if (now - since <= STUCK_AFTER_MS) return null;
  const held = meta.finalizers?.length ? `; it is held by ${meta.finalizers.join(", ")}` : "";
  return {
    node,
    display: "terminating",
    cause: `node ${node.id}`,
    reason: "Terminating",
    message: meta.message ?? "",
    sentence: `${node.label} has been going away for over five minutes${held}.`,
    command: COMMANDS.look(subjectOf(meta, node.label)),
    since,
  };
}

function suspended(node: FlowNode, meta: FluxMeta): Finding {
  return {
    node,
    display: "suspended",
    cause: `node ${node.id}`,
    reason: "Suspended",
    message: meta.message ?? "",
    sentence: `${node.label} is suspended and not ready, and others wait for it.`,
    command: COMMANDS.resume(subjectOf(meta, node.label)),
    since: meta.reasonSince,
  };
}

function cycle(graph: FlowGraph, node: FlowNode, meta: FluxMeta): Finding {
  const members = graph.cycleOf(node.id);
  const named = members.slice(0, 5).map((id) => graph.nodes.get(id)?.label ?? id);
  const more = members.length > named.length ? ` and ${members.length - named.length} more` : "";
  return {
    node,
    display: "waiting",
    cause: `cycle ${members[0]}`,
    reason: CYCLE,
    message: meta.message ?? "",
    sentence:
      members.length === 1
        ? `${node.label} depends on itself and can never start.`
        : `${named.join(", ")}${more} wait for each other; none can ever start.`,
    command: COMMANDS.dependsOn(subjectOf(meta, node.label)),
    since: meta.waitingSince,
  };
}

function nameOf(id: string): string {
  return id.slice(id.lastIndexOf("/") + 1);
}

/** Who is not ready and comes after some nodes, with the share of what may be looked at that is each one's of `count` questions. */
function heldBy(graph: FlowGraph, ids: readonly string[], count: number): Pick<Problem, "blocks" | "blocksMore"> {
  const { ids: after, more } = downstream(graph, ids, Math.max(LEAST_LOOKS, LOOKS / count));
  const blocks = after.filter((id) => graph.nodes.get(id)?.status !== "succeeded" && !graph.isContainer(id));
  return more ? { blocks, blocksMore: true } : { blocks };
}

function toProblem(graph: FlowGraph, found: readonly Finding[], problemCount: number): Problem {
  const first = found[0] as Finding;
  const ids = found.map((f) => f.node.id);
  const since = found.reduce<number | undefined>((least, f) => (f.since === undefined || (least ?? f.since) < f.since ? least : f.since), undefined);
  const heard = lastHeard(graph.state.regions, first.node.region);
  return {
    id: first.node.id,
    key: first.cause,
    ids,
    label: first.node.label,
    region: first.node.region ?? "",
    display: first.display,
    reason: first.reason,
    message: first.message,
    sentence: first.sentence,
    ...(first.command === undefined ? {} : { command: first.command }),
    ...heldBy(graph, ids, problemCount),
    ...(since === undefined ? {} : { since }),
    ...(heard === undefined ? {} : { heard }),
  };
}
