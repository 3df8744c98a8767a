import { judgementOf, metaOf, type DisplayState, type FlowGraph, type FlowNode, type RevisionRegion, type Revision, type RevisionState, type Rollout } from "@openova/flow-core";
import { duration } from "./format.js";
import type { Route } from "./route.js";

/** The display state that gives each state of a revision its glyph and colour. */
export const MARKS: Readonly<Record<RevisionState, DisplayState>> = {
  fetched: "waiting",
  applying: "working",
  "rolling-out": "working",
  done: "ready",
  failed: "broken",
  overtaken: "suspended",
};

const SHORT = 8;

/** The hash of a commit or digest in a revision of Flux, and the tag before a digest. Null for other revisions, such as a chart version. */
function partsOf(revision: string): { readonly name: string; readonly hash: string } | null {
  const [, name = "", digest, hash] = /^(?:(.+)[@/])?(sha\d+:)?([0-9a-f]{12,})$/.exec(revision) ?? [];
  return hash === undefined ? null : { name: digest === "sha256:" ? name : "", hash };
}

/** The short form of a revision: the start of its commit, or of its digest with the tag, or a version. */
export function shortRevision(revision: string): string {
  const parts = partsOf(revision);
  if (parts === null) return revision;
  return `${parts.name === "" ? "" : `${parts.name}@`}${parts.hash.slice(0, SHORT)}`;
}

export function shortOf(r: Revision): string {
  return shortRevision(r.commit ?? r.revision);
}

/** The page of a revision's commit. Undefined if its URL is invalid: a cluster chooses the host, such as 1.2.3.400. */
export function commitPage(r: Revision): URL | undefined {
  return r.commitUrl !== undefined && URL.canParse(r.commitUrl) ? new URL(r.commitUrl) : undefined;
}

/** The value for links to a revision. */
export function linkOf(r: Revision): string {
  return r.commit ?? r.revision;
}

/** Whether a text may be the start of a commit: 4 to 64 hex digits. */
export function isDigits(text: string): boolean {
  return /^[0-9a-f]{4,64}$/i.test(text);
}

/** The commit or digest in a revision, if it begins with these digits. */
export function hashStartingWith(revision: string | undefined, digits: string): string | undefined {
  const hash = partsOf(revision ?? "")?.hash;
  return hash?.startsWith(digits.toLowerCase()) === true ? hash : undefined;
}

/** Whether a text of a link or search names a revision: by its id, by itself or its origin in full, or by at least the first four digits of its commit or digest. */
export function isNamed(r: Revision, text: string): boolean {
  if (text === r.id || text === r.revision || text === r.originRevision) return true;
  const digits = partsOf(text)?.hash ?? text;
  return isDigits(digits) && [r.commit, r.revision].some((revision) => hashStartingWith(revision, digits) !== undefined);
}

/** The state of a revision at an instant in one source of a region; undefined before it was seen there. Past counts are unknown. */
export function sourceAt(g: RevisionRegion, at: number | null): RevisionRegion | undefined {
  if (at === null || (g.endedAt ?? Infinity) <= at) return g;
  const { region, sourceId, firstSeenAt, appliedAt = Infinity, stale, state, was = state } = g;
  if (firstSeenAt > at) return undefined;
  return { region, sourceId, firstSeenAt, stale, state: appliedAt <= at ? "rolling-out" : was === "fetched" ? was : "applying", ...UNKNOWN };
}
const UNKNOWN = { applied: 0, of: 0, kustomizations: [], changed: 0, ready: 0, failed: 0, releases: [], rootCauses: [] };

/** The states of a revision in the sources of a region at an instant, most urgent first. Empty before it was seen. */
export function regionAt(r: Revision, region: string, at: number | null): readonly RevisionRegion[] {
  const then = r.regions.flatMap((g) => (g.region === region ? (sourceAt(g, at) ?? []) : []));
  return then.length < 2 ? then : then.sort((a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state));
}

/** Most urgent first. */
export const ORDER: readonly (RevisionState | undefined)[] = ["failed", "applying", "rolling-out", "fetched", "overtaken", "done", undefined];

/** The text of a cell. `names` returns the name of a node, `shorts` the short form of a revision by its id. */
export function regionText(g: RevisionRegion, names: (id: string) => string, shorts: (id: string) => string | undefined): string {
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

/**
 * The link of a cell: the rollout that the revision started in the region, at the end of the revision's progress there, with a root cause or an
 * unapplied Kustomization. `historyFrom` is the earliest instant with history.
 */
export function targetOf(r: Revision, g: RevisionRegion, rollouts: readonly Rollout[], historyFrom: number): Partial<Route> {
  const rollout = rollouts.find((o) => r.rollouts.includes(o.id) && o.members.some((m) => m.region === g.region));
  return {
    view: "timeline",
    revision: null,
    regions: [g.region],
    rollout: rollout?.id ?? null,
    at: g.endedAt !== undefined && g.endedAt >= historyFrom ? g.endedAt : null,
    node: g.rootCauses[0] ?? g.kustomizations[0] ?? null,
  };
}

/** Whether every word of a search is in the source, revision, commit, regions or changed releases of a revision. */
export function matchesSearch(r: Revision, query: string): boolean {
  const { kind, namespace, name, url } = r.source;
  const text = [kind, namespace, name, url, r.revision, r.originRevision, r.commit, ...r.regions.flatMap((g) => [g.region, ...g.releases])].join(" ").toLowerCase();
  return query.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

export const sourceKey = ({ source }: Revision): string => `${source.kind} ${source.namespace}/${source.name}`;

/** Returns a function for the shortest unambiguous name of a revision's source: the name, with the namespace and kind only where needed. */
export function sourceNames(all: readonly Revision[]): (r: Revision) => string {
  const owners = new Map<string, string>();
  const namesOf = (r: Revision): readonly string[] => [r.source.name, `${r.source.namespace}/${r.source.name}`];
  for (const r of all) for (const name of namesOf(r)) owners.set(name, (owners.get(name) ?? sourceKey(r)) === sourceKey(r) ? sourceKey(r) : "");
  return (r) => namesOf(r).find((name) => owners.get(name) === sourceKey(r)) ?? sourceKey(r);
}

/** A revision that a node runs, and the newer one of its source. */
export interface Running {
  readonly name: string;
  readonly sourceId: string;
  readonly runs: string;
  /** Since when, if the node reports it. */
  readonly since?: number | undefined;
  /** The source's revision, if the node does not run it. */
  readonly wanted?: string;
  readonly wantedSince?: number | undefined;
}

/** The revisions that a node runs. A Kustomization has one; a release has that of the Kustomization that applied it, and that of its chart's source. */
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
