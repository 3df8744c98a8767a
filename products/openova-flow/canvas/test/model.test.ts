import { buildGraph, emptyState, fold, foldAll, layout, withRegions, type FlowGraph, type FlowNode, type FlowState, type LayoutResult, type Regions } from "@openova/flow-core";
import { describe, expect, test } from "vitest";
import { hitAt } from "../src/input/hit.js";
import type { View } from "../src/view/view.js";
import { Model } from "../src/scene/model.js";
import { STATES, type Scene } from "../src/scene/scene.js";
import { fleet, fleetNow } from "./support/fleet.js";

/** A model with a layout client whose results the test releases. */
function harness(): { clock: (at: number) => void; model: Model; scenes: Scene[]; touched: string[]; noted: string[]; pending: (() => void)[]; closed: () => number } {
  const scenes: Scene[] = [], touched: string[] = [], noted: string[] = [], pending: (() => void)[] = [];
  let closed = 0, now = fleetNow;
  const model: Model = new Model({
    now: () => now,
    layoutClient: () => ({
      layout: (graph: FlowGraph, previous?: LayoutResult | null) => new Promise((resolve) => pending.push(() => resolve(layout(graph, previous)))),
      close: () => void closed++,
    }),
    cardWidth: () => 168,
    scene: (s) => scenes.push(s),
    touched: (i) => touched.push(model.scene!.ids[i]!),
    noted: (r) => noted.push(model.scene!.regions[r]!.name),
  });
  return { clock: (at) => void (now = at), model, scenes, touched, noted, pending, closed: () => closed };
}
const start = (): FlowState => fold(emptyState("fleet"), fleet({ regions: 1, perRegion: 6 }));
const grown = (state: FlowState, id: string): FlowState => fold(state, { type: "upsert-nodes", nodes: [{ id, flowId: "fleet", label: id, status: "pending", region: "hz-fsn-1" }] });
const laid = async (h: ReturnType<typeof harness>, work: Promise<void>): Promise<void> => {
  h.pending.shift()?.();
  await work;
};
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("Model", () => {
  test("a change of status needs no layout", async () => {
    const h = harness();
    const state = start();
    const done = h.model.apply(state);
    expect(h.model.busy).toBe(true);
    h.pending.shift()!();
    await done;
    expect([h.scenes.length, h.model.busy]).toEqual([1, false]);
    const id = h.scenes[0]!.ids[0]!;
    await h.model.apply(fold(state, { type: "upsert-nodes", nodes: [{ ...state.nodes.get(id)!, status: "failed" }] }));
    expect([h.scenes.length, h.pending.length, h.touched]).toEqual([1, 0, [id]]);
  });

  test("every scene has the usual durations, whenever they are set", async () => {
    const h = harness();
    const state = fold(emptyState("f"), { type: "upsert-nodes", nodes: [{ id: "a", flowId: "f", label: "a", status: "running", startedAt: fleetNow - 57_000 }] });
    const usual = (median: number): void => void (h.model.usual = new Map([["a", { median, least: median, most: median }]]));
    usual(40_000);
    const done = h.model.apply(state);
    h.pending.shift()!();
    await done;
    expect(h.scenes[0]!.caption(0)).toBe("57s, usually 40s");
    usual(30_000);
    expect(h.scenes[0]!.caption(0)).toBe("57s, usually 30s");
  });

  test("a region that becomes stale and recovers needs no layout", async () => {
    const h = harness();
    const state = start();
    const done = h.model.apply(state);
    const stale: Regions = new Map([["hz-fsn-1", { state: "stale", since: fleetNow, heard: fleetNow - 240_000, cluster: "uid-1" }]]);
    // Set during the layout.
    void h.model.apply(withRegions(state, stale));
    h.pending.shift()!();
    await done;
    expect(h.scenes.map((s) => [s.regions[0]!.note.text, s.isStale(0)])).toEqual([["last seen 4 min ago", true]]);
    await h.model.apply(state);
    expect(h.noted).toEqual(["hz-fsn-1"]);
    expect(h.touched).toEqual([]);
    expect(h.scenes[0]!.isStale(0)).toBe(false);
    expect([h.scenes.length, h.pending.length]).toEqual([1, 0]);
  });

  test("a flow that grows faster than layouts finish is updated after each layout, with the newest statuses", async () => {
    const h = harness();
    let state = start();
    const done = h.model.apply(state);
    for (const id of ["n1", "n2", "n3"]) void h.model.apply((state = grown(state, id)));
    const first = [...state.nodes.keys()].find((id) => id.includes("/"))!;
    void h.model.apply((state = fold(state, { type: "upsert-nodes", nodes: [{ ...state.nodes.get(first)!, status: "failed", meta: { reason: "Late" } }] })));
    expect(h.pending).toHaveLength(1);
    h.pending.shift()!();
    await turn();
    expect(h.scenes.map((s) => s.count)).toEqual([6]);
    expect(h.scenes[0]!.caption(h.scenes[0]!.index.get(first)!)).toBe("Late");
    h.pending.shift()!();
    await done;
    expect(h.scenes.map((s) => s.count)).toEqual([6, 9]);
    expect([h.pending.length, h.model.busy]).toEqual([0, false]);
  });

  test("another flow discards a running layout", async () => {
    const h = harness();
    void h.model.apply(start());
    const other = fold(emptyState("other"), { type: "snapshot", flow: { id: "other", status: "running", startedAt: 0 }, nodes: [{ id: "x", flowId: "other", label: "x", status: "running" }] });
    const done = h.model.apply(other);
    h.pending.shift()!();
    await turn();
    expect(h.scenes).toEqual([]);
    h.pending.shift()!();
    await done;
    expect(h.scenes.map((s) => s.graph.flowId)).toEqual(["other"]);
  });

  test("while another flow is laid out, the scene of the previous one stays as it is", async () => {
    const h = harness();
    const done = h.model.apply(start());
    h.pending.shift()!();
    await done;
    const other = (status: string): FlowState => fold(emptyState("other"), { type: "snapshot", flow: { id: "other", status: "running", startedAt: 0 }, nodes: [{ id: "x", flowId: "other", label: "x", status }] });
    void h.model.apply(other("running"));
    void h.model.apply(other("failed"));
    expect(h.touched).toEqual([]);
    expect(h.scenes[0]!.kind(0)).toBe("node");
    h.pending.shift()!();
    await turn();
    expect([h.model.scene!.graph.flowId, STATES[h.model.scene!.state[0]!]]).toEqual(["other", "broken"]);
  });

  test("close ends the client and discards its layout; the next state makes a new client", async () => {
    const h = harness();
    const state = start();
    void h.model.apply(state);
    h.model.close();
    expect([h.closed(), h.model.busy]).toEqual([1, false]);
    h.pending.shift()!();
    await turn();
    expect(h.scenes).toEqual([]);
    const done = h.model.apply(state);
    h.pending.shift()!();
    await done;
    expect(h.scenes).toHaveLength(1);
  });

  test("the graph belongs to the newest state and is cached", async () => {
    const h = harness();
    expect(h.model.graph).toBeNull();
    const state = start();
    void h.model.apply(state);
    expect(h.model.graph!.state).toBe(state);
    expect(h.model.graph).toBe(h.model.graph);
    expect(h.model.graph!.leaves).toEqual(buildGraph(state).leaves);
  });

  test("draws a frame around the releases of each namespace of a region when asked to", async () => {
    const h = harness();
    const of = (id: string, namespace: string): FlowNode => ({ id, flowId: "f", label: id.split("/").at(-1)!, region: "r", status: "succeeded", meta: { kind: "HelmRelease", namespace } });
    const region: FlowNode = { id: "r", flowId: "f", label: "r", region: "r", status: "running", meta: { kind: "Region" } };
    const within = (...ids: string[]) => ids.map((fromId) => ({ fromId, toId: "r", type: "contains" }) as const);
    await laid(h, h.model.apply(foldAll(emptyState("f"), [
      { type: "upsert-nodes", nodes: [region, of("r/api", "web"), of("r/web", "web"), of("r/db/store", "db")] },
      { type: "upsert-rels", relationships: within("r/api", "r/web", "r/db/store") },
    ])));
    expect(h.scenes[0]!.groups).toEqual([]);
    await laid(h, h.model.group(true));
    const scene = h.scenes[1]!;
    const inside = (label: string): string[] => {
      const g = scene.groups.find((g) => g.label === label)!;
      return scene.ids.slice(0, scene.count).filter((_, i) => scene.x[i]! >= g.x && scene.y[i]! >= g.y && scene.x[i]! + scene.w[i]! <= g.x + g.w && scene.y[i]! + scene.h[i]! <= g.y + g.h).sort();
    };
    expect([inside("web"), inside("db")]).toEqual([["r/api", "r/web"], ["r/db/store"]]);
    // The frame of a namespace does not lengthen the name of a release, and cannot be selected.
    expect(scene.labels[scene.index.get("r/web")!]).toBe("web");
    const frame = scene.groups[0]!;
    expect(hitAt({ scene, camera: { x: 0, y: 0, k: 1 } } as View, frame.x + 2, frame.y + 2)).toBeNull();
    await laid(h, h.model.group(false));
    expect(h.scenes[2]!.groups).toEqual([]);
  });

  test("draws a node whose id looks like that of a namespace's frame", async () => {
    const h = harness();
    const id = "\u0000namespace\u0000r\u0000web";
    const of = (id: string, region: string): FlowNode => ({ id, flowId: "f", label: id, region, status: "succeeded", meta: { namespace: "web" } });
    void h.model.group(true);
    await laid(h, h.model.apply(foldAll(emptyState("f"), [
      { type: "upsert-nodes", nodes: [of("r/api", "r"), of(id, "other"), of("other/x", "other")] },
      { type: "upsert-rels", relationships: [{ fromId: "other/x", toId: id, type: "contains" }] },
    ])));
    const scene = h.scenes[0]!;
    const frame = (at: string) => scene.groups.find((g) => g.id === at);
    expect(scene.groups.map((g) => g.label).sort()).toEqual([id, "web"].sort());
    expect(scene.regions[frame(id)!.region]!.name).toBe("other");
    expect(hitAt({ scene, camera: { x: 0, y: 0, k: 1 } } as View, frame(id)!.x + 2, frame(id)!.y + 2)).not.toBeNull();
  });

  describe("a source", () => {
    const SOURCE = "hz-fsn-1/GitRepository/flux-system/fleet";
    const source = (state: "ready" | "broken", then: readonly object[] = []): FlowNode => ({
      id: SOURCE, flowId: "fleet", label: "fleet", region: "hz-fsn-1", status: state === "ready" ? "succeeded" : "failed",
      meta: { kind: "GitRepository", auxiliary: true, judgement: { state, cause: { class: state, sentence: "" }, then } },
    });
    const sourced = (node: FlowNode): FlowState => {
      const state = start();
      const user = [...state.nodes.keys()].find((id) => id.includes("/"))!;
      return foldAll(state, [{ type: "upsert-nodes", nodes: [node] }, { type: "upsert-rels", relationships: [{ fromId: SOURCE, toId: user, type: "finish-to-start" }] }]);
    };
    const put = (state: FlowState, node: FlowNode): FlowState => fold(state, { type: "upsert-nodes", nodes: [node] });
    const drawn = (scene: Scene): readonly [boolean, number] => [scene.index.has(SOURCE), scene.edges.key.filter((k) => k.includes(SOURCE)).length];

    test("is drawn with its edges only while it is not ready", async () => {
      const h = harness();
      const state = sourced(source("ready"));
      await laid(h, h.model.apply(state));
      expect(drawn(h.scenes[0]!)).toEqual([false, 0]);
      expect(h.scenes[0]!.regions[0]!.total).toBe(6);
      await laid(h, h.model.apply(put(state, source("broken"))));
      expect(drawn(h.scenes[1]!)).toEqual([true, 1]);
      expect(h.scenes[1]!.regions[0]!.total).toBe(6);
      await laid(h, h.model.apply(put(state, source("ready"))));
      expect(drawn(h.scenes[2]!)).toEqual([false, 0]);
    });

    test("is drawn while it is pinned, in the newest state", async () => {
      const h = harness();
      const state = sourced(source("ready"));
      await laid(h, h.model.apply(state));
      await laid(h, h.model.pin(SOURCE));
      await h.model.apply(put(state, { ...source("ready"), label: "renamed" }));
      expect([drawn(h.scenes[1]!), h.scenes[1]!.labels[h.scenes[1]!.index.get(SOURCE)!]]).toEqual([[true, 1], "renamed"]);
      await laid(h, h.model.pin(null));
      expect([h.scenes.length, drawn(h.scenes[2]!)]).toEqual([3, [false, 0]]);
    });

    test("is drawn once its judgement becomes broken without a new event", async () => {
      const h = harness();
      await laid(h, h.model.apply(sourced(source("ready", [{ at: fleetNow + 1, state: "broken", cause: { class: "overdue", sentence: "" } }]))));
      h.model.tick();
      expect(h.pending).toHaveLength(0);
      h.clock(fleetNow + 1);
      h.model.tick();
      h.pending.shift()!();
      await turn();
      expect(h.scenes.map((s) => drawn(s)[0])).toEqual([false, true]);
    });

    test("in a stale region stays as it was, without a layout", async () => {
      const h = harness();
      const state = sourced(source("ready"));
      await laid(h, h.model.apply(state));
      await h.model.apply(withRegions(state, new Map([["hz-fsn-1", { state: "stale", since: fleetNow, heard: fleetNow - 240_000, cluster: "uid-1" }]])));
      expect([h.scenes.length, h.pending.length]).toEqual([1, 0]);
    });

    test("that is pinned after close starts no layout", async () => {
      const h = harness();
      await laid(h, h.model.apply(sourced(source("ready"))));
      h.model.close();
      await h.model.pin(SOURCE);
      expect([h.scenes.length, h.pending.length, h.model.busy]).toEqual([1, 0, false]);
    });
  });
});
