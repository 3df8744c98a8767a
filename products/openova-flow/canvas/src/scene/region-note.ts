import { sayLastHeard, type RegionLease } from "@openova/flow-core";

/** The note beside the name of a region. */
export interface RegionNote {
  readonly text: string;
  /** A shorter text for narrow regions. */
  readonly short: string;
  /** `silent`: the region is stale. `refused`: a second cluster claims it. A region that is both is `silent`. */
  readonly tone: "none" | "silent" | "refused";
}

export const noNote: RegionNote = { text: "", short: "", tone: "none" };

export function noteOf(lease: RegionLease | undefined, now: number): RegionNote {
  if (lease === undefined) return noNote;
  const refused = lease.refused === undefined ? "" : "a second cluster is refused";
  if (lease.state === "stale") {
    const said = sayLastHeard(lease.heard, now);
    return { text: [said, refused].filter((t) => t !== "").join(" · "), short: said.replace("last seen ", ""), tone: "silent" };
  }
  return refused === "" ? noNote : { text: refused, short: "refused", tone: "refused" };
}
