import { describe, expect, it } from "vitest";
import { blockedBy, blocks, buildGraph, criticalPath, currentRollout, displayState, emptyState, flowProgress, fold, layout, problems, progressByRegion, rolloutProgress, search, type FlowGraph, type FlowNode, type FlowState, type Relationship, type Rollout } from "../src/index.js";
import { cpuMs } from "./files.js";
import { edge, node } from "./flow.js";
import { Random } from "./random.js";

// Flows of 20,000 nodes and up to 100,000 edges that are expensive to evaluate. Each evaluation must take less than `LONG`.

const NODES = 20_000;
const EDGES = 100_000;
/** Milliseconds of CPU time, far above what any of these flows takes. */
const LONG = 20_000;

const id = (i: number): string => `r/${String(i).padStart(5, "0")}`;
const failed = { namespace: "n", reason: "InstallFailed", message: "timeout waiting for: [Deployment/a/b status: 'InProgress']" };

type Shape = (r: Random) => readonly Relationship[];
const random = (pick: (r: Random) => readonly [number, number]): Shape => (r) => Array.from({ length: EDGES }, () => pick(r)).map(([a, b]) => edge(id(a), id(b)));
const shapes: Readonly<Record<string, Shape>> = {
  random: random((r) => [r.below(NODES), r.below(NODES)]),
  "a graph without cycles": random((r) => {
    const a = r.below(NODES - 1);
    return [a, a + 1 + r.below(Math.min(40, NODES - 1 - a))];
  }),
  "a chain": () => Array.from({ length: NODES - 1 }, (_, i) => edge(id(i), id(i + 1))),
  "a ring": () => Array.from({ length: NODES }, (_, i) => edge(id(i), id((i + 1) % NODES))),
  "a clique": () => Array.from({ length: 447 }, (_, a) => Array.from({ length: a }, (_, b) => edge(id(b), id(a)))).flat(),
  "a star": () => Array.from({ length: NODES - 1 }, (_, i) => edge(id(0), id(i + 1))),
  "a comb": () => Array.from({ length: NODES / 2 - 1 }, (_, i) => [edge(id(i), id(i + 1)), edge(id(NODES / 2 + i), id(i + 1))]).flat(),
  containers: random((r) => [r.below(NODES), r.below(NODES)]),
};

const now = 1e9;
const kinds: Readonly<Record<string, (i: number) => FlowNode>> = {
  failed: (i) => node(id(i), "failed", failed, { startedAt: 1, endedAt: 2, region: "r" }),
  suspended: (i) => node(id(i), "running", { suspended: true }, { region: `r${i}` }),
  waiting: (i) => node(id(i), "running", { reason: "DependencyNotReady", waitingFor: [id(i + 1), "gone"], waitingSince: 1 }, { region: `r${i % 7}` }),
  working: (i) => node(id(i), "running", {}, { region: "r", startedAt: now - 1000 }),
  "with one dead source": (i) => node(id(i), "running", { reason: "SourceNotReady", reasonSince: 0, source: { kind: "HelmRepository", name: "dead", ready: "False" } }, { region: "r" }),
};

function graphOf(shape: string, kind: string): FlowGraph {
  const nodes = Array.from({ length: NODES }, (_, i) => (kinds[kind] as (i: number) => FlowNode)(i));
  const relationships = (shapes[shape] as Shape)(new Random(1)).map((r) => (shape === "containers" ? { ...r, type: "contains" as const } : r));
  const state: FlowState = fold(emptyState("F"), { type: "snapshot", flow: { id: "F", status: "running", startedAt: 0 }, nodes, relationships });
  return buildGraph(state);
}

function rolloutsOf(graph: FlowGraph): readonly Rollout[] {
  const members = [...graph.nodes.values()].map((n) => ({ id: n.id, label: n.label, region: n.region ?? "", status: "succeeded", startedAt: 1, endedAt: 2e9 }));
  return [0, 1].map((i) => ({ id: String(i), startedAt: 2 - i, outcome: "running" as const, members, alreadyBroken: [], ...(i === 1 ? { endedAt: 2 } : {}) }));
}

function etaOf(graph: FlowGraph): number | undefined {
  const rollouts = rolloutsOf(graph);
  return rolloutProgress(graph, currentRollout(rollouts) as Rollout, now, rollouts.slice(1)).etaAt;
}

const QUESTIONS: Readonly<Record<string, (g: FlowGraph) => unknown>> = {
  layout: (g) => layout(g),
  problems: (g) => problems(g, now),
  "critical path": (g) => criticalPath(g, now),
  "what blocks one": (g) => [0, 447, NODES / 2 - 1, NODES - 1].map((i) => blockedBy(g, id(i), now)),
  "what one blocks": (g) => blocks(g, id(0)),
  "how far the flow is": (g) => flowProgress(g, now),
  "how far its regions are": (g) => progressByRegion(g, now),
  "the ETA": etaOf,
  search: (g) => search(g.nodes.values(), "r/0 install"),
};

describe("a flow that is expensive to evaluate", () => {
  const all = Object.keys(kinds).filter((kind) => kind !== "working");
  Object.keys(shapes).forEach((shape, i) => {
    const kind = all[i % all.length] as string;
    it(`is evaluated: ${shape}, ${kind}`, () => {
      const graph = graphOf(shape, kind);
      const took: string[] = [];
      for (const [question, ask] of Object.entries(QUESTIONS)) {
        const ms = cpuMs(() => void ask(graph));
        took.push(`${question} ${ms.toFixed(0)}`);
        expect(ms, question).toBeLessThan(LONG);
      }
      console.log(`${shape}, ${kind}, ms: ${took.join(", ")}`);
      expect(graph.nodes.size).toBe(NODES);
      expect(displayState(graph.nodes.get(id(0)) as FlowNode, { nodes: graph.nodes, now })).toBeDefined();
    });
  });

  it.each(["a chain", "a clique"])("has an ETA: %s", (shape) => {
    const graph = graphOf(shape, "working");
    let etaAt: number | undefined;
    expect(cpuMs(() => void (etaAt = etaOf(graph)))).toBeLessThan(LONG);
    expect(etaAt).toBeGreaterThan(now);
  });
});

describe("sentences that name nodes with long labels", () => {
  const long = "ä".repeat(512); // the maximum length of a name in a sentence
  const waiting = (id: string, label: string, needs: readonly string[], rest: object = {}): FlowNode => ({ ...node(id, "running", { judgement: { state: "waiting", since: 1, needs, ...rest } } as object, { region: id.split("/")[0] as string }), label });
  const sentences = (nodes: readonly FlowNode[]): readonly string[] => problems(buildGraph(fold(emptyState("F"), { type: "snapshot", flow: { id: "F", status: "running", startedAt: 0 }, nodes, relationships: [] })), now).map((p) => p.sentence);
  it("shorten them in a list of names", () => {
    const ready = (id: string, label: string): FlowNode => ({ ...node(id, "succeeded", {}, { region: "r" }), label });
    const found = sentences([ready("r/a", long), ready("r/b", `${long}x`), waiting("r/w", "w", ["r/a", "r/b"], { marks: ["ready-expr"] })]);
    expect(found).toHaveLength(1);
    expect(found[0]).toContain(`(${long}, ${long})`);
  });
  it("shorten them in a cycle across regions", () => {
    const found = sentences([waiting("r/a", `${long}a`, ["r2/b"]), waiting("r2/b", `${long}b`, ["r/a"])]);
    expect(found).toHaveLength(1);
    expect(found[0]).toContain(`r declares that ${long} waits for ${long}, `);
  });
});
