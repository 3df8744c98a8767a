import { buildGraph, emptyState, fold, layout, type FlowNode, type FlowState, type RegionLease, type Regions, type SnapshotMessage } from "@openova/flow-core";
import { describe, expect, test } from "vitest";
import { caption } from "../src/scene/caption.js";
import { emphasise, matches } from "../src/view/emphasis.js";
import { highlightOf } from "../src/view/highlight.js";
import { sharedPrefixes } from "../src/scene/labels.js";
import { externalId, addGhosts } from "../src/scene/ghosts.js";
import { hitAt } from "../src/input/hit.js";
import { levelAt } from "../src/view/lod.js";
import { Motion } from "../src/view/motion.js";
import { step } from "../src/input/navigate.js";
import { planTitle } from "../src/paint/regions.js";
import { EXTERNAL, MISSING, Scene, STATES } from "../src/scene/scene.js";
import { ACROSS, CYCLIC, EDGE_TYPES, GHOSTLY, IMPLIED } from "../src/scene/edges.js";
import { TextFitter } from "../src/look/text.js";
import type { View } from "../src/view/view.js";
import { Viewport } from "../src/element/viewport.js";
import type { Renderer } from "../src/paint/renderer.js";
import { fleet, fleetNow } from "./support/fleet.js";
import { zoo } from "./support/zoo.js";

function stateOf(snapshot: SnapshotMessage): FlowState {
  return fold(emptyState(snapshot.flow.id), snapshot);
}
function sceneOf(state: FlowState): Scene {
  const graph = buildGraph(state);
  const withGhosts = addGhosts(graph);
  return new Scene(graph, layout(buildGraph(withGhosts.state)), withGhosts.ghosts, { nodes: state.nodes, now: fleetNow });
}
function viewOf(scene: Scene, k: number): View {
  return { scene, camera: { x: 0, y: 0, k }, size: { width: 1440, height: 900 }, level: levelAt(k), emphasis: null, moving: false };
}
const small = (nodes: readonly Partial<FlowNode>[], edges: readonly (readonly [string, string])[] = []): SnapshotMessage => ({
  type: "snapshot",
  flow: { id: "f", status: "running", startedAt: 0 },
  nodes: nodes.map((n) => ({ flowId: "f", label: n.id!, status: "succeeded", id: n.id!, ...n })),
  relationships: edges.map(([fromId, toId]) => ({ fromId, toId, type: "finish-to-start" as const })),
});

describe("Viewport", () => {
  test("the state of a frame does not change the first view", () => {
    const opened = ["succeeded", "failed"].map((status) => {
      const ids = Array.from({ length: 9 }, (_, i) => `n${i}`);
      const snapshot = small([...ids.map((id) => ({ id, region: "a" })), { id: "g", region: "b", status }, { id: "m", region: "b" }], ids.slice(1).map((id, i) => [ids[i]!, id]));
      const scene = sceneOf(stateOf({ ...snapshot, relationships: [...(snapshot.relationships ?? []), { fromId: "m", toId: "g", type: "contains" }] }));
      expect(scene.ids[scene.count]).toBe("g");
      let view: unknown;
      const renderer = { scene, size: { width: 390, height: 900 }, setCamera: (camera: unknown) => void (view = camera) };
      new Viewport(renderer as unknown as Renderer).show(scene, null);
      return view;
    });
    expect(opened[1]).toEqual(opened[0]);
  });
});

describe("Scene", () => {
  test("has each release once, at its own position, and counts states by region", () => {
    const state = stateOf(fleet({ regions: 3, perRegion: 20 }));
    const scene = sceneOf(state);
    expect(scene.count).toBe(60);
    expect(scene.regions.map((r) => r.total)).toEqual([20, 20, 20]);
    for (const r of scene.regions) expect(r.counts.reduce((a, b) => a + b, 0)).toBe(20);
    for (let i = 0; i < scene.count; i++) {
      const found: number[] = [];
      scene.spatial.query({ x: scene.x[i]! + 1, y: scene.y[i]! + 1, w: scene.w[i]! - 2, h: scene.h[i]! - 2 }, (j) => found.push(j));
      expect(found).toEqual([i]);
    }
  });

  test("keeps all edge types, cycles, missing ends, cross-flow edges and lags", () => {
    const scene = sceneOf(stateOf(zoo()));
    const { edges } = scene;
    const drawn = Array.from({ length: edges.count }, (_, e) => ({
      type: EDGE_TYPES[edges.type[e]!]!, from: scene.ids[edges.from[e]!]!, to: scene.ids[edges.to[e]!]!, flags: edges.flags[e]!,
    }));
    expect(new Set(drawn.map((d) => d.type)).size).toBe(5);
    expect(drawn.find((d) => d.from === "egg" && d.to === "hen")!.flags & CYCLIC).toBeTruthy();
    expect(drawn.find((d) => d.from === "self")!.to).toBe("self");
    const dangling = drawn.find((d) => d.to === "orphan")!;
    expect(dangling).toMatchObject({ from: "gone/bp-nobody", flags: GHOSTLY });
    expect(scene.state[scene.index.get("gone/bp-nobody")!]).toBe(MISSING);
    const outside = externalId("odd", "infrastructure", "network/vpc");
    expect(drawn.some((d) => d.from === outside && d.to === "hen")).toBe(true);
    expect(scene.state[scene.index.get(outside)!]).toBe(EXTERNAL);
    expect(scene.ghosts.get(externalId("odd", "acceptance-tests", "smoke"))).toMatchObject({ flowId: "acceptance-tests", nodeId: "smoke" });
    expect(edges.lag[drawn.findIndex((d) => d.from === "finish-to-start-a")]).toBe(30);
  });

  test("addGhosts returns the same state if all ends exist", () => {
    const graph = buildGraph(stateOf(fleet({ regions: 1, perRegion: 10 })));
    expect(addGhosts(graph).state).toBe(graph.state);
  });

  test("a ghost is replaced by the node once that exists", () => {
    const first = stateOf(small([{ id: "b" }], [["a", "b"]]));
    expect(sceneOf(first).ghosts.has("a")).toBe(true);
    const then = fold(first, { type: "upsert-nodes", nodes: [{ id: "a", flowId: "f", label: "a", status: "running" }] });
    const scene = sceneOf(then);
    expect(scene.ghosts.size).toBe(0);
    expect(STATES[scene.state[scene.index.get("a")!]!]).toBe("working");
  });

  test("an edge is implied if a longer chain leads to the same node; edges of that chain and other long edges are not", () => {
    const scene = sceneOf(stateOf(small([{ id: "a" }, { id: "b" }, { id: "c" }, { id: "z" }], [["a", "b"], ["b", "c"], ["a", "c"], ["z", "c"]])));
    const flags = Object.fromEntries(Array.from({ length: 4 }, (_, e) => [`${scene.ids[scene.edges.from[e]!]!}${scene.ids[scene.edges.to[e]!]!}`, scene.edges.flags[e]!]));
    expect(flags).toEqual({ ab: 0, bc: 0, ac: IMPLIED, zc: 0 });
  });

  test("edges can end at frames, and those between regions are flagged", () => {
    const scene = sceneOf(stateOf({
      ...small([{ id: "r1", region: "r1", meta: { kind: "Region" } }, { id: "x", region: "r1" }, { id: "y", region: "r2" }], [["x", "y"], ["r1", "y"]]),
    }));
    expect(scene.edges.count).toBe(2);
    for (let e = 0; e < 2; e++) expect(scene.edges.flags[e]! & ACROSS).toBe(ACROSS);
    expect([...scene.edges.across]).toEqual([0, 1]);
  });

  test("an update touches only the changed nodes and updates the counts", () => {
    const state = stateOf(fleet({ regions: 2, perRegion: 12 }));
    const scene = sceneOf(state);
    const id = scene.ids[3]!;
    const next = fold(state, { type: "upsert-nodes", nodes: [{ ...state.nodes.get(id)!, status: "failed", meta: { reason: "UpgradeFailed" } }] });
    const touched: number[] = [];
    scene.update(next.nodes, { nodes: next.nodes, now: fleetNow }, undefined, (i) => touched.push(i));
    expect(touched).toEqual([3]);
    expect(STATES[scene.state[3]!]).toBe("broken");
    expect(scene.caption(3)).toBe("UpgradeFailed");
    const [before, after] = [state, next].map((s) => sceneOf(s).regions.map((r) => [...r.counts]));
    expect(after).not.toEqual(before);
    expect(scene.regions.map((r) => [...r.counts])).toEqual(after);
    touched.length = 0;
    scene.update(next.nodes, { nodes: next.nodes, now: fleetNow }, [id], (i) => touched.push(i));
    expect(touched).toEqual([]);
  });

  test("reconsider finds a release whose judgement has become broken without a new event", () => {
    const state = stateOf(small([{ id: "a", status: "running", meta: { judgement: { state: "working", then: [{ at: fleetNow + 60_001, state: "broken" }] } } }]));
    const scene = sceneOf(state);
    expect(STATES[scene.state[0]!]).not.toBe("broken");
    const touched: number[] = [];
    scene.reconsider({ nodes: state.nodes, now: fleetNow + 61_000 }, (i) => touched.push(i), () => undefined);
    expect(touched).toEqual([0]);
    expect(STATES[scene.state[0]!]).toBe("broken");
  });

  test("a stale region shows when it was last seen and the last known states of its nodes, until it recovers", () => {
    const state = stateOf(small([
      { id: "a", region: "r1", status: "running", startedAt: fleetNow - 5000, meta: { action: "upgrade" } }, { id: "b", region: "r1" },
      { id: "c", region: "r1", status: "failed" }, { id: "d", region: "r2", status: "running", startedAt: fleetNow - 5000 },
    ]));
    const scene = sceneOf(state);
    const noted: [string, boolean][] = [];
    const touched: string[] = [];
    const see = (regions: Regions, now: number): void => {
      noted.length = touched.length = 0;
      scene.reconsider({ ...state, regions, now }, (i) => touched.push(scene.ids[i]!), (r, tone) => noted.push([scene.regions[r]!.name, tone]));
    };
    const lease: RegionLease = { state: "stale", since: fleetNow, heard: fleetNow - 30_000, cluster: "uid-1" };
    see(new Map([["r1", lease], ["elsewhere", lease]]), fleetNow + 10_000);
    expect([touched, noted]).toEqual([[], [["r1", true]]]);
    expect(["a", "b", "c", "d"].map((id) => scene.isStale(scene.index.get(id)!))).toEqual([true, true, true, false]);
    const captions = (): string[] => ["a", "b", "c"].map((id) => scene.caption(scene.index.get(id)!));
    expect(captions()).toEqual(["upgrading · 0s", "ready", "failed"]);
    expect(scene.description(scene.index.get("a")!)).toBe("a, r1, working, upgrading · 0s, last seen 40 s ago");
    // In a stale region only the note counts time, and its tone stays the same.
    expect(["a", "d"].map((id) => scene.retime(scene.index.get(id)!, fleetNow + 60_000))).toEqual([false, true]);
    see(new Map([["r1", lease]]), fleetNow + 210_000);
    expect([touched, noted, scene.regions[0]!.note.text]).toEqual([[], [["r1", false]], "last seen 4 min ago"]);
    see(new Map([["r1", lease]]), fleetNow + 211_000);
    expect(noted).toEqual([]);
    see(new Map([["r1", { ...lease, state: "fresh" as const, refused: { cluster: "uid-2", at: 1 } }]]), fleetNow + 212_000);
    expect(scene.isStale(0)).toBe(false);
    expect([touched, noted, scene.regions[0]!.note]).toEqual([[], [["r1", true]], { text: "a second cluster is refused", short: "refused", tone: "refused" }]);
    see(new Map(), fleetNow + 213_000);
    expect([noted, scene.regions[0]!.note.text, scene.caption(scene.index.get("b")!)]).toEqual([[["r1", true]], "", "ready"]);
  });

  test("sharedPrefixes finds the longest prefix shared with another name", () => {
    const lengths = sharedPrefixes(["ingress-internal", "ingress-external", "openova-server", "openova-server-log", "postgres", "postgres"]);
    expect(Object.fromEntries(lengths)).toEqual({ "ingress-internal": 8, "ingress-external": 8, "openova-server": 14, "openova-server-log": 14, postgres: 0 });
  });

  test("compares working releases with usual durations once they are set", () => {
    const scene = sceneOf(stateOf(small([{ id: "a", status: "running", startedAt: fleetNow - 57_000 }])));
    expect(scene.caption(0)).toBe("57s");
    scene.usual = new Map([["a", { median: 40_000, least: 31_000, most: 62_000 }]]);
    expect(scene.caption(0)).toBe("57s, usually 40s (31s to 1m 02s)");
  });

  test("the common prefix of all names can be left out", () => {
    const scene = sceneOf(stateOf(fleet({ regions: 1, perRegion: 5 })));
    expect(scene.prefix).toBe("bp-");
    const label = (isShort: boolean): string => scene.fitLabel(scene.index.get("hz-fsn-1/bp-cilium")!, new TextFitter(() => 0.5), 100, 10, 400, isShort);
    expect([label(true), label(false)]).toEqual(["cilium", "bp-cilium"]);
    expect(sceneOf(stateOf(small([{ id: "ab-c" }, { id: "ab" }, { id: "ab-d" }]))).prefix).toBe("");
  });

  test("at any scale, the title of a lane exists wherever nodes are drawn, and covers no node or other lane", () => {
    const scene = sceneOf(stateOf(fleet({ regions: 9, perRegion: 40 })));
    const kinds = new Set<string>();
    for (const text of [new TextFitter(() => 0.6), new TextFitter(() => 0.2)]) for (const k of [1, 0.7, 0.5, 0.35, 0.3, 0.25, 0.2, 0.16, 0.4]) {
      for (const region of scene.regions) {
        const plan = planTitle(viewOf(scene, k), region, text)!;
        expect(plan).toBeDefined();
        kinds.add(plan.kind);
        const x0 = region.x * k, y0 = region.y * k + plan.y;
        const hits = (r: { x: number; y: number; w: number; h: number }): boolean =>
          r.x * k < x0 + plan.w - 1e-3 && (r.x + r.w) * k > x0 && r.y * k < y0 + plan.h - 1e-3 && (r.y + r.h) * k > y0 + 1e-3;
        for (const i of region.nodes) expect(hits({ x: scene.x[i]!, y: scene.y[i]!, w: scene.w[i]!, h: scene.h[i]! })).toBe(false);
        for (const other of scene.regions) if (other !== region) expect(hits(other)).toBe(false);
      }
    }
    expect([...kinds].toSorted()).toEqual(["corner", "legend", "strip"]);
  });

  test("titles are planned again after the font has changed", () => {
    const state = stateOf(fleet({ regions: 9, perRegion: 40 }));
    const plan = (scene: Scene, text: TextFitter) => scene.regions.map((region) => planTitle(viewOf(scene, 0.3), region, text));
    const scene = sceneOf(state);
    const [narrow, wide] = [new TextFitter(() => 0.2), new TextFitter(() => 3)];
    expect(plan(scene, narrow)).not.toEqual(plan(sceneOf(state), wide));
    expect(plan(scene, wide)).toEqual(plan(sceneOf(state), wide));
  });

  test("no id of a node equals that of the ghost for a node of another flow", () => {
    const id = "\u0000r1\u0000infra\u0000vpc";
    const scene = sceneOf(stateOf({
      ...small([{ id: "a", region: "r1" }, { id, label: "mine", region: "r2" }]),
      relationships: [{ fromId: "vpc", fromFlowId: "infra", toId: "a", type: "finish-to-start" }],
    }));
    expect(scene.count).toBe(3);
    const i = scene.index.get(id)!;
    expect([scene.regions[scene.region[i]!]!.name, scene.labels[i], STATES[scene.state[i]!]]).toEqual(["r2", "mine", "ready"]);
  });

  test("an empty flow is an empty scene", () => {
    const scene = sceneOf(stateOf(small([])));
    expect(scene.count).toBe(0);
    expect(hitAt(viewOf(scene, 1), 10, 10)).toBeNull();
    expect(step(scene, scene.edges, -1, "right")).toBe(-1);
  });
});

describe("captions", () => {
  const context = { now: 1_000_000, name: (id: string) => id.slice(id.lastIndexOf("/") + 1), exists: (id: string) => id === "r/cert-manager", usual: new Map([["redis", { median: 40_000, least: 31_000, most: 62_000 }]]) };
  const node = (more: Partial<FlowNode>): FlowNode => ({ id: "a", flowId: "f", label: "a", status: "running", ...more });
  test.each([
    ["waiting for cert-manager", node({ meta: { waitingFor: ["r/cert-manager"] } }), "waiting"],
    ["waiting for cert-manager +2", node({ meta: { waitingFor: ["r/cert-manager", "x", "y"] } }), "waiting"],
    ["2m 10s", node({ startedAt: 1_000_000 - 130_000 }), "working"],
    ["upgrading · 2m 10s", node({ startedAt: 1_000_000 - 130_000, meta: { action: "upgrade" } }), "working"],
    ["57s, usually 40s (31s to 1m 02s) · upgrading", node({ label: "redis", startedAt: 1_000_000 - 57_000, meta: { action: "upgrade" } }), "working"],
    ["1.2.0 · 57s", node({ label: "redis", status: "succeeded", startedAt: 0, endedAt: 57_000, meta: { versionApplied: "1.2.0" } }), "ready"],
    ["1.2.0 · 1m 03s, usually 40s (31s to 1m 02s)", node({ label: "redis", status: "succeeded", startedAt: 0, endedAt: 63_000, meta: { versionApplied: "1.2.0" } }), "ready"],
    ["InstallFailed", node({ status: "failed", meta: { reason: "InstallFailed" } }), "broken"],
    ["needs bp-nobody: missing", node({ status: "pending", meta: { waitingFor: ["r/bp-nobody"], reason: "DependencyNotReady" } }), "broken"],
    ["1.14.2 · 34s", node({ status: "succeeded", startedAt: 0, endedAt: 34_000, meta: { versionApplied: "1.14.2" } }), "ready"],
    ["1.14.2", node({ status: "succeeded", startedAt: 0, endedAt: 34_000, meta: { versionApplied: "1.14.2", startedAtIsLowerBound: true } }), "ready"],
    ["deleting for 5s", node({ meta: { deletingSince: 995_000 } }), "terminating"],
    ["suspended", node({}), "suspended"],
    ["not started", node({ status: "pending" }), "not-started"],
  ] as const)("%s", (text, n, display) => {
    expect(caption(n, display, context)).toBe(text);
  });
});

describe("emphasise", () => {
  const chain = stateOf(small(
    [{ id: "a", status: "failed", meta: { reason: "InstallFailed" } }, { id: "b", status: "pending" }, { id: "c", status: "pending" }, { id: "z" }],
    [["a", "b"], ["b", "c"]],
  ));
  test("a selection emphasises the chains from its blocker and to what it blocks, and dims the rest", () => {
    const scene = sceneOf(chain);
    const graph = buildGraph(chain);
    const b = scene.index.get("b")!;
    const e = emphasise(scene, b, highlightOf(graph, "b", fleetNow), null)!;
    const dimmed = scene.ids.slice(0, scene.count).filter((_, i) => e.dim[i] === 1);
    expect(dimmed).toEqual(["z"]);
    expect(e.blockedBy.map((k) => scene.ids[scene.edges.from[k]!])).toEqual(["a"]);
    expect(e.blocks.map((k) => scene.ids[scene.edges.to[k]!])).toEqual(["c"]);
  });
  test("a filter by predicate or ids dims the rest", () => {
    const scene = sceneOf(chain);
    const kept = (passed: Uint8Array): string[] => scene.ids.slice(0, scene.count).filter((_, i) => emphasise(scene, -1, null, passed)!.dim[i] === 0);
    expect(kept(matches(scene, (n) => n.status === "failed"))).toEqual(["a"]);
    expect(kept(matches(scene, new Set(["z", "nobody"])))).toEqual(["z"]);
  });
  test("is null without selection and filter", () => {
    expect(emphasise(sceneOf(chain), -1, null, null)).toBeNull();
  });
});

describe("arrow keys", () => {
  const scene = sceneOf(stateOf(small([{ id: "a" }, { id: "b" }, { id: "c" }, { id: "d" }], [["a", "b"], ["a", "c"], ["c", "d"]])));
  const go = (from: string, direction: "left" | "right" | "up" | "down"): string | undefined => scene.ids[step(scene, scene.edges, scene.index.get(from)!, direction)];
  test("go along edges sideways and back again", () => {
    expect(["b", "c"]).toContain(go("a", "right"));
    expect(go("c", "right")).toBe("d");
    expect(go("d", "left")).toBe("c");
    expect(go("c", "left")).toBe("a");
  });
  test("go to the neighbour up and down", () => {
    const [upper, lower] = scene.y[scene.index.get("b")!]! < scene.y[scene.index.get("c")!]! ? ["b", "c"] : ["c", "b"];
    expect(go(upper!, "down")).toBe(lower);
    expect(go(lower!, "up")).toBe(upper);
  });
  test("reach every node of a large flow", () => {
    const large = sceneOf(stateOf(fleet({ regions: 2, perRegion: 30 })));
    const reached = new Set([step(large, large.edges, -1, "right")]);
    for (const i of reached) for (const d of ["left", "right", "up", "down"] as const) {
      const next = step(large, large.edges, i, d);
      if (next >= 0) reached.add(next);
    }
    expect(reached.size).toBe(large.count);
  });
});

describe("Motion", () => {
  test("moves only what has another position, and ends exactly there", () => {
    const state = stateOf(fleet({ regions: 3, perRegion: 20 }));
    const graph = buildGraph(state);
    const before = layout(graph);
    const next = fold(state, { type: "upsert-nodes", nodes: [{ id: "hz-fsn-1/new", flowId: "fleet", label: "new", status: "pending", region: "hz-fsn-1" }] });
    const after = layout(buildGraph(next), before);
    const context = { nodes: next.nodes, now: fleetNow };
    const a = new Scene(graph, before, new Map(), context), b = new Scene(buildGraph(next), after, new Map(), context);
    const goal = [...b.x];
    const motion = new Motion(a, b, 400);
    motion.at(0);
    for (const [i, id] of b.ids.entries()) {
      const k = a.index.get(id);
      if (k !== undefined && i < b.count) expect([b.x[i], b.y[i]]).toEqual([a.x[k], a.y[k]]);
    }
    const still = b.ids.filter((id, i) => b.region[i] !== b.regions.findIndex((r) => r.name === "hz-fsn-1") && i < b.count && b.x[i] === goal[i] && a.index.has(id));
    expect(still.length).toBe(40);
    motion.at(1);
    expect([...b.x]).toEqual(goal);
  });
  test("is empty if no position differs", () => {
    const state = stateOf(fleet({ regions: 1, perRegion: 8 }));
    expect(new Motion(sceneOf(state), sceneOf(state), 400).empty).toBe(true);
  });
});
