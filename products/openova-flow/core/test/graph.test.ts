import { describe, expect, it } from "vitest";
import { blockedBy, blockingChains, blocks, buildGraph, criticalPath, fold, upstream, type FlowGraph, type FlowNode, type Relationship } from "../src/index.js";
import { edge, graphOf, node, recordedAt, stateOf } from "./flow.js";
import { Random } from "./random.js";

const now = 10_000;

describe("buildGraph", () => {
  it("has edges, containers, leaves and dangling ends", () => {
    const g = graphOf(
      [node("r", "running", { kind: "Region" }), node("a"), node("b"), node("empty", "pending", { kind: "Region" })],
      [
        edge("a", "b"),
        edge("gone", "b"),
        edge("a", "later"),
        edge("b", "x", { toFlowId: "other" }),
        edge("a", "r", { type: "contains" }),
        edge("b", "r", { type: "contains" }),
        edge("r", "r2", { type: "contains" }),
        edge("b", "a", { type: "contains", fromFlowId: "other" }),
      ],
    );
    expect(g.leaves).toEqual(["a", "b"]);
    expect(g.children).toEqual(new Map([["r", ["a", "b"]]]));
    expect(g.parent.get("a")).toBe("r");
    expect(g.edges.map((e) => [e.from, e.to, e.danglingFrom, e.danglingTo, e.toFlowId]).sort()).toEqual([
      ["a", "b", false, false, undefined],
      ["a", "later", false, true, undefined],
      ["b", "x", false, false, "other"],
      ["gone", "b", true, false, undefined],
    ]);
    expect(g.in("b").map((e) => e.from)).toEqual(["a", "gone"]);
    expect(g.out("nowhere")).toEqual([]);
  });

  it("shares the adjacency while the topology does not change", () => {
    const state = stateOf([node("a"), node("b", "running")], [edge("a", "b")]);
    const g = buildGraph(state);
    const next = buildGraph(fold(state, { type: "upsert-nodes", nodes: [node("b")] }), g);
    expect(next.edges).toBe(g.edges);
    expect(next.nodes.get("b")?.status).toBe("succeeded");
    expect(g.nodes.get("b")?.status).toBe("running");
    expect(buildGraph(fold(state, { type: "delete-nodes", ids: ["a"] }), g).edges).toEqual([]);
  });

  it("changes with the role of a node, not with its kind otherwise", () => {
    const state = stateOf([node("a"), node("b"), node("c")]);
    const g = buildGraph(state);
    expect(g.leaves).toEqual(["a", "b", "c"]);
    const next = buildGraph(fold(state, { type: "upsert-nodes", nodes: [node("a", "succeeded", { kind: "Region" }), node("b", "succeeded", { auxiliary: true })] }), g);
    expect(next.leaves).toEqual(["c"]);
    const other = buildGraph(fold(state, { type: "upsert-nodes", nodes: [node("c", "succeeded", { kind: "Kustomization" })] }), g);
    expect(other.topologyVersion).toBe(g.topologyVersion);
  });

  it("marks cycles and nothing else", () => {
    const g = graphOf(
      ["a", "b", "c", "d", "e"].map((id) => node(id)),
      [edge("a", "b"), edge("b", "c"), edge("c", "b"), edge("c", "d"), edge("e", "e"), edge("b", "a", { type: "contains" })],
    );
    expect(g.edges.filter((e) => e.cyclic).map((e) => e.from + e.to)).toEqual(["bc", "cb", "ee"]);
  });

  it("makes no container from a contains across regions", () => {
    const of = (id: string, region?: string): FlowNode => node(id, "failed", {}, region === undefined ? {} : { region });
    const contains = (from: string, to: string): Relationship => edge(from, to, { type: "contains" });
    const g = graphOf(
      [of("fsn1/a", "fsn1"), of("fsn1/group", "fsn1"), of("hel1/cilium", "hel1"), of("root"), of("leaf", "")],
      [contains("fsn1/a", "hel1/cilium"), contains("fsn1/a", "fsn1/group"), contains("fsn1/a", "root"), contains("leaf", "root")],
    );
    expect(g.leaves).toEqual(["fsn1/a", "hel1/cilium", "leaf"]);
    expect([...g.parent]).toEqual([["fsn1/a", "fsn1/group"], ["leaf", "root"]]);
    expect(g.isContainer("hel1/cilium")).toBe(false);
  });

  it("is acyclic without the cyclic edges; cycles across regions do not affect the order within a region", () => {
    for (let seed = 0; seed < 200; seed++) {
      const r = new Random(seed);
      const ids = Array.from({ length: 3 + r.below(9) }, (_, i) => `r${i % 3}/n${i}`);
      const region = (id: string): string => id.slice(0, 2);
      const g = graphOf(ids.map((id) => node(id, "running", {}, { region: region(id) })), Array.from({ length: r.below(20) }, () => edge(r.pick(ids), r.pick(ids))));
      const own = graphOf(ids.map((id) => node(id, "running", {}, { region: region(id) })), g.edges.filter((e) => region(e.from) === region(e.to)).map((e) => e.rel));
      const within = (of: FlowGraph): readonly string[] => of.edges.filter((e) => e.cyclic && region(e.from) === region(e.to)).map((e) => e.key).sort();
      expect(within(g)).toEqual(within(own));
      const left = graphOf(ids.map((id) => node(id)), g.edges.filter((e) => !e.cyclic).map((e) => e.rel));
      expect(left.edges.filter((e) => e.cyclic)).toEqual([]);
      for (const e of g.edges) {
        const onCycle = e.from === e.to || blocks(g, e.to).includes(e.from);
        if (region(e.from) !== region(e.to)) expect(e.cyclic).toBe(onCycle);
      }
    }
  });

  it("agrees with reachability about cycles on random graphs", () => {
    for (let seed = 0; seed < 100; seed++) {
      const r = new Random(seed);
      const ids = Array.from({ length: 3 + r.below(9) }, (_, i) => `n${i}`);
      const g = graphOf(ids.map((id) => node(id)), Array.from({ length: r.below(20) }, () => edge(r.pick(ids), r.pick(ids))));
      for (const e of g.edges) expect(e.cyclic).toBe(e.from === e.to || blocks(g, e.to).includes(e.from));
    }
  });

  it("walks a chain of 20,000 without recursion", () => {
    const ids = Array.from({ length: 20_000 }, (_, i) => `n${i}`);
    const g = graphOf(ids.map((id) => node(id, "running", { reason: "DependencyNotReady" })), ids.slice(1).map((id, i) => edge(`n${i}`, id)));
    expect(g.edges.some((e) => e.cyclic)).toBe(false);
    expect(blocks(g, "n0")).toHaveLength(19_999);
    expect(blockedBy(g, "n19999", now).map((b) => b.id)).toEqual(["n0"]);
  });
});

describe("blockedBy", () => {
  const waits = (id: string): FlowNode => node(id, "running", { reason: "DependencyNotReady" });
  const ask = (nodes: FlowNode[], rels: Relationship[], id: string): unknown[] => blockedBy(graphOf(nodes, rels), id, now).map((b) => [b.id, b.display]);

  it("finds the earliest unfinished upstream, with reason and path", () => {
    const g = graphOf([node("a", "failed", { reason: "InstallFailed", message: "boom" }), waits("b"), waits("c")], [edge("a", "b"), edge("b", "c")]);
    expect(blockedBy(g, "c", now)).toEqual([{ id: "a", display: "broken", reason: "failed" }]);
    expect(blockingChains(g, "c", now)).toEqual([["a", "b", "c"]]);
  });

  it("is empty for a ready node, one whose dependencies are ready, and an unknown id", () => {
    expect(ask([waits("a"), node("b")], [edge("a", "b")], "b")).toEqual([]);
    expect(ask([node("a"), waits("b")], [edge("a", "b")], "b")).toEqual([]);
    expect(ask([], [], "nowhere")).toEqual([]);
  });

  it("names missing ids, worst first, and nothing upstream of broken or working nodes", () => {
    const nodes = [waits("t"), node("w", "running"), node("x", "failed"), node("top", "failed"), waits("above")];
    const rels = [edge("w", "t"), edge("x", "t"), edge("top", "x"), edge("gone", "t"), edge("above", "w")];
    expect(ask(nodes, rels, "t")).toEqual([
      ["gone", "missing"],
      ["x", "broken"],
      ["w", "working"],
    ]);
  });

  it("names a suspended node unless it is ready", () => {
    expect(ask([node("s", "running", { suspended: true }), node("ok", "succeeded", { suspended: true }), waits("t")], [edge("s", "t"), edge("ok", "t")], "t")).toEqual([
      ["s", "suspended"],
    ]);
  });

  it("follows conditions and types", () => {
    const nodes = [node("ok"), node("bad", "failed"), node("new", "pending"), waits("t")];
    expect(ask(nodes, [edge("bad", "t", { condition: "on-failure" }), edge("bad", "t", { type: "finish-to-finish", condition: "always" })], "t")).toEqual([]);
    expect(ask(nodes, [edge("ok", "t", { condition: "on-failure" })], "t")).toEqual([["ok", "ready"]]);
    expect(ask(nodes, [edge("new", "t", { type: "triggers" })], "t")).toEqual([]);
    expect(ask(nodes, [edge("bad", "t", { type: "start-to-start" })], "t")).toEqual([]);
    expect(ask(nodes, [edge("new", "t", { type: "start-to-start" })], "t")).toEqual([["new", "not-started"]]);
    expect(ask(nodes, [edge("far", "t", { fromFlowId: "other" })], "t")).toEqual([]);
  });

  it("names a cycle, also for nodes downstream of it", () => {
    const nodes = [waits("a"), waits("b"), waits("c")];
    const rels = [edge("a", "b"), edge("b", "a"), edge("b", "c")];
    expect(ask(nodes, rels, "c")).toEqual([
      ["b", "cycle"],
      ["a", "cycle"],
    ]);
    expect(ask(nodes, rels, "a")).toEqual([["b", "cycle"]]);
    expect(ask([waits("a")], [edge("a", "a")], "a")).toEqual([["a", "cycle"]]);
  });

  it("finds at 130 s of kit-fsn1 that seaweedfs blocks grafana", () => {
    const { graph, now } = recordedAt("kit-fsn1", 130);
    expect(blockedBy(graph, "fsn1/bp-grafana", now)[0]).toMatchObject({ id: "fsn1/bp-seaweedfs", display: "broken", reason: "install-failed" });
    expect(blocks(graph, "fsn1/bp-seaweedfs")).toEqual(expect.arrayContaining(["fsn1/bp-loki", "fsn1/bp-grafana"]));
  });
});

describe("blocks and upstream", () => {
  it("return each node once, nearest first, without the node itself, also in cycles", () => {
    const g = graphOf(["a", "b", "c", "d"].map((id) => node(id)), [edge("a", "b"), edge("b", "c"), edge("c", "a"), edge("a", "d"), edge("d", "gone")]);
    expect(blocks(g, "a")).toEqual(["b", "d", "c"]);
    expect(upstream(g, "a")).toEqual(["c", "b"]);
  });
});

describe("criticalPath", () => {
  const ran = (id: string, startedAt: number, endedAt?: number): FlowNode =>
    node(id, endedAt === undefined ? "running" : "succeeded", {}, { startedAt, ...(endedAt === undefined ? {} : { endedAt }) });

  it("is the longest chain, with waiting and working time", () => {
    const g = graphOf(
      [ran("a", 0, 1000), ran("b", 1500, 3000), ran("c", 0, 2000), ran("d", 3200)],
      [edge("a", "b"), edge("b", "d"), edge("c", "d")],
    );
    const path = criticalPath(g, 5000);
    expect(path).toMatchObject({ ids: ["a", "b", "d"], durationMs: 5000, workingMs: 4300, waitingMs: 700 });
    expect(path.edgeKeys).toHaveLength(2);
    expect(criticalPath(g, 5000, ["a", "c"]).ids).toEqual(["c"]);
  });

  it("ignores a dependency that did not cause the run", () => {
    const g = graphOf([ran("a", 0, 1000), ran("later", 500_000, 501_000), ran("before", 0, 400), ran("rerun", 5000, 5900)], [
      edge("a", "later"),
      edge("rerun", "before"),
    ]);
    expect(criticalPath(g, 600_000)).toMatchObject({ ids: ["a"], durationMs: 1000 });
  });

  it("counts waiting only while no dependency is running", () => {
    const waits = node("w", "running", { reason: "DependencyNotReady" });
    expect(criticalPath(graphOf([ran("a", 0, 1000), waits], [edge("a", "w"), edge("gone", "w")]), 9000).waitingMs).toBe(0);
    expect(criticalPath(graphOf([ran("a", 0, 1000), waits], [edge("a", "w")]), 9000)).toMatchObject({ ids: ["a", "w"], waitingMs: 8000 });
  });

  it("is empty before anything has started, and ends in cycles too", () => {
    expect(criticalPath(graphOf([node("a", "pending")]), now).ids).toEqual([]);
    expect(criticalPath(graphOf([ran("a", 0, 10), ran("b", 10, 30)], [edge("a", "b"), edge("b", "a")]), now).durationMs).toBe(20);
  });

  it("ignores edges to and from other flows, also if an id there equals one here", () => {
    const nodes = [ran("a", 0, 1000), ran("b", 1000, 3000)];
    const foreign = [edge("b", "a", { fromFlowId: "other" }), edge("a", "b", { type: "finish-to-finish", toFlowId: "other" })];
    expect(criticalPath(graphOf(nodes, [edge("a", "b"), ...foreign]), now)).toEqual(criticalPath(graphOf(nodes, [edge("a", "b")]), now));
  });

  it("covers the whole time of hel1's bootstrap", () => {
    const { graph, start, now } = recordedAt("kit-hel1", 200);
    const path = criticalPath(graph, now);
    const last = graph.nodes.get(path.ids.at(-1) as string) as FlowNode;
    expect(path.durationMs).toBe((last.endedAt ?? now) - (graph.nodes.get(path.ids[0] as string)?.startedAt ?? start));
    expect(path.ids[0]).toBe("hel1/bp-cilium");
    expect(path.waitingMs).toBeGreaterThan(0);
  });
});
