import { judgementOf, metaOf, type DisplayState, type FlowGraph, type FlowNode, type RevisionRegion, type Revision, type RevisionState, type Rollout } from "@openova/flow-core";
import { duration } from "./format.js";
import type { Route } from "./route.js";

/** The mark of a state, as that of the display state that is most like it. */
export const MARKS: Readonly<Record<RevisionState, DisplayState>> = {
  fetched: "waiting",
  applying: "working",
  "rolling-out": "working",
  done: "ready",
  failed: "broken",
  overtaken: "suspended",
};

const SHORT = 8;

/** The digits of a commit or digest in a revision as Flux writes it, and the name before a digest; no digits in a chart version. */
function partsOf(revision: string): { readonly name: string; readonly hash: string } | null {
  const [, name = "", digest, hash] = /^(?:(.+)[@/])?(sha\d+:)?([0-9a-f]{12,})$/.exec(revision) ?? [];
  return hash === undefined ? null : { name: digest === "sha256:" ? name : "", hash };
}

/** What a person calls a revision: the start of its commit, a digest with its tag, or a version. */
export function shortRevision(revision: string): string {
  const parts = partsOf(revision);
  if (parts === null) return revision;
  return `${parts.name === "" ? "" : `${parts.name}@`}${parts.hash.slice(0, SHORT)}`;
}

export function shortOf(r: Revision): string {
  return shortRevision(r.commit ?? r.revision);
}

/** What a link calls it by. */
export function linkOf(r: Revision): string {
  return r.commit ?? r.revision;
}

/** Whether a text may be the start of a commit. */
export function isDigits(text: string): boolean {
  return /^[0-9a-f]{4,64}$/i.test(text);
}

/** The whole commit or digest in a revision that begins with these digits. */
export function commitLike(revision: string | undefined, digits: string): string | undefined {
  const hash = partsOf(revision ?? "")?.hash;
  return hash?.startsWith(digits.toLowerCase()) === true ? hash : undefined;
}

/** Whether a link or a search means it: by the whole revision, or by the first four or more digits of its commit or digest. */
export function isNamed(r: Revision, text: string): boolean {
  if (text === r.id || text === r.revision || text === r.originRevision) return true;
  const digits = partsOf(text)?.hash ?? text;
  return isDigits(digits) && [r.commit, r.revision].some((revision) => commitLike(revision, digits) !== undefined);
}

/** How far it was at an instant in one source of a region; undefined before it was seen there. Counts of a time that is past are not known. */
export function sourceAt(g: RevisionRegion, at: number | null): RevisionRegion | undefined {
  if (at === null || (g.endedAt ?? Infinity) <= at) return g;
  const { region, sourceId, firstSeenAt, appliedAt = Infinity, stale, state, was = state } = g;
  if (firstSeenAt > at) return undefined;
  return { region, sourceId, firstSeenAt, stale, state: appliedAt <= at ? "rolling-out" : was === "fetched" ? was : "applying", ...UNKNOWN };
}
const UNKNOWN = { applied: 0, of: 0, kustomizations: [], changed: 0, ready: 0, failed: 0, releases: [], rootCauses: [] };

/** How far it was in a region: of each source that follows it there, what is to be looked at first. None before it was seen. */
export function regionAt(r: Revision, region: string, at: number | null): readonly RevisionRegion[] {
  const then = r.regions.flatMap((g) => (g.region === region ? (sourceAt(g, at) ?? []) : []));
  return then.length < 2 ? then : then.sort((a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state));
}

/** What is to be looked at first. */
export const ORDER: readonly (RevisionState | undefined)[] = ["failed", "applying", "rolling-out", "fetched", "overtaken", "done", undefined];

/** The words of a cell. `names` gives what a person calls a node, `shorts` a revision by its id. */
export function sayRegion(g: RevisionRegion, names: (id: string) => string, shorts: (id: string) => string | undefined): string {
  const count = (n: number, of: number): string => (of === 0 ? "" : ` ${n} of ${of}`);
  switch (g.state) {
    case "applying":
      return `applying${count(g.applied, g.of)}`;
    case "rolling-out":
      return `rolling out${count(g.ready, g.changed)}`;
    case "done":
      return g.endedAt === undefined ? "done" : `done in ${duration(g.endedAt - g.firstSeenAt)}`;
    case "failed": {
      const [first, ...more] = g.rootCauses;
      return first === undefined ? `failed${count(g.failed, g.changed)}` : `failed: ${names(first)}${more.length > 0 ? ` and ${more.length} more` : ""}`;
    }
    case "overtaken":
      return ["overtaken", shorts(g.overtakenBy ?? "")].filter((t) => t !== undefined).join(" by ");
    default:
      return g.state;
  }
}

/** Where a cell leads: to the rollout that it set off in the region, as it stood at the end, and to what is wrong. `held` is the earliest instant that can be shown. */
export function placeOf(r: Revision, g: RevisionRegion, rollouts: readonly Rollout[], held: number): Partial<Route> {
  const rollout = rollouts.find((o) => r.rollouts.includes(o.id) && o.members.some((m) => m.region === g.region));
  return {
    view: "timeline",
    revision: null,
    regions: [g.region],
    rollout: rollout?.id ?? null,
    at: g.endedAt !== undefined && g.endedAt >= held ? g.endedAt : null,
    node: g.rootCauses[0] ?? g.kustomizations[0] ?? null,
  };
}

/** Whether every word of a search is in what it is of, its revision, or the releases that it changed. */
export function searched(r: Revision, query: string): boolean {
  const { kind, namespace, name, url } = r.source;
  const text = [kind, namespace, name, url, r.revision, r.originRevision, r.commit, ...r.regions.flatMap((g) => [g.region, ...g.releases])].join(" ").toLowerCase();
  return query.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

export const sourceKey = ({ source }: Revision): string => `${source.kind} ${source.namespace}/${source.name}`;

/** What to call the source of each revision: by its name, with its namespace and kind as far as others have the same. */
export function sourceNames(all: readonly Revision[]): (r: Revision) => string {
  const owners = new Map<string, string>();
  const namesOf = (r: Revision): readonly string[] => [r.source.name, `${r.source.namespace}/${r.source.name}`];
  for (const r of all) for (const name of namesOf(r)) owners.set(name, (owners.get(name) ?? sourceKey(r)) === sourceKey(r) ? sourceKey(r) : "");
  return (r) => namesOf(r).find((name) => owners.get(name) === sourceKey(r)) ?? sourceKey(r);
}

/** A revision that a node runs, and the one that its source has. */
export interface Running {
  readonly name: string;
  readonly sourceId: string;
  readonly runs: string;
  /** Since when, as the node tells it. */
  readonly since?: number | undefined;
  /** Another one than it runs. */
  readonly wanted?: string;
  readonly wantedSince?: number | undefined;
}

/** What a Kustomization, or the one that applied a release, runs of its source; and of a release whose chart is in a source, that. */
export function runningOf(graph: FlowGraph, node: FlowNode): readonly Running[] {
  const { appliedBy = "", kind, chart } = metaOf(node);
  const owner = kind === "Kustomization" ? node : graph.nodes.get(appliedBy);
  const all: Running[] = [];
  const add = (name: string, from: FlowNode, runs: string | undefined, origin: string | undefined, since?: number): void => {
    const sourceId = judgementOf(from).source ?? "";
    const source = metaOf(graph.nodes.get(sourceId) ?? from);
    if (runs === undefined) return;
    const isBehind = graph.nodes.has(sourceId) && source.revision !== undefined && source.revision !== runs;
    all.push({ name, sourceId, runs: origin ?? runs, since, ...(isBehind ? { wanted: source.originRevision ?? source.revision, wantedSince: source.updatedAt } : {}) });
  };
  if (owner !== undefined) {
    const { revision, originRevision, readyRevision, readySince } = metaOf(owner);
    add("Runs", owner, revision, originRevision, revision === readyRevision ? readySince : undefined);
  }
  add("Chart of", node, chart?.sourceRevision, undefined);
  return all;
}
