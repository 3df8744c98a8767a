import { sayLastHeard, type RegionLease } from "@openova/flow-core";

/** What is said of a region beside its name. */
export interface RegionNote {
  readonly text: string;
  /** The same for where there is little room. */
  readonly short: string;
  /** `silent`: not heard of any more. `refused`: a second cluster claims it. Both at once is silent. */
  readonly tone: "none" | "silent" | "refused";
}

export const noNote: RegionNote = { text: "", short: "", tone: "none" };

export function noteOf(lease: RegionLease | undefined, now: number): RegionNote {
  if (lease === undefined) return noNote;
  const refused = lease.refused === undefined ? "" : "a second cluster is refused";
  if (lease.state === "stale") {
    const said = sayLastHeard(lease.heard, now);
    return { text: [said, refused].filter((t) => t !== "").join(" · "), short: said.replace("last heard ", ""), tone: "silent" };
  }
  return refused === "" ? noNote : { text: refused, short: "refused", tone: "refused" };
}
