import { buildGraph, duration, emptyState, fold, rolloutProgress, type DisplayState, type FlowNode, type LogEntry, type Progress, type RegionLease, type Rollout, type RolloutProgress } from "@openova/flow-core";
import { describe, expect, it, vi } from "vitest";
import { announcement, regionNews } from "../src/lib/announce.ts";
import { steps } from "../src/lib/changes.ts";
import { ago, dateTime, percent, zone } from "../src/lib/format.ts";
import { failures } from "../src/lib/past.ts";
import { grouped, inOrder, ticks, toBar, total, zoomed, type Bar } from "../src/lib/gantt.ts";
import { headline } from "../src/lib/headline.ts";
import { matrix } from "../src/lib/matrix.ts";
import { outline } from "../src/lib/outline.ts";
import { formatRoute, HOME, parseRoute } from "../src/lib/route.ts";
import { sorted, toRow, versionOf } from "../src/lib/rows.ts";
import { runs } from "../src/lib/runs.ts";

function node(id: string, more: Partial<FlowNode> = {}): FlowNode {
  const [region = "", label = id] = id.split("/");
  return { id, flowId: "f", label, status: "succeeded", region, ...more };
}

const lease = (state: "fresh" | "stale", heard: number, refused?: string): RegionLease => ({ state, since: heard, heard, cluster: "uid-1", ...(refused === undefined ? {} : { refused: { cluster: refused, at: heard } }) });

describe("a stale region", () => {
  const regions = new Map([["r", lease("stale", 61_000)]]);
  it("has releases that worked until it was last seen", () => {
    const row = toRow(node("r/a", { status: "running", startedAt: 1000, meta: { reason: "Progressing" } }), "working", 500_000, (id) => id, regions);
    expect(row).toMatchObject({ what: `as of ${dateTime(61_000, 500_000)}; Progressing`, workedMs: 60_000 });
  });

  it("does not count as a difference between regions", () => {
    const nodes = [node("r/a"), node("s/a"), node("t/a", { status: "failed" })];
    const displays = new Map<string, DisplayState>([["r/a", "working"], ["s/a", "ready"]]);
    const stale = (region: string): boolean => region === "r";
    expect(matrix(nodes.slice(0, 2), displays, ["r", "s"], (id) => id, stale)[0]).toMatchObject({ differs: false });
    expect(matrix(nodes.slice(0, 2), displays, ["r", "s"], (id) => id, () => false)[0]).toMatchObject({ differs: true });
    expect(matrix(nodes, new Map([...displays, ["t/a", "broken"]]), ["r", "s", "t"], (id) => id, stale)[0]).toMatchObject({ differs: true });
  });

  it("is announced when it becomes stale, reports again or is claimed twice, but not at first", () => {
    const at = (...all: [string, RegionLease][]): ReadonlyMap<string, RegionLease> => new Map(all);
    expect(regionNews(at(), at(["r", lease("stale", 1)]))).toBe("");
    expect(regionNews(at(["r", lease("fresh", 1)]), at(["r", lease("stale", 1)]))).toBe("Region r is stale.");
    expect(regionNews(at(["r", lease("stale", 1)]), at(["r", lease("fresh", 1)]))).toBe("Region r reports again.");
    expect(regionNews(at(["r", lease("fresh", 1)]), at(["r", lease("fresh", 2, "uid-2")]))).toBe("A second cluster claims region r and is refused.");
    expect(regionNews(at(["r", lease("fresh", 2, "uid-2")]), at(["r", lease("fresh", 9, "uid-2")]))).toBe("");
    const many = (state: "fresh" | "stale") => at(...["a", "b", "c", "d", "e"].map((n): [string, RegionLease] => [n, lease(state, 1)]));
    expect(regionNews(many("fresh"), many("stale"))).toMatch(/^Region a .* Region c is stale\. 2 more changes of regions\.$/);
  });
});

describe("a link", () => {
  it("is parsed to the route that it was formatted from", () => {
    const route = {
      ...HOME,
      flow: "omantel-prod",
      view: "table" as const,
      node: "fsn1/bp-cert-manager",
      query: "a&b=c d",
      displays: ["broken", "waiting"] as const,
      regions: ["fsn1", "weird, region"],
      families: ["security"],
      namespaces: ["team-a", "team-b"],
      group: "namespace" as const,
      at: 1_795_437_857_291,
      rollout: "r1",
      trace: "critical" as const,
    };
    expect(parseRoute(formatRoute(route))).toEqual(route);
    expect(formatRoute(route)).toContain("node=fsn1/bp-cert-manager");
    expect(formatRoute(route)).toContain("at=2026-11-23T");
  });
  it("leaves out defaults", () => {
    expect(formatRoute({ ...HOME, flow: "f" })).toBe("?flow=f");
    expect(formatRoute(HOME)).toBe("?");
  });
  it("is parsed without its invalid parts", () => {
    expect(parseRoute("?flow=f&view=nonsense&state=broken,nonsense,broken&at=yesterday&region=&trace=x")).toEqual({ ...HOME, flow: "f", displays: ["broken"] });
  });
  it("accepts an instant in milliseconds", () => {
    expect(parseRoute("?at=1795437857291").at).toBe(1_795_437_857_291);
  });
});

describe("format", () => {
  it.each([
    [499, "0s"], [59_900, "59s"], [60_000, "1m 00s"], [3_599_000, "59m 59s"], [3_600_000, "1h 00m"], [90_061_000, "1d 1h"], [-5, "0s"],
  ])("%i ms last %s", (ms, text) => expect(duration(ms)).toBe(text));
  it("ago returns the age", () => {
    expect(ago(1000, 2000)).toBe("just now");
    expect(ago(0, 60_000)).toBe("1m 00s ago");
  });
  it("percent returns 0% and 100% only if exact", () => {
    expect([0, 0.001, 0.5, 0.999, 1].map(percent)).toEqual(["0%", "1%", "50%", "99%", "100%"]);
  });
});

const counts = (more: Partial<Record<DisplayState, number>>): Progress["counts"] => ({
  broken: 0, terminating: 0, waiting: 0, working: 0, "not-started": 0, suspended: 0, unconfirmed: 0, ready: 0, ...more,
});
function progress(done: number, of: number, kustomizationsNotReady = 0): Progress {
  return { total: of, done, fraction: of === 0 ? 1 : done / of, counts: counts({ ready: done }), stale: 0, complete: of > 0 && done === of && kustomizationsNotReady === 0, kustomizationsNotReady };
}
function rolled(outcome: Rollout["outcome"], p: Progress, endedAt?: number): { rollout: Rollout; progress: RolloutProgress } {
  const times = { startedAt: 1000, ...(endedAt === undefined ? {} : { endedAt }) };
  return { rollout: { id: "r", outcome, members: [], alreadyBroken: [], ...times }, progress: { ...p, ...times, elapsedMs: (endedAt ?? 61_000) - 1000 } };
}

describe("the headline", () => {
  it("counts all releases, and separately those of the current rollout", () => {
    expect(headline(progress(1, 90), rolled("running", progress(32, 60)), 61_000)).toEqual({
      percent: "1%", done: "1/90 ready", tone: "plain", but: "", rollout: { done: "32/60", outcome: "rolling out", tone: "running", time: "1m 00s" },
    });
  });
  it("uses the given clock, not the time of the last computation of progress", () => {
    expect(headline(progress(1, 90), rolled("running", progress(32, 60)), 75_000).rollout?.time).toBe("1m 14s");
  });
  it("has the outcome of an ended rollout", () => {
    const line = (outcome: Rollout["outcome"], p: Progress) => headline(progress(9, 9), rolled(outcome, p, 31_000), 61_000).rollout;
    expect(line("succeeded", progress(2, 2))).toEqual({ done: "2/2", outcome: "complete", tone: "good", time: "took 30s, ended 30s ago" });
    expect(line("failed", progress(1, 2))).toMatchObject({ done: "1/2", outcome: "failed", tone: "bad" });
    expect(line("incomplete", progress(1, 2))).toMatchObject({ outcome: "incomplete", tone: "bad" });
  });
  it("has the time that it took until all releases were ready", () => {
    const graph = buildGraph(fold(emptyState("f"), { type: "snapshot", flow: { id: "f", status: "running", startedAt: 0 }, nodes: [node("r/a", { startedAt: 1000, endedAt: 101_000 })] }));
    const rollout: Rollout = { id: "r", startedAt: 1000, outcome: "running", alreadyBroken: [], members: [{ id: "r/a", label: "a", status: "succeeded" }] };
    expect(headline(progress(1, 1), { rollout, progress: rolloutProgress(graph, rollout, 9_000_000) }, 9_000_000).rollout).toMatchObject({ outcome: "all ready", time: "after 1m 40s" });
  });
  it("is not complete while a Kustomization is not ready", () => {
    const line = headline(progress(2, 2, 1), rolled("running", progress(2, 2, 1)), 61_000);
    expect(line).toMatchObject({ percent: "99%", tone: "plain", but: "1 Kustomization not ready", rollout: { outcome: "rolling out" } });
  });
  it("has no rollout if there was none", () => {
    expect(headline(progress(2, 2), null, 0)).toMatchObject({ done: "2/2 ready", tone: "good", rollout: null });
  });
});

describe("the timeline", () => {
  const at = (ms: number, n: FlowNode, seq = ms): LogEntry => ({ seq, at: ms, message: { type: "upsert-nodes", nodes: [n] } });
  const waits = node("r/a", { status: "running", meta: { reason: "DependencyNotReady", waitingSince: 100 } });
  const works = node("r/a", { status: "running", startedAt: 500 });
  const done = node("r/a", { status: "succeeded", startedAt: 500, endedAt: 900 });
  const again = node("r/a", { status: "running", startedAt: 2000 });

  it("separates waiting from working, and runs from each other", () => {
    const of = runs(null, [at(110, waits), at(510, works), at(910, done), at(2010, again)], 3000).get("r/a");
    expect(of?.waiting).toEqual([{ from: 100, to: 500 }]);
    expect(of?.working).toMatchObject([
      { from: 500, to: 900, isOpen: false, hasFailed: false },
      { from: 2000, to: 3000, isOpen: true, hasFailed: false },
    ]);
    expect(of?.working).toHaveLength(2);
  });
  it("ends the bar of a deleted node", () => {
    const of = runs(null, [at(510, works), { seq: 2, at: 700, message: { type: "delete-nodes", ids: ["r/a"] } }], 3000).get("r/a");
    expect(of?.working).toMatchObject([{ from: 500, to: 700, isOpen: false, hasFailed: false }]);
  });
  it("merges a run with an immediate restart", () => {
    const of = runs(null, [at(510, works), at(700, node("r/a", { status: "running", startedAt: 690 })), at(910, node("r/a", { startedAt: 690, endedAt: 900 }))], 3000).get("r/a");
    expect(of?.working).toMatchObject([{ from: 500, to: 900, isOpen: false }]);
  });
  it("does not go beyond the shown instant", () => {
    expect(runs(null, [at(110, waits), at(510, works)], 300).get("r/a")).toEqual({ waiting: [{ from: 100, to: 300 }], working: [] });
  });
  it("starts with the state before the log", () => {
    const base = fold(emptyState("f"), { type: "snapshot", flow: { id: "f", status: "running", startedAt: 0 }, nodes: [works] });
    expect(runs(base, [at(910, done)], 3000).get("r/a")?.working).toMatchObject([{ from: 500, to: 900, isOpen: false, hasFailed: false }]);
  });
  it("takes a bar from the rollout where the log does not reach", () => {
    const member = { id: "r/a", label: "a", status: "succeeded", waitingSince: 100, startedAt: 500, endedAt: 900 };
    expect(toBar(member, undefined, "ready", { from: 100, to: 5000 }, "a")).toMatchObject({ waiting: [{ from: 100, to: 500 }], working: [{ from: 500, to: 900 }] });
  });
  it("has no bar for a member that has neither waited nor worked", () => {
    expect(toBar({ id: "r/a", label: "a", status: "pending" }, undefined, "not-started", { from: 0, to: 9 }, "a")).toBeNull();
  });
  it("orders equally urgent bars by the start of work, and puts one that only waits last", () => {
    const period = { from: 0, to: 5000 };
    const bar = (id: string, startedAt?: number): NonNullable<ReturnType<typeof toBar>> => {
      const member = { id, label: id, status: "running", waitingSince: 10, ...(startedAt === undefined ? {} : { startedAt }) };
      return toBar(member, undefined, startedAt === undefined ? "waiting" : "working", period, id) as NonNullable<ReturnType<typeof toBar>>;
    };
    expect(inOrder([bar("c"), bar("b", 90), bar("a", 50)]).map((b) => b.id)).toEqual(["a", "b", "c"]);
    expect(total(bar("c").waiting)).toBe(4990);
  });
  it("leaves room between the ticks", () => {
    expect(ticks({ from: 0, to: 600_000, width: 900 }, 90)).toEqual([0, 60_000, 120_000, 180_000, 240_000, 300_000, 360_000, 420_000, 480_000, 540_000, 600_000]);
    expect(ticks({ from: 0, to: 10 * 86_400_000 * 365, width: 500 }, 90).length).toBeLessThan(8);
  });
});

describe("the table", () => {
  const row = (id: string, display: DisplayState, more: Partial<FlowNode> = {}) => toRow(node(id, more), display, 10_000, (x) => x);
  const rows = [row("r/a", "ready", { startedAt: 5, endedAt: 1005 }), row("r/b", "broken"), row("r/c", "waiting", { meta: { waitingSince: 4000, waitingFor: ["r/b"] }, status: "running" })];
  it("puts the worst state first", () => {
    expect(sorted(rows, "state", false).map((r) => r.node.label)).toEqual(["b", "c", "a"]);
  });
  it("puts missing values last in both directions", () => {
    expect(sorted(rows, "worked", false).map((r) => r.node.label)).toEqual(["a", "b", "c"]);
    expect(sorted(rows, "worked", true).map((r) => r.node.label)).toEqual(["a", "b", "c"]);
    expect(sorted(rows, "waited", true)[0]?.node.label).toBe("c");
  });
  it("names what a node waits for", () => {
    expect(rows[2]?.what).toBe("waits for r/b");
  });
  it("shows both versions while they differ", () => {
    expect(versionOf(node("r/a", { meta: { versionApplied: "1.0.0", versionWanted: "1.1.0" } }))).toBe("1.0.0 → 1.1.0");
    expect(versionOf(node("r/a", { meta: { versionApplied: "1.1.0", versionWanted: "1.1.0" } }))).toBe("1.1.0");
  });
});

describe("the matrix", () => {
  const v = (id: string, version: string): FlowNode => node(id, { meta: { versionApplied: version } });
  const nodes = [v("a/x", "1"), v("b/x", "1"), v("c/x", "2"), v("a/y", "1"), v("b/y", "1"), v("c/y", "1"), v("a/z", "1"), v("b/z", "1")];
  const displays = new Map<string, DisplayState>(nodes.map((n) => [n.id, n.id === "b/y" ? "broken" : "ready"]));
  const name = (id: string): string => id.slice(2);
  const never = (): boolean => false;
  const rows = matrix(nodes, displays, ["a", "b", "c"], name, never);
  it("has a row for each of two equal names in two namespaces", () => {
    const two = [v("a/one/redis", "1"), v("b/one/redis", "1"), v("a/two/redis", "2")].map((n) => ({ ...n, label: "redis" }));
    expect(matrix(two, new Map(), ["a", "b"], (id) => id.slice(2), never).map((r) => [r.name, r.differs, r.cells.size])).toEqual([["one/redis", false, 2], ["two/redis", true, 1]]);
  });
  it("marks another version, another state, and a missing release", () => {
    expect(rows.map((r) => [r.name, r.differs])).toEqual([["x", true], ["y", true], ["z", true]]);
    expect(rows[0]?.cells.get("c")).toMatchObject({ otherVersion: true, otherState: false });
    expect(rows[0]?.cells.get("a")).toMatchObject({ otherVersion: false });
    expect(rows[1]?.cells.get("b")).toMatchObject({ otherVersion: false, otherState: true });
    expect(rows[2]?.cells.has("c")).toBe(false);
  });
  it("marks nothing if all are alike", () => {
    expect(matrix(nodes.slice(3, 6), new Map(), ["a", "b", "c"], name, never)[0]?.differs).toBe(false);
  });
});

describe("the time zone", () => {
  it.each([
    ["Europe/London", Date.UTC(2026, 0, 1), "GMT"],
    ["Europe/London", Date.UTC(2026, 6, 1), "BST"],
    ["Europe/Berlin", Date.UTC(2026, 0, 1), "CET"],
    ["Europe/Berlin", Date.UTC(2026, 6, 1), "CEST"],
  ])("of %s at %d is %s", async (tz, at, want) => {
    vi.stubEnv("TZ", tz);
    vi.resetModules();
    try {
      const { zone } = await import("../src/lib/format.ts");
      expect(zone(at)).toBe(want);
    } finally {
      vi.unstubAllEnvs();
    }
  });
});

describe("an instant outside the range of a date", () => {
  it.each([8.64e15 + 1, -9_007_199_254_740_991, 1e300, NaN, Infinity])("is formatted without an error: %s", (at) => {
    expect(dateTime(at, 0)).toBe("no date");
    expect(dateTime(0, at)).not.toBe("");
    expect(zone(at)).toBe("");
    expect(duration(at)).not.toBe("");
    expect(formatRoute({ ...HOME, flow: "f", at })).toBe("?flow=f");
  });
});

describe("the outline", () => {
  it("has a separate line for a release with the key of a region's line", () => {
    const two = [node("region a", { region: "a" }), node("a/x")];
    const keys = outline({ nodes: two, displays: new Map(), name: (id) => id, regionIds: new Map(), toggled: new Set() }).map((r) => r.key);
    expect(new Set(keys).size).toBe(keys.length);
  });

  const nodes = [node("b/2"), node("a/2"), node("a/1")];
  const displays = new Map<string, DisplayState>([["a/1", "broken"], ["a/2", "ready"], ["b/2", "ready"]]);
  const rows = (toggled: string[]) => outline({ nodes: [...nodes], displays, name: (id) => id.slice(2), regionIds: new Map([["a", "a"]]), toggled: new Set(toggled) });
  it("has regions by name and their releases by name, with their position among siblings", () => {
    expect(rows([]).map((r) => [r.level, r.label, r.position, r.size])).toEqual([[1, "a", 1, 2], [2, "1", 1, 2], [2, "2", 2, 2], [1, "b", 2, 2], [2, "2", 1, 1]]);
    expect(rows([])[0]?.counts?.get("broken")).toBe(1);
  });
  it("groups by namespace if names need it", () => {
    const of = (ns: string, label: string): FlowNode => node(`r/${ns}/${label}`, { label, meta: { namespace: ns } });
    const input = { nodes: [of("b", "redis"), of("a", "redis"), of("a", "api")], displays, regionIds: new Map(), toggled: new Set<string>() };
    const name = (id: string): string => (id.endsWith("redis") ? id.slice(2) : id.slice(4));
    const lines = (toggled: string[]): unknown => outline({ ...input, name, toggled: new Set(toggled) }).map((r) => [r.level, r.label, r.position, r.size]);
    expect(lines([])).toEqual([[1, "r", 1, 1], [2, "a", 1, 2], [3, "api", 1, 2], [3, "redis", 2, 2], [2, "b", 2, 2], [3, "redis", 1, 1]]);
    expect(lines(["namespace r/a"])).toEqual([[1, "r", 1, 1], [2, "a", 1, 2], [2, "b", 2, 2], [3, "redis", 1, 1]]);
    const own = { ...input, nodes: [of("b", "web"), of("a", "api")], name: (id: string) => id.slice(4) };
    expect(outline(own).map((r) => r.label)).toEqual(["r", "api", "web"]);
    expect(outline({ ...own, byNamespace: true }).map((r) => r.label)).toEqual(["r", "a", "api", "b", "web"]);
  });
  it("hides the releases of a closed region", () => {
    expect(rows(["region a"]).map((r) => r.key)).toEqual(["region a", "region b", "node b/2"]);
  });
  it("starts closed with many releases", () => {
    const many = Array.from({ length: 400 }, (_, i) => node(`r/${i}`));
    expect(outline({ nodes: many, displays, name: (id) => id, regionIds: new Map(), toggled: new Set() })).toHaveLength(1);
  });
});

describe("announcement", () => {
  const label = (id: string): string => id;
  it("names a broken release, and counts others", () => {
    const before = new Map<string, DisplayState>([["a", "working"], ["b", "waiting"], ["c", "waiting"], ["d", "ready"]]);
    const after = new Map<string, DisplayState>([["a", "broken"], ["b", "ready"], ["c", "ready"]]);
    expect(announcement(before, after, label)).toBe("a broken; 2 releases ready; 1 release removed.");
  });
  it("is empty if nothing changed", () => {
    expect(announcement(new Map([["a", "ready"]]), new Map([["a", "ready"]]), label)).toBe("");
  });
});

describe("the history of a node", () => {
  const change = (at: number, meta: Record<string, unknown>, status = "running") => ({ seq: at, at, node: node("r/a", { status, meta }) });
  it("describes changes, newest first, and leaves out invisible ones", () => {
    const list = steps([
      change(1, { reason: "DependencyNotReady", waitingFor: ["r/b"] }),
      change(2, { reason: "Progressing", generation: 1 }),
      change(3, { reason: "Progressing", generation: 1, observedGeneration: 1 }),
      change(4, { reason: "InstallFailed", stalledReason: "RetriesExceeded" }, "failed"),
      { seq: 5, at: 5, node: null },
    ], ({ seq }) => ([null, "waiting", "working", "working", "broken", null] as const)[seq] ?? null, (id) => id);
    expect(list.map((s) => [s.at, s.display, s.text])).toEqual([
      [5, null, "removed"],
      [4, "broken", "InstallFailed, RetriesExceeded"],
      [2, "working", "Progressing"],
      [1, "waiting", "DependencyNotReady"],
    ]);
  });
});

describe("the lines of a timeline", () => {
  const bar = (id: string, region: string, display: DisplayState, from = 0): Bar => ({ id, name: id, region, display, waiting: [], working: [{ from, to: from + 1, isOpen: false, hasFailed: false }], begin: from, end: from + 1 });
  it("have failed bars first, then running ones, then by start, below the headers of their groups", () => {
    const bars = inOrder([bar("a", "r1", "ready", 1), bar("b", "r2", "broken", 5), bar("c", "r1", "working", 3), bar("d", "r2", "ready", 0)]);
    expect(grouped(bars, (b) => b.region).map((l) => ("bar" in l ? l.bar.id : `${l.group}:${l.size}`))).toEqual(["r2:2", "b", "d", "r1:2", "c", "a"]);
    expect(grouped(bars.slice(0, 1), (b) => b.region).map((l) => l.key)).toEqual(["b"]);
  });
  it("zoom around a point, at most to the whole", () => {
    const whole = { from: 0, to: 100_000 };
    expect(zoomed(whole, whole, 0.5, 25_000)).toEqual({ from: 12_500, to: 62_500 });
    expect(zoomed(whole, { from: 90_000, to: 100_000 }, 2, 100_000)).toEqual({ from: 80_000, to: 100_000 });
    expect(zoomed(whole, { from: 0, to: 90_000 }, 2, 0)).toEqual(whole);
  });
});

describe("failures", () => {
  const entry = (at: number, status: string, endedAt?: number): LogEntry => ({ seq: at, at, message: { type: "upsert-nodes", nodes: [{ id: "a", flowId: "f", label: "a", status, ...(endedAt === undefined ? {} : { endedAt }) }] } });
  it("count once each, also if reported repeatedly, without earlier ones", () => {
    const base = fold(emptyState("f"), entry(0, "failed", 5).message);
    expect(failures(base, [entry(10, "failed", 5), entry(20, "running"), entry(30, "failed", 29), entry(40, "failed", 29), entry(50, "failed", 99), entry(60, "running"), entry(70, "failed"), entry(80, "failed")])).toEqual([29, 50, 70]);
    expect(failures(null, [entry(10, "failed", 5)])).toEqual([5]);
  });
});
