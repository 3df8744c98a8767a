import { lastSeenText, type RegionLease } from "@openova/flow-core";

/** The note beside the name of a region. */
export interface RegionNote {
  readonly text: string;
  /** A shorter text for narrow regions. */
  readonly short: string;
  /** `stale`: the region is stale. `refused`: the claim of a second cluster was refused. A region that is both has `stale`. */
  readonly tone: "none" | "stale" | "refused";
}

export const noNote: RegionNote = { text: "", short: "", tone: "none" };

export function noteOf(lease: RegionLease | undefined, now: number): RegionNote {
  if (lease === undefined) return noNote;
  const refused = lease.refused === undefined ? "" : "a second cluster is refused";
  if (lease.state === "stale") {
    const lastSeen = lastSeenText(lease.heard, now);
    return { text: [lastSeen, refused].filter((t) => t !== "").join(" · "), short: lastSeen.replace("last seen ", ""), tone: "stale" };
  }
  return refused === "" ? noNote : { text: refused, short: "refused", tone: "refused" };
}
