import { describe, expect, it } from "vitest";
import {
  buildGraph,
  createLayoutClient,
  emptyState,
  fold,
  foldAll,
  layout,
  type FlowGraph,
  type FlowMessage,
  type FlowNode,
  type FlowState,
  type LayoutResult,
  type Rect,
  type Relationship,
  type WorkerLike,
} from "../src/index.js";
import { layoutBlock } from "../src/layout/layered.js";
import type { LayoutRequest } from "../src/layout/client.js";
import { cpuMs, golden } from "./files.js";
import { edge, graphOf, node } from "./flow.js";
import { Random, randomMessages } from "./random.js";

function overlap(a: Rect, b: Rect): boolean {
  return a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
}
function within(inner: Rect, outer: Rect): boolean {
  return inner.x >= outer.x && inner.y >= outer.y && inner.x + inner.w <= outer.x + outer.w && inner.y + inner.h <= outer.y + outer.h;
}
/** The pairs of boxes that overlap, found with a sweep over x. */
function overlaps(boxes: readonly (readonly [string, Rect])[]): string[] {
  const sorted = [...boxes].sort((a, b) => a[1].x - b[1].x);
  const found: string[] = [];
  sorted.forEach(([id, a], i) => {
    for (let j = i + 1; j < sorted.length; j++) {
      const [other, b] = sorted[j] as readonly [string, Rect];
      if (b.x >= a.x + a.w) break;
      if (overlap(a, b)) found.push(`${id} ${other}`);
    }
  });
  return found;
}

/** The properties of every layout. */
function check(graph: FlowGraph, result: LayoutResult): void {
  expect([...result.nodes.keys()].sort()).toEqual([...graph.leaves].sort());
  expect(overlaps([...result.nodes])).toEqual([]);
  expect(overlaps([...result.regions])).toEqual([]);
  for (const [id, box] of result.nodes) {
    expect(box.region).toBe(graph.nodes.get(id)?.region ?? "");
    expect(within(box, result.regions.get(box.region) as Rect)).toBe(true);
  }
  for (const [, box] of result.groups) expect(within(box, result.regions.get(box.region) as Rect)).toBe(true);
  for (const r of result.regions.values()) expect(within(r, { x: 0, y: 0, w: result.width, h: result.height })).toBe(true);
  for (const e of graph.edges) {
    const [from, to] = [result.nodes.get(e.from), result.nodes.get(e.to)];
    if (from === undefined || to === undefined || e.cyclic || e.toFlowId !== undefined || e.fromFlowId !== undefined) continue;
    const together = from.region === to.region && graph.parent.get(e.from) === graph.parent.get(e.to);
    if (together) expect(from.x + from.w, `${e.from} to ${e.to}`).toBeLessThan(to.x);
  }
}

/** The pairs of nodes in one layer whose order was reversed. */
function reversed(before: LayoutResult, after: LayoutResult): string[] {
  const rank = (r: LayoutResult, id: string): number => (r.nodes.get(id) as Rect).x * 1e6 + (r.nodes.get(id) as Rect).y;
  const ids = [...before.nodes].filter(([id, b]) => after.nodes.get(id)?.layer === b.layer).map(([id]) => id);
  return ids.flatMap((a) => ids.filter((b) => before.nodes.get(a)?.layer === before.nodes.get(b)?.layer && rank(before, a) < rank(before, b) && rank(after, a) > rank(after, b)).map((b) => `${a} ${b}`));
}

/** The number of crossings if edges were straight lines. */
function crossings(graph: FlowGraph, result: LayoutResult): number {
  const lines = graph.edges.flatMap((e) => {
    const [a, b] = [result.nodes.get(e.from), result.nodes.get(e.to)];
    return a === undefined || b === undefined ? [] : [[a.x + a.w, a.y, b.x, b.y] as const];
  });
  const side = (x1: number, y1: number, x2: number, y2: number, x: number, y: number): number => Math.sign((x2 - x1) * (y - y1) - (y2 - y1) * (x - x1));
  let count = 0;
  lines.forEach(([ax, ay, bx, by], i) => {
    for (const [cx, cy, dx, dy] of lines.slice(i + 1)) {
      if (side(ax, ay, bx, by, cx, cy) * side(ax, ay, bx, by, dx, dy) < 0 && side(cx, cy, dx, dy, ax, ay) * side(cx, cy, dx, dy, bx, by) < 0) count++;
    }
  });
  return count;
}

/** `regions` regions with `size` releases each, which depend on up to four earlier ones. */
function fleet(regions: number, size: number, seed = 1): FlowState {
  const r = new Random(seed);
  const nodes: FlowNode[] = [];
  const rels: Relationship[] = [];
  for (let g = 0; g < regions; g++) {
    const region = `r${String(g).padStart(3, "0")}`;
    nodes.push(node(region, "running", { kind: "Region" }, { region }));
    for (let i = 0; i < size; i++) {
      nodes.push(node(`${region}/${i}`, "pending", {}, { region }));
      rels.push(edge(`${region}/${i}`, region, { type: "contains" }));
      for (const d of new Set(Array.from({ length: i === 0 ? 0 : r.below(4) + (r.chance(0.8) ? 1 : 0) }, () => r.below(i)))) {
        rels.push(edge(`${region}/${Math.max(d, i - 40)}`, `${region}/${i}`));
      }
    }
  }
  return fold(emptyState("F"), { type: "snapshot", flow: { id: "F", status: "running", startedAt: 0 }, nodes, relationships: rels });
}

describe("layout", () => {
  it("has the properties of check() for random flows with cycles, containers and dangling ends", () => {
    for (let seed = 0; seed < 150; seed++) {
      const r = new Random(seed);
      const ids = Array.from({ length: r.below(40) }, (_, i) => `n${i}`);
      const types = ["finish-to-start", "triggers", "start-to-start", "contains"] as const;
      const rels = Array.from({ length: r.below(80) }, () => edge(r.pick(["gone", ...ids]), r.pick(["lost", ...ids]), { type: r.chance(0.1) ? "contains" : r.pick(types.slice(0, 3)) }));
      const graph = graphOf(ids.map((id) => node(id, "pending", {}, { region: r.pick(["a", "b", ""]) })), rels);
      check(graph, layout(graph));
    }
  });

  it("has the properties of check() after random messages", () => {
    let state = emptyState("F");
    let before: LayoutResult | null = null;
    for (const m of randomMessages(new Random(5), "F", 300)) {
      state = fold(state, m);
      const graph = buildGraph(state);
      before = layout(graph, before);
      check(graph, before);
    }
  });

  it("is equal for equal flows, independent of the order of nodes and edges", () => {
    const state = fleet(3, 60);
    const [nodes, rels] = [[...state.nodes.values()], [...state.rels.values()]];
    const shuffled = graphOf([...nodes].reverse(), [...rels].reverse());
    const [a, b] = [layout(buildGraph(state)), layout(shuffled)];
    for (const [id, box] of a.nodes) expect(b.nodes.get(id)).toEqual(box);
    expect(b.regions).toEqual(a.regions);
  });

  it("moves no region whose topology did not change", () => {
    for (let seed = 0; seed < 20; seed++) {
      const r = new Random(seed);
      let state = fleet(8, 20, seed);
      let before = layout(buildGraph(state));
      for (let step = 0; step < 10; step++) {
        const region = `r00${r.below(8)}`;
        const id = `${region}/new${step}`;
        const messages: FlowMessage[] = r.chance(0.7)
          ? [
              { type: "upsert-nodes", nodes: Array.from({ length: 1 + r.below(30) }, (_, i) => node(`${id}-${i}`, "pending", {}, { region })) },
              { type: "upsert-rels", relationships: [edge(`${region}/0`, `${id}-0`)] },
            ]
          : [{ type: "delete-nodes", ids: [`${region}/${r.below(20)}`] }];
        state = foldAll(state, messages);
        const graph = buildGraph(state);
        const after = layout(graph, before);
        check(graph, after);
        for (const [nodeId, box] of after.nodes) if (box.region !== region) expect(after.nodes.get(nodeId)).toBe(before.nodes.get(nodeId));
        for (const [name, box] of after.regions) if (name !== region) expect(box).toEqual(before.regions.get(name));
        before = after;
      }
    }
  });

  it("keeps the order of each column when a node is removed and added again, and when others are added", () => {
    for (let seed = 0; seed < 20; seed++) {
      const r = new Random(seed);
      const whole = fleet(1, 60, seed);
      const first = layout(buildGraph(whole));
      const gone = `r000/${1 + r.below(59)}`;
      const less = layout(buildGraph(fold(whole, { type: "delete-nodes", ids: [gone] })), first);
      expect(reversed(first, less)).toEqual([]);
      const again = layout(buildGraph(whole), less);
      expect(reversed(less, again)).toEqual([]);
      const more = foldAll(whole, [
        { type: "upsert-nodes", nodes: [node("r000/new", "pending", {}, { region: "r000" })] },
        { type: "upsert-rels", relationships: [edge(`r000/${r.below(60)}`, "r000/new")] },
      ]);
      expect(reversed(first, layout(buildGraph(more), first))).toEqual([]);
    }
  });

  it.each([
    ["depends on", edge("c", "0"), ["a2", "b2", "c2", "d2", "e2", "0"], "c2"],
    ["is needed by", edge("0", "c2"), ["a", "b", "c", "d", "e", "0"], "c"],
  ])("places a new node beside the node that it %s", (_, rel, column, beside) => {
    const pairs = ["a", "b", "c", "d", "e"];
    const before = graphOf(pairs.flatMap((p) => [node(p), node(`${p}2`)]), pairs.map((p) => edge(p, `${p}2`)));
    const old = layout(before);
    const after = foldAll(before.state, [{ type: "upsert-nodes", nodes: [node("0")] }, { type: "upsert-rels", relationships: [rel] }]);
    const { nodes } = layout(buildGraph(after), old);
    const sorted = [...column].sort((a, b) => (nodes.get(a) as Rect).y - (nodes.get(b) as Rect).y);
    expect(Math.abs(sorted.indexOf("0") - sorted.indexOf(beside))).toBe(1);
  });

  it("orders a region again if edges are added after the nodes", () => {
    const whole = fleet(1, 60);
    const bare = layout(graphOf([...whole.nodes.values()]));
    expect(layout(buildGraph(whole), bare).nodes).toEqual(layout(buildGraph(whole)).nodes);
  });

  it("orders a region again if most of its nodes are new", () => {
    const whole = fleet(1, 60, 3);
    const few = new Set(["r000", ...Array.from({ length: 12 }, (_, i) => `r000/${i}`)]);
    const part = graphOf([...whole.nodes.values()].filter((n) => few.has(n.id)), [...whole.rels.values()].filter((e) => few.has(e.fromId) && few.has(e.toId)));
    expect(layout(buildGraph(whole), layout(part)).nodes).toEqual(layout(buildGraph(whole)).nodes);
  });

  it("has less than twice as many crossings if a flow grows node by node", () => {
    for (let seed = 0; seed < 5; seed++) {
      const whole = fleet(1, 60, seed);
      let grown: LayoutResult | null = null;
      for (let size = 1; size <= 60; size++) {
        const ids = new Set(["r000", ...Array.from({ length: size }, (_, i) => `r000/${i}`)]);
        const rels = [...whole.rels.values()].filter((e) => ids.has(e.fromId) && ids.has(e.toId));
        grown = layout(graphOf([...whole.nodes.values()].filter((n) => ids.has(n.id)), rels), grown);
      }
      const graph = buildGraph(whole);
      expect(crossings(graph, grown as LayoutResult)).toBeLessThan(2 * crossings(graph, layout(graph)));
    }
  });

  it("makes a column exactly as wide as its widest node", () => {
    const widths: Readonly<Record<string, number>> = { root: 100, a: 140, b: 220, c: 90, alone: 130, single: 70 };
    const graph = graphOf(Object.keys(widths).map((id) => node(id)), [edge("root", "a"), edge("root", "b"), edge("b", "c")]);
    const result = layout(graph, null, { widthOf: (id) => widths[id] as number });
    check(graph, result);
    const width = (id: string): number => (result.nodes.get(id) as Rect).w;
    expect(["root", "a", "b", "c", "alone", "single"].map(width)).toEqual([100, 220, 220, 90, 130, 130]);
    const wider = layout(graph, result, { widthOf: (id) => (id === "c" ? 300 : (widths[id] as number)) });
    // While the topology is the same, nothing moves.
    expect(wider).toBe(result);
    const other = buildGraph(fold(graph.state, { type: "upsert-nodes", nodes: [node("elsewhere", "pending", {}, { region: "r2" })] }));
    expect(layout(other, result, { widthOf: (id) => widths[id] ?? 100 }).nodes.get("c")).toBe(result.nodes.get("c"));
    expect(layout(other, result, { widthOf: (id) => (id === "c" ? 300 : 100) }).nodes.get("c")?.w).toBe(300);
  });

  it("splits a layer of wide nodes into fewer columns than one of narrow nodes", () => {
    const graph = graphOf([node("root"), ...Array.from({ length: 60 }, (_, i) => node(`n${i}`))], Array.from({ length: 60 }, (_, i) => edge("root", `n${i}`)));
    const columns = (width: number): number => new Set([...layout(graph, null, { widthOf: () => width }).nodes.values()].map((n) => n.x)).size;
    expect(columns(400)).toBeLessThan(columns(80));
  });

  it("moves nothing for a change of status or an equal snapshot", () => {
    const state = fleet(4, 30);
    const before = layout(buildGraph(state));
    const failed = fold(state, { type: "upsert-nodes", nodes: [node("r000/3", "failed", {}, { region: "r000" })] });
    const rebuilt = fold(emptyState("F"), { type: "snapshot", flow: { id: "F", status: "x", startedAt: 0 }, nodes: [...state.nodes.values()], relationships: [...state.rels.values()] });
    for (const other of [failed, rebuilt]) expect(layout(buildGraph(other), before).nodes).toEqual(before.nodes);
  });

  it("keeps the position of a region that shrinks, and finds one for a new region", () => {
    let state = fleet(6, 20);
    const first = layout(buildGraph(state));
    state = fold(state, { type: "delete-nodes", ids: ["r002/5", "r002/6"] });
    const second = layout(buildGraph(state), first);
    expect(second.regions.get("r002")).toMatchObject({ x: first.regions.get("r002")?.x, y: first.regions.get("r002")?.y });
    state = fold(state, { type: "upsert-nodes", nodes: [node("new/1", "pending", {}, { region: "new" })] });
    const graph = buildGraph(state);
    check(graph, layout(graph, second));
  });

  it("draws nested groups inside each other, and handles groups that contain each other", () => {
    const contains = (child: string, parent: string): Relationship => edge(child, parent, { type: "contains" });
    const graph = graphOf(
      ["outer", "inner", "a", "b", "c", "x", "y", "z"].map((id) => node(id)),
      [contains("inner", "outer"), contains("a", "outer"), contains("b", "inner"), contains("x", "y"), contains("y", "x"), contains("z", "x"), edge("a", "b")],
    );
    const result = layout(graph);
    check(graph, result);
    const box = (id: string): Rect => (result.nodes.get(id) ?? result.groups.get(id)) as Rect;
    expect(within(box("inner"), box("outer"))).toBe(true);
    expect(within(box("b"), box("inner"))).toBe(true);
    expect(within(box("a"), box("outer"))).toBe(true);
    expect(within(box("c"), box("outer"))).toBe(false);
    expect(within(box("z"), box("x"))).toBe(true);
    expect(overlap(box("outer"), box("c"))).toBe(false);
    expect(result.groups.get("inner")?.depth).toBe(2);
  });

  it("handles an empty region, an empty flow and 5,000 nodes without edges", () => {
    expect(layout(graphOf([]))).toMatchObject({ width: 0, height: 0 });
    expect(layout(graphOf([node("r", "pending", { kind: "Region" }, { region: "r" })])).regions.get("r")?.w).toBeGreaterThan(0);
    const many = layout(graphOf(Array.from({ length: 5000 }, (_, i) => node(`n${i}`))));
    expect(many.width / many.height).toBeGreaterThan(0.8);
    expect(many.width / many.height).toBeLessThan(3.2);
  });

  it("ends for a chain, a ring and a dense graph", () => {
    const ids = Array.from({ length: 5000 }, (_, i) => `n${i}`);
    const all = ids.map((id) => node(id));
    const chain = ids.slice(1).map((id, i) => edge(`n${i}`, id));
    for (const rels of [chain, [...chain, edge("n4999", "n0")], ids.slice(0, 120).flatMap((a) => ids.slice(0, 120).map((b) => edge(a, b)))]) {
      expect(layout(graphOf(all, rels)).nodes.size).toBe(5000);
    }
  });

  it("has cilium left of grafana in a bootstrap", () => {
    const graph = buildGraph(foldAll(emptyState("bootstrap"), golden("kit-fsn1").map((e) => e.message)));
    const result = layout(graph);
    check(graph, result);
    expect(result.nodes.get("fsn1/bp-cilium")?.layer).toBe(0);
    expect(result.nodes.get("fsn1/bp-grafana")?.x).toBeGreaterThan(result.nodes.get("fsn1/bp-seaweedfs")?.x as number);
    expect(result.groups.size).toBe(0);
  });

  it("is valid for 10,000 nodes, and prints its time for all and for a change of one region", () => {
    const state = fleet(40, 250);
    const graph = buildGraph(state);
    const median = (run: () => void): string => (Array.from({ length: 5 }, () => cpuMs(run)).sort((a, b) => a - b)[2] as number).toFixed(0);
    const before = layout(graph);
    const next = fold(state, { type: "upsert-nodes", nodes: [node("r003/x", "pending", {}, { region: "r003" })] });
    const [whole, built, changed] = [median(() => layout(graph)), median(() => buildGraph(next)), median(() => layout(buildGraph(next), before))];
    console.log(
      `${graph.leaves.length} nodes, ${graph.edges.length} edges, ms of CPU, median of 5: layout ${whole}, graph ${built}, graph and layout after one region changed ${changed}`,
    );
    check(graph, before);
  });
});

/** `count` nested containers, with a release in the innermost. `isRing` puts the outermost into the innermost. */
function nested(count: number, isRing = false): FlowGraph {
  const ids = Array.from({ length: count }, (_, i) => `fsn1/${i}`);
  const nodes = [...ids, "fsn1/card"].map((id) => node(id, "pending", {}, { region: "fsn1" }));
  const rels = ids.slice(1).map((id, i) => edge(ids[i] as string, id, { type: "contains" }));
  if (isRing) rels.push(edge(ids.at(-1) as string, "fsn1/0", { type: "contains" }));
  return graphOf(nodes, [...rels, edge("fsn1/card", "fsn1/0", { type: "contains" })]);
}

describe("layout of deep containers", () => {
  it.each([
    ["28 deep", 28, false, 28],
    ["32 deep", 32, false, 32],
    ["33 deep", 33, false, 32],
    ["20,000 deep", 20_000, false, 32],
    ["a ring of 28", 28, true, 28],
    ["a ring of 20,000", 20_000, true, 32],
  ])("shows all of %s, and nests no deeper than 32", (_, count, isRing, deepest) => {
    const graph = nested(count, isRing);
    let result: LayoutResult | undefined;
    expect(cpuMs(() => (result = layout(graph)))).toBeLessThan(10_000);
    const { groups, nodes, regions } = result as LayoutResult;
    expect(groups.size).toBe(count);
    expect([...nodes.keys()]).toEqual(["fsn1/card"]);
    expect(Math.max(...[...groups.values()].map((g) => g.depth))).toBe(deepest);
    for (const box of [...groups.values(), ...nodes.values()]) expect(within(box, regions.get("fsn1") as Rect)).toBe(true);
    expect(layout(graph)).toEqual(result);
  });

  it("places containers that are too deep beside each other", () => {
    const { groups, nodes } = layout(nested(40));
    const boxOf = (i: number): Rect => groups.get(`fsn1/${i}`) as Rect;
    // Container 39 is the outermost. 8 is at depth 32; 7 to 0 are drawn beside it inside 9.
    for (const i of [8, 7, 0]) expect(within(boxOf(i), boxOf(9)), String(i)).toBe(true);
    expect(overlap(boxOf(0), boxOf(8))).toBe(false);
    expect(within(nodes.get("fsn1/card") as Rect, boxOf(0))).toBe(true);
  });

  it("changes with a change at any depth", () => {
    for (const count of [20, 60]) {
      const before = nested(count);
      const old = layout(before);
      const grown = buildGraph(foldAll(before.state, [
        { type: "upsert-nodes", nodes: [node("fsn1/new", "pending", {}, { region: "fsn1" })] },
        { type: "upsert-rels", relationships: [edge("fsn1/new", "fsn1/0", { type: "contains" })] },
      ]));
      expect(layout(grown, old).nodes.has("fsn1/new")).toBe(true);
      expect(layout(grown, old)).toEqual(layout(grown));
    }
  });
});

/** A worker in this thread that answers when the test calls it. */
class SlowWorker implements WorkerLike {
  readonly requests: LayoutRequest[] = [];
  terminated = false;
  readonly #listeners = { message: [] as ((e: { data?: unknown }) => void)[], error: [] as ((e: { data?: unknown }) => void)[] };
  postMessage(message: unknown): void {
    this.requests.push(structuredClone(message) as LayoutRequest);
  }
  addEventListener(type: "message" | "error", listener: (e: { data?: unknown }) => void): void {
    this.#listeners[type].push(listener);
  }
  terminate(): void {
    this.terminated = true;
  }
  answer(): void {
    const request = this.requests.at(-1) as LayoutRequest;
    for (const l of this.#listeners.message) l({ data: request.blocks.map((b) => layoutBlock(b, request.options)) });
  }
  fail(): void {
    for (const l of this.#listeners.error) l({});
  }
}

describe("createLayoutClient", () => {
  const small = buildGraph(fleet(2, 10));
  const large = buildGraph(fleet(3, 10));

  it("returns the result of layout, and sends only changed regions to the worker", async () => {
    const worker = new SlowWorker();
    const client = createLayoutClient(worker);
    const first = client.layout(small);
    worker.answer();
    const before = await first;
    expect(before).toEqual(layout(small));
    const next = buildGraph(fold(small.state, { type: "upsert-nodes", nodes: [node("r001/x", "pending", {}, { region: "r001" })] }));
    const second = client.layout(next, before);
    expect(worker.requests[1]?.blocks).toHaveLength(1);
    worker.answer();
    expect(await second).toEqual(layout(next, before));
    expect(await client.layout(next, await second)).toMatchObject({ topologyVersion: next.topologyVersion });
    expect(worker.requests).toHaveLength(2);
    client.close();
    expect(worker.terminated).toBe(true);
  });

  it("merges overlapping calls", async () => {
    const worker = new SlowWorker();
    const client = createLayoutClient(worker);
    const calls = [client.layout(small), client.layout(small), client.layout(large)];
    expect(worker.requests).toHaveLength(1);
    worker.answer();
    worker.answer();
    const [first, second, third] = await Promise.all(calls);
    expect(first).toEqual(layout(small));
    expect(third).toEqual(layout(large));
    expect(second).toBe(third);
    expect(worker.requests).toHaveLength(2);
  });

  it("computes in this thread without a worker, or if it fails", async () => {
    expect(await createLayoutClient(null).layout(small)).toEqual(layout(small));
    const worker = new SlowWorker();
    const client = createLayoutClient(worker);
    const call = client.layout(small);
    worker.fail();
    expect(await call).toEqual(layout(small));
    expect(await client.layout(large)).toEqual(layout(large));
    expect(worker.requests).toHaveLength(1);
  });
});

