import { buildGraph, emptyState, fold, type FlowNode, type RevisionRegion, type Revision, type Rollout } from "@openova/flow-core";
import { describe, expect, it } from "vitest";
import { HOME, formatRoute, parseRoute } from "../src/lib/route.ts";
import { hashStartingWith, isDigits, isNamed, targetOf, regionAt, sourceAt, runningOf, regionText, matchesSearch, shortRevision, sourceNames } from "../src/lib/revisions.ts";

const A = "0123456789abcdef0123456789abcdef01234567";
const B = "fedcba9876543210fedcba9876543210fedcba98";
const DIGEST = "aa11".repeat(16);
const region = (more: Partial<RevisionRegion> = {}): RevisionRegion => ({ region: "fsn1", sourceId: "fsn1/GitRepository/flux-system/apps", state: "fetched", firstSeenAt: 1000, applied: 0, of: 0, kustomizations: [], changed: 0, ready: 0, failed: 0, releases: [], rootCauses: [], stale: false, ...more });
const revision = (more: Partial<Revision> = {}): Revision => ({
  id: "r1",
  source: { kind: "GitRepository", namespace: "flux-system", name: "apps", url: "https://git.example/o/apps" },
  revision: `main@sha1:${A}`,
  commit: A,
  firstSeenAt: 1000,
  rollouts: [],
  regions: [region()],
  ...more,
});

describe("the short form of a revision", () => {
  it.each([
    [`main@sha1:${A}`, "01234567"],
    [`main/${A}`, "01234567"],
    [`sha1:${A}`, "01234567"],
    [A, "01234567"],
    [`refs/tags/v1.0.0@sha1:${A}`, "01234567"],
    [`latest@sha256:${DIGEST}`, "latest@aa11aa11"],
    [`sha256:${DIGEST}`, "aa11aa11"],
    ["1.12.3", "1.12.3"],
    ["main", "main"],
    ["", ""],
  ])("%s is %s", (whole, short) => expect(shortRevision(whole)).toBe(short));
});

describe("a link or search by commit", () => {
  it.each([A, A.slice(0, 4), A.slice(0, 7).toUpperCase(), `main@sha1:${A}`, "r1"])("finds the revision: %s", (text) => expect(isNamed(revision(), text)).toBe(true));
  it.each([A.slice(0, 3), A.slice(1, 9), B, "main", "", "01234x"])("does not find the revision: %s", (text) => expect(isNamed(revision(), text)).toBe(false));

  it("finds an OCI artifact by its digest, its origin and its commit", () => {
    const { commit: _, ...digestOnly } = revision({ revision: `latest@sha256:${DIGEST}` });
    expect(isNamed(digestOnly, "aa11aa")).toBe(true);
    expect(isNamed(digestOnly, A.slice(0, 8))).toBe(false);
    const origin = revision({ revision: `latest@sha256:${DIGEST}`, originRevision: `main@sha1:${A}` });
    for (const text of ["aa11aa", A.slice(0, 8), `main@sha1:${A}`, `latest@sha256:${DIGEST}`]) expect(isNamed(origin, text), text).toBe(true);
  });

  it("finds a chart version only by its full text", () => {
    const { commit: _, ...chart } = revision({ revision: "1.12.3" });
    expect(isNamed(chart, "1.12.3")).toBe(true);
    expect(isNamed(chart, "1.12")).toBe(false);
  });

  it("is by 4 to 64 hex digits, from the start of the hash", () => {
    expect(["abcd", A, DIGEST].map(isDigits)).toEqual([true, true, true]);
    expect(["abc", "abcx", "", `${DIGEST}a`].map(isDigits)).toEqual([false, false, false, false]);
    expect(hashStartingWith(`main@sha1:${A}`, "0123")).toBe(A);
    expect(hashStartingWith(`main@sha1:${A}`, "1234")).toBeUndefined();
    expect(hashStartingWith(undefined, "0123")).toBeUndefined();
  });

  it("finds every word in source, revision, regions or changed releases", () => {
    const r = revision({ regions: [region({ releases: ["fsn1/apps/db"] })] });
    for (const query of ["apps", "GitRepository apps", "0123456", "apps/db", "git.example", "FSN1"]) expect(matchesSearch(r, query), query).toBe(true);
    for (const query of ["hel1", "apps nothing"]) expect(matchesSearch(r, query), query).toBe(false);
  });

  it("is in the URL, and without a view opens the revisions", () => {
    expect(parseRoute(`?flow=f&revision=${A}`)).toMatchObject({ flow: "f", view: "revisions", revision: A });
    expect(parseRoute("?flow=f&revision=0123&view=table")).toMatchObject({ view: "table", revision: "0123" });
    expect(parseRoute("?flow=f&revision=0123&view=graph")).toMatchObject({ view: "graph" });
    for (const view of ["graph", "revisions", "table"] as const) {
      const route = { ...HOME, flow: "f", view, revision: `main@sha1:${A}` };
      expect(parseRoute(formatRoute(route))).toEqual(route);
    }
  });
});

describe("a cell", () => {
  const say = (g: RevisionRegion): string => regionText(g, (id) => id.split("/").at(-1) ?? "", (id) => (id === "r2" ? "fedcba98" : undefined));
  it.each<[RevisionRegion, string]>([
    [region(), "fetched"],
    [region({ state: "applying", applied: 2, of: 4 }), "applying 2 of 4"],
    [region({ state: "applying" }), "applying"],
    [region({ state: "rolling-out", ready: 10, changed: 12 }), "rolling out 10 of 12"],
    [region({ state: "done", endedAt: 43_000 }), "done in 42s"],
    [region({ state: "done" }), "done"],
    [region({ state: "failed", rootCauses: ["fsn1/apps/db"] }), "failed: db"],
    [region({ state: "failed", rootCauses: ["fsn1/apps/db", "fsn1/apps/b", "fsn1/apps/c"] }), "failed: db and 2 more"],
    [region({ state: "failed", failed: 1, changed: 12 }), "failed 1 of 12"],
    [region({ state: "overtaken", overtakenBy: "r2" }), "overtaken by fedcba98"],
    [region({ state: "overtaken", overtakenBy: "gone" }), "overtaken"],
    [region({ state: "overtaken" }), "overtaken"],
  ])("%j says %s", (g, text) => expect(say(g)).toBe(text));

  it("has the state at an instant", () => {
    const g = region({ state: "done", firstSeenAt: 1000, appliedAt: 2000, endedAt: 3000, applied: 4, of: 4, ready: 2, changed: 2, rootCauses: [] });
    expect(sourceAt(g, null)).toBe(g);
    expect(sourceAt(g, 999)).toBeUndefined();
    expect(sourceAt(g, 1000)).toEqual(region({ state: "applying" }));
    expect(sourceAt(g, 2000)).toEqual(region({ state: "rolling-out" }));
    expect(sourceAt(g, 3000)).toBe(g);
    expect(sourceAt(region(), 1000)).toMatchObject({ state: "fetched" });
    expect(sourceAt(region({ state: "overtaken", was: "fetched", endedAt: 3000 }), 2999)).toMatchObject({ state: "fetched" });
    expect(sourceAt(region({ state: "overtaken", was: "applying", endedAt: 3000 }), 2999)).toMatchObject({ state: "applying" });
  });

  it("has the most urgent state of a region with several sources", () => {
    const of = (sourceId: string, more: Partial<RevisionRegion>): RevisionRegion => region({ sourceId, ...more });
    const r = revision({ regions: [of("a", { state: "done" }), of("b", { state: "overtaken" }), of("c", {}), of("d", { state: "rolling-out" }), of("e", { state: "applying" }), of("f", { state: "failed" }), of("g", { region: "hel1", state: "failed" })] });
    expect(regionAt(r, "fsn1", null).map((g) => g.sourceId)).toEqual(["f", "e", "d", "c", "b", "a"]);
    expect(regionAt(r, "hel1", null).map((g) => g.sourceId)).toEqual(["g"]);
    expect(regionAt(r, "nbg1", null)).toEqual([]);
    expect(regionAt(r, "fsn1", 999)).toEqual([]);
  });

  const rollout = (id: string, of: string): Rollout => ({ id, startedAt: 1, outcome: "running", members: [{ id: `${of}/a`, label: "a", region: of, status: "running" }], alreadyBroken: [] });
  const rollouts = [rollout("o3", "fsn1"), rollout("o2", "hel1"), rollout("o1", "fsn1")];
  it("leads to the rollout that it started in its region, at its end", () => {
    const r = revision({ rollouts: ["o2", "o1"] });
    expect(targetOf(r, region({ state: "done", endedAt: 3000 }), rollouts, 0)).toEqual({ view: "timeline", revision: null, regions: ["fsn1"], rollout: "o1", at: 3000, node: null });
    expect(targetOf(r, region({ region: "hel1" }), rollouts, 0)).toMatchObject({ rollout: "o2", at: null });
    expect(targetOf(r, region({ region: "nbg1" }), rollouts, 0)).toMatchObject({ rollout: null });
  });

  it("leads to live if the server no longer has that instant", () => {
    expect(targetOf(revision(), region({ endedAt: 3000 }), [], 3000)).toMatchObject({ at: 3000 });
    expect(targetOf(revision(), region({ endedAt: 3000 }), [], 3001)).toMatchObject({ at: null });
  });

  it("leads to a root cause, else to a Kustomization that has not applied it", () => {
    expect(targetOf(revision(), region({ rootCauses: ["x"], kustomizations: ["k"] }), [], 0)).toMatchObject({ node: "x" });
    expect(targetOf(revision(), region({ kustomizations: ["k"] }), [], 0)).toMatchObject({ node: "k" });
  });
});

describe("the name of a source", () => {
  it("has namespace and kind only if others have the same name", () => {
    const of = (kind: string, namespace: string, name: string): Revision => revision({ source: { kind, namespace, name } });
    const all = [of("GitRepository", "a", "infra"), of("GitRepository", "a", "apps"), of("GitRepository", "b", "apps"), of("OCIRepository", "b", "apps"), of("GitRepository", "a", "apps")];
    expect(all.map(sourceNames(all))).toEqual(["infra", "a/apps", "GitRepository b/apps", "OCIRepository b/apps", "a/apps"]);
  });
});

describe("runningOf", () => {
  const node = (id: string, meta: Record<string, unknown>): FlowNode => ({ id, flowId: "f", label: id, status: "succeeded", region: "r", meta });
  const graphOf = (...nodes: FlowNode[]) => buildGraph(fold(emptyState("f"), { type: "upsert-nodes", nodes }));
  const source = (meta: Record<string, unknown>): FlowNode => node("r/GitRepository/n/s", { kind: "GitRepository", auxiliary: true, ...meta });
  const judgement = { state: "ready", source: "r/GitRepository/n/s" };

  it("returns the revision that the Kustomization applied, and that of the source if it differs", () => {
    const k = node("r/Kustomization/n/k", { kind: "Kustomization", revision: `main@sha1:${A}`, readyRevision: `main@sha1:${A}`, readySince: 5, judgement });
    const release = node("r/a", { kind: "HelmRelease", appliedBy: k.id, judgement: { state: "ready" } });
    const behind = graphOf(k, release, source({ revision: `main@sha1:${B}`, updatedAt: 9 }));
    const expected = { name: "Runs", sourceId: "r/GitRepository/n/s", runs: `main@sha1:${A}`, since: 5, wanted: `main@sha1:${B}`, wantedSince: 9 };
    for (const n of [k, release]) expect(runningOf(behind, n)).toEqual([expected]);
    expect(runningOf(graphOf(k, source({ revision: `main@sha1:${A}` })), k)[0]).not.toHaveProperty("wanted");
    expect(runningOf(graphOf(k, source({})), k)[0]).not.toHaveProperty("wanted");
    expect(runningOf(graphOf(k), k)[0]).not.toHaveProperty("wanted");
  });

  it("returns the commit of an artifact, and no time that belongs to another revision", () => {
    const k = node("r/Kustomization/n/k", { kind: "Kustomization", revision: `latest@sha256:${DIGEST}`, originRevision: `main@sha1:${A}`, readyRevision: "older", readySince: 5, judgement });
    const [runs] = runningOf(graphOf(k, source({ revision: "latest@sha256:bb", originRevision: `main@sha1:${B}` })), k);
    expect(runs).toMatchObject({ runs: `main@sha1:${A}`, wanted: `main@sha1:${B}` });
    expect(runs?.since).toBeUndefined();
  });

  it("returns the revision of the source of the chart", () => {
    const release = node("r/a", { kind: "HelmRelease", chart: { name: "./charts/a", sourceRevision: `main@sha1:${A}` }, judgement });
    expect(runningOf(graphOf(release, source({ revision: `main@sha1:${B}` })), release)).toEqual([expect.objectContaining({ name: "Chart of", runs: `main@sha1:${A}`, wanted: `main@sha1:${B}` })]);
    expect(runningOf(graphOf(node("r/b", { kind: "HelmRelease" })), node("r/b", { kind: "HelmRelease" }))).toEqual([]);
  });
});
