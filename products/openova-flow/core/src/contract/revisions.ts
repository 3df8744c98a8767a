/** The progress of a revision in a region, from the fetch of the source to the releases that it changed. */
export const REVISION_STATES = ["fetched", "applying", "rolling-out", "done", "failed", "overtaken"] as const;
export type RevisionState = (typeof REVISION_STATES)[number];

export interface RevisionSource {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly url?: string;
  /** The followed reference of the repository, such as `branch main`. */
  readonly ref?: string;
}

/** A revision in one source of a region. Times are Unix milliseconds. */
export interface RevisionRegion {
  readonly region: string;
  readonly sourceId: string;
  readonly state: RevisionState;
  /** Its state when it was overtaken. */
  readonly was?: RevisionState;
  readonly firstSeenAt: number;
  /** When the last Kustomization applied it; absent until all have. */
  readonly appliedAt?: number;
  /** When it was done, failed or was overtaken. */
  readonly endedAt?: number;
  /** Number of the source's Kustomizations that have applied it, and of all. */
  readonly applied: number;
  readonly of: number;
  /** Ids of Kustomizations that have not applied it; not all if there are many. */
  readonly kustomizations: readonly string[];
  /** Number of existing releases that it changed, and how many of these are ready or failed. */
  readonly changed: number;
  readonly ready: number;
  readonly failed: number;
  /** Ids of releases that it changed, also of deleted ones; not all if there are many. */
  readonly releases: readonly string[];
  readonly rootCauses: readonly string[];
  readonly overtakenBy?: string;
  /** The region is stale, so this may be an old state. */
  readonly stale: boolean;
}

/** A revision of a source, such as a commit, in all regions that have seen it. */
export interface Revision {
  readonly id: string;
  readonly source: RevisionSource;
  /** In the format of Flux: `main@sha1:…`. */
  readonly revision: string;
  readonly commit?: string;
  readonly originRevision?: string;
  readonly commitUrl?: string;
  readonly firstSeenAt: number;
  readonly supersededBy?: string;
  /** Ids of the rollouts that it started, newest first. */
  readonly rollouts: readonly string[];
  /** One entry for each source with this revision. A region may have several such sources. */
  readonly regions: readonly RevisionRegion[];
}

/** Parses the response of `GET /v1/flows/{flowId}/revisions`, newest first. Invalid entries are omitted. */
export function parseRevisions(value: unknown): readonly Revision[] {
  const list = (value as { revisions?: unknown } | null)?.revisions;
  return Array.isArray(list) ? list.flatMap(readRevision).sort((a, b) => b.firstSeenAt - a.firstSeenAt) : [];
}

function readRevision(value: unknown): readonly Revision[] {
  const r = value as Partial<Revision> | null;
  if (typeof r !== "object" || r === null || !isTextOf(r, ["id", "revision"]) || !isNumberOf(r, ["firstSeenAt"])) return [];
  const source: unknown = r.source;
  if (typeof source !== "object" || source === null || !isTextOf(source, ["kind", "namespace", "name"])) return [];
  const { url, ref } = source as Partial<RevisionSource>;
  const { kind, namespace, name } = source as RevisionSource;
  return [
    {
      id: r.id as string,
      source: { kind, namespace, name, ...texts({ url, ref }) },
      revision: r.revision as string,
      ...texts({ commit: r.commit, originRevision: r.originRevision, supersededBy: r.supersededBy, commitUrl: isHttps(r.commitUrl) ? r.commitUrl : undefined }),
      firstSeenAt: r.firstSeenAt as number,
      rollouts: ids(r.rollouts),
      regions: Array.isArray(r.regions) ? r.regions.flatMap(readRegion) : [],
    },
  ];
}

function readRegion(value: unknown): readonly RevisionRegion[] {
  const g = value as Partial<RevisionRegion> | null;
  if (typeof g !== "object" || g === null || !isTextOf(g, ["region", "sourceId"]) || !isState(g.state)) return [];
  if (!isNumberOf(g, ["firstSeenAt", "applied", "of", "changed", "ready", "failed"])) return [];
  const { was, appliedAt, endedAt, overtakenBy, ...rest } = g as RevisionRegion;
  return [
    {
      ...rest,
      ...(isState(was) ? { was } : {}),
      ...numbers({ appliedAt, endedAt }),
      ...texts({ overtakenBy }),
      kustomizations: ids(g.kustomizations),
      releases: ids(g.releases),
      rootCauses: ids(g.rootCauses),
      stale: g.stale === true,
    },
  ];
}

const isState = (value: unknown): value is RevisionState => REVISION_STATES.some((s) => s === value);
/** Only https, because the URL becomes a link: a `javascript:` URL would run. */
const isHttps = (value: unknown): boolean => typeof value === "string" && value.startsWith("https://");
const isTextOf = (o: object, keys: readonly string[]): boolean => keys.every((k) => typeof (o as Record<string, unknown>)[k] === "string");
const isNumberOf = (o: object, keys: readonly string[]): boolean => keys.every((k) => typeof (o as Record<string, unknown>)[k] === "number");
const ids = (value: unknown): readonly string[] => (Array.isArray(value) ? value.filter((id) => typeof id === "string") : []);

/** The values that are strings. */
function texts<K extends string>(values: Record<K, unknown>): { readonly [key in K]?: string } {
  return Object.fromEntries(Object.entries(values).filter(([, v]) => typeof v === "string")) as { readonly [key in K]?: string };
}

/** The values that are numbers. */
function numbers<K extends string>(values: Record<K, unknown>): { readonly [key in K]?: number } {
  return Object.fromEntries(Object.entries(values).filter(([, v]) => typeof v === "number")) as { readonly [key in K]?: number };
}
