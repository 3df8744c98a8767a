/** The claim of a region, as the server reports it. Times are Unix milliseconds by the server's clock. */
export interface RegionLease {
  /** `stale`: the claim has expired, so the state of the region is as of `heard`. */
  readonly state: "fresh" | "stale";
  /** Start of this state. */
  readonly since: number;
  /** When the cluster last renewed the claim; while the region is fresh, as of the last event, since renewals send none. */
  readonly heard: number;
  /** The cluster that holds the region, identified by the UID of its namespace kube-system. */
  readonly cluster: string;
  /** Another cluster that also claims the region and is rejected. */
  readonly refused?: { readonly cluster: string; readonly at: number };
}

/** By region. Regions that no cluster has claimed are absent. */
export type Regions = ReadonlyMap<string, RegionLease>;

/** No claims, or a server that does not report claims. */
export const NO_REGIONS: Regions = new Map();

/** When a stale region was last seen; undefined for a fresh or unclaimed region. */
export function lastSeen(regions: Regions | undefined, region: string | undefined): number | undefined {
  const lease = regions?.get(region ?? "");
  return lease?.state === "stale" ? lease.heard : undefined;
}

/** The instant up to which the state of a region is known: `now`, but for a stale region no later than when it was last seen. */
export function knownUntil(regions: Regions | undefined, region: string | undefined, now: number): number {
  return Math.min(now, lastSeen(regions, region) ?? now);
}

/** The latest `knownUntil` of some regions; `now` for no regions. */
export function allKnownUntil(regions: Regions, names: readonly string[], now: number): number {
  return names.length === 0 ? now : names.reduce((latest, name) => Math.max(latest, knownUntil(regions, name, now)), -Infinity);
}

/** The names of the stale regions, sorted. */
export function staleRegions(regions: Regions): readonly string[] {
  return [...regions].filter(([, lease]) => lease.state === "stale").map(([name]) => name).sort();
}

/** `last seen 4 min ago`, in whole seconds, minutes, hours or days. */
export function lastSeenText(at: number, now: number): string {
  const s = Math.max(0, Math.floor((now - at) / 1000));
  const [n, unit] = s < 60 ? [s, "s"] : s < 3600 ? [s / 60, "min"] : s < 86_400 ? [s / 3600, "h"] : [s / 86_400, "d"];
  return `last seen ${Math.floor(n)} ${unit} ago`;
}

/** The reason of the problem of a stale region. Its `since` is when the region was last seen. */
export const REGION_STALE = "region-stale";
