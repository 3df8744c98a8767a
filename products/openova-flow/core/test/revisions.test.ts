import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parseRevisions, type Revision } from "../src/index.js";
import { pathOf } from "./files.js";

const answer = JSON.parse(readFileSync(pathOf("server/revision/testdata/revisions.json"), "utf8")) as { revisions: Revision[] };

describe("parseRevisions", () => {
  const list = parseRevisions(answer);
  it("parses a response of the server", () => {
    expect(list).toHaveLength(answer.revisions.length);
    expect(list.map((r) => r.revision.slice(-1))).toEqual(["d", "c", "b", "a"]);
    expect(list.flatMap((r) => r.regions.map((g) => `${r.commit?.[0]} ${g.region} ${g.state} ${g.was ?? ""}`.trimEnd()))).toEqual(
      answer.revisions.flatMap((r) => r.regions.map((g) => `${r.commit?.[0]} ${g.region} ${g.state} ${g.was ?? ""}`.trimEnd())),
    );
    expect(new Set(list.flatMap((r) => r.regions.map((g) => g.state)))).toEqual(new Set(["fetched", "applying", "rolling-out", "done", "failed", "overtaken"]));
    expect(list[3]).toMatchObject({ source: { kind: "GitRepository", ref: "branch main" }, commitUrl: `https://github.com/o/r/commit/${"a".repeat(40)}`, rollouts: [] });
    expect(list[2]?.regions.find((g) => g.state === "failed")).toMatchObject({ rootCauses: ["r2/web"], releases: ["r2/web"], kustomizations: [], stale: true });
  });

  it("omits invalid entries and fields", () => {
    const [good] = answer.revisions as [Revision, ...Revision[]];
    const region = good.regions[0];
    for (const bad of [null, 4, {}, { ...good, id: 1 }, { ...good, source: null }, { ...good, source: { kind: "x" } }, { ...good, firstSeenAt: "1" }, { ...good, revision: undefined }]) {
      expect(parseRevisions({ revisions: [bad, good] })).toEqual(parseRevisions({ revisions: [good] }));
    }
    for (const bad of [null, 4, {}, { ...region, state: "gone" }, { ...region, region: 1 }, { ...region, applied: "1" }]) {
      expect(parseRevisions({ revisions: [{ ...good, regions: [bad, region] }] })[0]?.regions).toHaveLength(1);
    }
    const [kept] = parseRevisions({ revisions: [{ ...good, regions: [{ ...region, was: "gone", appliedAt: "1", endedAt: null, overtakenBy: 1 }] }] })[0]?.regions ?? [];
    for (const field of ["was", "appliedAt", "endedAt", "overtakenBy"]) expect(kept).not.toHaveProperty(field);
    expect(parseRevisions({ revisions: [{ ...good, regions: 4, commitUrl: "javascript:alert(1)", rollouts: [4, "x"] }] })[0]).toMatchObject({ regions: [], rollouts: ["x"] });
    expect(parseRevisions({ revisions: [{ ...good, commitUrl: "javascript:alert(1)" }] })[0]).not.toHaveProperty("commitUrl");
    for (const bad of [null, 4, [], {}, { revisions: 4 }]) expect(parseRevisions(bad)).toEqual([]);
  });
});
