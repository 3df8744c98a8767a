import type { RegionLease, Regions } from "./regions.js";

/** Parses the data of a `regions` event; null if it is invalid. Invalid regions are omitted. */
export function parseRegions(data: string): { readonly at: number; readonly regions: Regions } | null {
  try {
    const { at, regions } = JSON.parse(data) as { at?: unknown; regions?: unknown };
    if (typeof at !== "number" || typeof regions !== "object" || regions === null) return null;
    return { at, regions: new Map(Object.entries(regions).flatMap(([name, lease]) => (isLease(lease) ? [[name, lease] as const] : []))) };
  } catch {
    return null;
  }
}

function isLease(value: unknown): value is RegionLease {
  const v = value as Partial<RegionLease> | null;
  return (
    (v?.state === "fresh" || v?.state === "stale") &&
    typeof v.since === "number" &&
    typeof v.heard === "number" &&
    typeof v.cluster === "string" &&
    (v.refused === undefined || (typeof v.refused?.cluster === "string" && typeof v.refused.at === "number"))
  );
}
