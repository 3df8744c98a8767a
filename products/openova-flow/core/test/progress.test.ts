import { describe, expect, it } from "vitest";
import {
  currentRollout,
  EventLog,
  flowProgress,
  matcher,
  memberIds,
  parseRollouts,
  progressByRegion,
  regionProgress,
  rolloutAt,
  rolloutProgress,
  search,
  segments,
  usualDurations,
  usually,
  type FlowNode,
  type Rollout,
} from "../src/index.js";
import { golden } from "./files.js";
import { edge, graphOf, node } from "./flow.js";

const now = 100_000;
const rollout = (id: string, startedAt: number, rest: Partial<Rollout> = {}): Rollout => ({
  id,
  startedAt,
  outcome: "running",
  members: [],
  alreadyBroken: [],
  ...rest,
});
const member = (id: string, startedAt?: number, endedAt?: number): Rollout["members"][number] => ({
  id,
  label: id,
  status: "succeeded",
  ...(startedAt === undefined ? {} : { startedAt }),
  ...(endedAt === undefined ? {} : { endedAt }),
});

describe("progress", () => {
  const nodes = [
    node("r1", "running", { kind: "Region" }, { region: "r1" }),
    node("a", "succeeded", {}, { region: "r1" }),
    node("b", "running", { reason: "DependencyNotReady" }, { region: "r1" }),
    node("c", "failed", {}, { region: "r2" }),
    node("bare", "pending", { kind: "Region" }, { region: "r0" }),
  ];
  it("counts leaves, by flow and by region in byte order", () => {
    const g = graphOf(nodes, [edge("a", "r1", { type: "contains" })]);
    expect(flowProgress(g, now)).toMatchObject({ total: 3, done: 1, fraction: 1 / 3, complete: false, counts: { ready: 1, waiting: 1, broken: 1 } });
    expect([...progressByRegion(g, now)].map(([r, p]) => [r, p.done, p.total])).toEqual([
      ["r0", 0, 0],
      ["r1", 1, 2],
      ["r2", 0, 1],
    ]);
    expect(regionProgress(g, "nowhere", now)).toMatchObject({ total: 0, fraction: 1, complete: false });
  });

  it("is not complete unless all Kustomizations are ready", () => {
    const kustomization = node("k", "running", { kind: "Kustomization" });
    expect(flowProgress(graphOf([node("a")]), now).complete).toBe(true);
    expect(flowProgress(graphOf([node("a"), kustomization]), now)).toMatchObject({ complete: false, kustomizationsNotReady: 1 });
    const current = rollout("x", 0, { members: [member("a", 0, 50)] });
    expect(rolloutProgress(graphOf([node("a"), kustomization]), current, now)).toMatchObject({ done: 1, total: 1, complete: false });
  });

  it("shows an ended rollout as of its end", () => {
    const g = graphOf([node("a", "running", {}, { startedAt: 60_000 }), node("b", "running", { kind: "Kustomization" })]);
    const failed = { ...member("b", 10, 40), status: "failed" };
    const waits = { id: "c", label: "c", status: "running", waitingSince: 5 };
    const done = rollout("x", 0, { endedAt: 50, outcome: "failed", members: [member("a", 0, 50), failed, waits] });
    expect(rolloutProgress(g, done, now)).toMatchObject({ total: 3, done: 1, counts: { ready: 1, broken: 1, waiting: 1, working: 0 }, complete: false, elapsedMs: 50 });
    expect(rolloutProgress(g, { ...done, members: [member("a", 0, 50)] }, now)).toMatchObject({ complete: true, kustomizationsNotReady: 0 });
    expect(rolloutAt(done, 49)).toMatchObject({ outcome: "running", members: done.members });
    expect(rolloutAt(done, 49).endedAt).toBeUndefined();
    expect(rolloutAt(done, 50)).toBe(done);
  });

  it("has the duration of a rollout in progress once all members are ready", () => {
    const g = graphOf([node("a", "succeeded", {}, { startedAt: 0, endedAt: 40_000 }), node("b", "succeeded", {}, { startedAt: 0, endedAt: 70_000 })]);
    expect(rolloutProgress(g, rollout("x", 10_000, { members: [member("a"), member("b")] }), now)).toMatchObject({ complete: true, elapsedMs: 60_000 });
  });

  it("counts only the rollout's members, from its start", () => {
    const g = graphOf([node("a", "running", {}, { startedAt: 60_000 }), node("old", "failed")]);
    expect(rolloutProgress(g, rollout("x", 60_000, { members: [member("a"), member("gone")] }), now)).toMatchObject({ total: 1, done: 0, elapsedMs: 40_000 });
  });
});

describe("the ETA of a rollout", () => {
  it("uses durations of the same release in other regions, not of an equal name in another namespace", () => {
    const one = (id: string, region: string, namespace: string): FlowNode => node(id, "running", { namespace }, { label: "redis", region, startedAt: 96_000 });
    const known = (id: string, region: string): Rollout => rollout("h", 0, { members: [{ ...member(id, 0, 10_000), label: "redis", region }] });
    const is = (n: FlowNode, h: Rollout): number | undefined => rolloutProgress(graphOf([n]), rollout("x", 95_000, { members: [member(n.id)] }), now, [h]).etaAt;
    expect(is(one("eu/a/redis", "eu", "a"), known("eu/b/redis", "eu"))).toBeUndefined();
    expect(is(one("eu/a/redis", "eu", "a"), known("us/a/redis", "us"))).toBe(106_000);
  });

  it("takes usual durations from rollouts in which the release succeeded, by key", () => {
    const took = (id: string, ms: number, status = "succeeded", region = "r"): Rollout => rollout(`${id}${ms}`, 0, { members: [{ ...member(id, 0, ms), status, region }] });
    const history = [took("r/a/redis", 40), took("r/a/redis", 10), took("s/a/redis", 90, "succeeded", "s"), took("r/a/redis", 1, "failed"), took("r/b/redis", 7)];
    expect(usualDurations(history)).toEqual(new Map([["a/redis", { median: 40, least: 10, most: 90 }], ["b/redis", { median: 7, least: 7, most: 7 }]]));
    expect([usually({ median: 40_000, least: 31_000, most: 62_000 }), usually({ median: 40_000, least: 39_500, most: 40_400 })]).toEqual(["usually 40s (31s to 1m 02s)", "usually 40s"]);
  });

  const history = [rollout("h", 0, { members: [member("a", 0, 10_000), member("b", 10_000, 30_000)] })];
  const current = rollout("x", 95_000, { members: [member("a"), member("b")] });
  const working = node("a", "running", {}, { startedAt: 96_000 });
  const waits = node("b", "running", { reason: "DependencyNotReady" });
  const eta = (a: FlowNode, b: FlowNode, h = history): number | undefined => rolloutProgress(graphOf([a, b], [edge("a", "b")]), current, now, h).etaAt;

  it("is the longest remaining chain with usual durations", () => {
    expect(eta(working, waits)).toBe(106_000 + 20_000);
    expect(rolloutProgress(graphOf([working, waits]), current, now, history).etaAt).toBe(now + 20_000);
  });
  it("does not depend on a node of another flow with the same id", () => {
    const foreign = [edge("b", "a", { fromFlowId: "other" }), edge("a", "a", { fromFlowId: "other" })];
    expect(rolloutProgress(graphOf([working, waits], [edge("a", "b"), ...foreign]), current, now, history).etaAt).toBe(106_000 + 20_000);
  });
  it("is absent if it cannot be estimated", () => {
    expect(eta(working, waits, [])).toBeUndefined();
    expect(eta(node("a", "failed"), waits)).toBeUndefined();
    expect(eta(node("a", "running", {}, { startedAt: 80_000 }), waits)).toBeUndefined();
    expect(eta(node("a"), node("b"))).toBeUndefined();
    expect(rolloutProgress(graphOf([working, waits], [edge("a", "b"), edge("b", "a")]), current, now, history).etaAt).toBeUndefined();
  });
});

describe("rollouts", () => {
  const list = [rollout("old", 10, { endedAt: 20 }), rollout("new", 30)];
  it("parses valid rollouts, newest first", () => {
    expect(parseRollouts({ rollouts: [...list, { id: 3 }, null, { ...list[0], members: [{}] }] }).map((r) => r.id)).toEqual(["new", "old"]);
    for (const odd of [null, {}, [], "x", { rollouts: 1 }]) expect(parseRollouts(odd)).toEqual([]);
  });
  it("currentRollout finds the current one, also at a past instant", () => {
    const newest = parseRollouts({ rollouts: list });
    expect(currentRollout(newest)?.id).toBe("new");
    expect(currentRollout(newest, 25)?.id).toBe("old");
    expect(currentRollout(newest, 5)).toBeNull();
    expect([...memberIds(rollout("x", 0, { members: [member("a")] }))]).toEqual(["a"]);
  });
});

describe("search", () => {
  const nodes = [
    node("fsn1/bp-cert-manager", "succeeded", { versionApplied: "1.16.2" }, { label: "bp-cert-manager", region: "fsn1", family: "security" }),
    node("fsn1/bp-cert", "failed", { reason: "InstallFailed" }, { label: "bp-cert", region: "fsn1" }),
    node("hel1/bp-manager", "running", {}, { label: "bp-manager", region: "hel1" }),
    node("hel1/concert", "running", { message: "timeout" }, { label: "concert", region: "hel1" }),
    node("hel1/Kustomization/flux-system/infra", "succeeded", { revision: "latest@sha256:feed0123", originRevision: "main@sha1:c0ffee00" }, { label: "infra", region: "hel1" }),
  ];
  const found = (q: string): string[] => search(nodes, q).map((h) => h.node.label);
  it("ranks whole names, prefixes, words and substrings in this order", () => {
    expect(found("cert")).toEqual(["bp-cert", "bp-cert-manager", "concert"]);
    expect(found("manager")).toEqual(["bp-manager", "bp-cert-manager"]);
  });
  it("requires every word, anywhere, ignoring case", () => {
    expect(found("HEL1 bp")).toEqual(["bp-manager"]);
    expect(found("1.16")).toEqual(["bp-cert-manager"]);
    expect(found("installfailed")).toEqual(["bp-cert"]);
    expect(found("timeout")).toEqual(["concert"]);
    expect(found("security")).toEqual(["bp-cert-manager"]);
    expect(found("feed01")).toEqual(["infra"]);
    expect(found("c0ffee")).toEqual(["infra"]);
    expect(found("  ")).toEqual([]);
    expect(found("cert nothing")).toEqual([]);
  });
  it("filters by display state, region, family and words together", () => {
    const context = { nodes: new Map(), now };
    const labels = (f: Parameters<typeof matcher>[0]): string[] => nodes.filter(matcher(f, context)).map((n) => n.label);
    expect(labels({ displays: new Set(["broken"]) })).toEqual(["bp-cert"]);
    expect(labels({ regions: new Set(["hel1"]), query: "bp" })).toEqual(["bp-manager"]);
    expect(labels({ families: new Set(["security"]) })).toEqual(["bp-cert-manager"]);
    expect(labels({ displays: new Set() })).toHaveLength(nodes.length);
  });
});

describe("segments", () => {
  it("turns a history into periods of display states, with changes by time alone", () => {
    const judgement = { state: "working", then: [{ at: 61_001, state: "broken" }] };
    const history = [
      { seq: 1, at: 0, node: node("a", "pending") },
      { seq: 2, at: 1000, node: node("a", "running", { judgement }) },
      { seq: 3, at: 1500, node: node("a", "running", { judgement, generation: 2 }) },
      { seq: 4, at: 90_000, node: null },
      { seq: 5, at: 95_000, node: node("a") },
    ];
    expect(segments(history, new Map(), now)).toEqual([
      { from: 0, to: 1000, display: "not-started" },
      { from: 1000, to: 61_001, display: "working" },
      { from: 61_001, to: 90_000, display: "broken" },
      { from: 95_000, to: now, display: "ready" },
    ]);
  });

  it("shows gitea waiting, working, ready, waiting again and ready", () => {
    const log = new EventLog({ flowId: "bootstrap" });
    golden("kit-fsn1").forEach((e, i) => log.append(i + 1, e.at, e.message));
    const last = log.range?.to ?? 0;
    const spans = segments(log.history("fsn1/bp-gitea"), log.stateAt(last)?.nodes ?? new Map(), last);
    expect(spans.map((s) => s.display)).toEqual(["not-started", "waiting", "working", "ready", "waiting", "ready"]);
  });
});
