/** What a server tells of who writes for a region. Times are Unix milliseconds by the server's clock. */
export interface RegionLease {
  /** Stale: its cluster has not been heard of for longer than it promised, so what is shown of the region is from `heard`. */
  readonly state: "fresh" | "stale";
  /** When that state began. */
  readonly since: number;
  /** When its cluster was last heard of; for a fresh region: as far as has been told. */
  readonly heard: number;
  /** The identity of the cluster that holds the region: the UID of its namespace kube-system. */
  readonly cluster: string;
  /** Another cluster that claims the region too, and is refused. */
  readonly refused?: { readonly cluster: string; readonly at: number };
}

/** By region. One that no cluster has claimed is not there, and nothing is said of it. */
export type Regions = ReadonlyMap<string, RegionLease>;

/** No claims; also of a server that knows none. */
export const NO_REGIONS: Regions = new Map();

/** When a region was last heard of, if that is no longer so; undefined for one that is fresh, or of which nothing is known. */
export function lastHeard(regions: Regions | undefined, region: string | undefined): number | undefined {
  const lease = regions?.get(region ?? "");
  return lease?.state === "stale" ? lease.heard : undefined;
}

/** Up to when a region is known at `now`: what a stale one does may have ended since it was last heard of. */
export function knownUntil(regions: Regions | undefined, region: string | undefined, now: number): number {
  return Math.min(now, lastHeard(regions, region) ?? now);
}

/** Up to when anything is known of some regions together: `now` while one of them is heard of, else when the last of them was. */
export function allKnownUntil(regions: Regions, names: readonly string[], now: number): number {
  return names.length === 0 ? now : names.reduce((latest, name) => Math.max(latest, knownUntil(regions, name, now)), -Infinity);
}

/** The regions that are stale, by name. */
export function staleRegions(regions: Regions): readonly string[] {
  return [...regions].filter(([, lease]) => lease.state === "stale").map(([name]) => name).sort();
}

/** `last heard 4 min ago`: in whole seconds, minutes, hours or days, so that it seldom changes. */
export function sayLastHeard(heard: number, now: number): string {
  const s = Math.max(0, Math.floor((now - heard) / 1000));
  const [n, unit] = s < 60 ? [s, "s"] : s < 3600 ? [s / 60, "min"] : s < 86_400 ? [s / 3600, "h"] : [s / 86_400, "d"];
  return `last heard ${Math.floor(n)} ${unit} ago`;
}

/** The reason of a problem that is a region which is not heard of any more; its `since` is when it last was. */
export const REGION_SILENT = "region-silent";
