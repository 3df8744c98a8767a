import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { blockingChains, buildGraph, displayState, emptyState, fold, insightOf, lastSeen, marks, problems, REGION_STALE, validate, verdictOf, withRegions, type FlowGraph, type FlowNode, type Problem, type Regions, type Root } from "../src/index.js";
import { SENTENCES } from "../src/words/sentences.js";
import { filesIn, pathOf } from "./files.js";
import { graphOf as flowOf, node } from "./flow.js";

interface Result {
  readonly states: Readonly<Record<string, string>>;
  readonly marks: Readonly<Record<string, readonly string[]>>;
  readonly heldBy: Readonly<Record<string, readonly string[]>>;
  readonly roots: Readonly<Record<string, readonly string[]>>;
  readonly problems: readonly ResultProblem[];
  readonly open: readonly string[];
  readonly verdict: string;
  readonly final: boolean;
}
interface ResultProblem {
  readonly ids: readonly string[];
  readonly blocks: readonly string[];
  readonly class: string;
  readonly sentence?: string;
  readonly command?: readonly string[];
  readonly region?: string;
  readonly label?: string;
  readonly since?: number;
}
interface Question {
  readonly now: number;
  readonly heard?: Readonly<Record<string, number>>;
  readonly snapshot: unknown;
  readonly expect: Result;
}

function graphOf({ heard = {}, snapshot }: Question): FlowGraph {
  const read = validate("F", snapshot);
  if (!read.ok) throw new Error(`refused: ${read.error.field} ${read.error.message}`);
  const regions: Regions = new Map(Object.entries(heard).map(([region, at]) => [region, { state: "stale", since: at, heard: at, cluster: "c" }]));
  return buildGraph(withRegions(fold(emptyState("F"), read.message), regions));
}

function resultOf(graph: FlowGraph, now: number): Result {
  const insight = insightOf(graph, now);
  const ids = [...graph.nodes.keys()];
  const all = (of: (id: string) => readonly string[]): Record<string, readonly string[]> => Object.fromEntries(ids.map((id) => [id, of(id)] as const).filter(([, list]) => list.length > 0));
  return {
    states: Object.fromEntries(ids.map((id) => [id, insight.at(id)?.state ?? ""])),
    marks: all((id) => insight.marks(id)),
    heldBy: all((id) => insight.heldBy(id)),
    roots: all((id) => insight.roots(id)),
    problems: insight.problems().map(problemOf),
    ...verdictOf(insight),
  };
}

/** In Go's form, without empty fields. */
function problemOf({ ids, blocks, reason, sentence, command, region, label, since }: Root): ResultProblem {
  return {
    ids, blocks, class: reason,
    ...(sentence === "" ? {} : { sentence }), ...(command === undefined ? {} : { command }), ...(region === "" ? {} : { region }), ...(label === "" ? {} : { label }), ...(since === undefined || since === 0 ? {} : { since }),
  };
}

/** The results of the functions that callers use. They must equal the results of the class. */
function shown(graph: FlowGraph, now: number): Pick<Result, "states" | "marks" | "problems"> {
  const { nodes, state } = graph;
  const fresh = [...nodes.values()].filter((n) => lastSeen(state.regions, n.region) === undefined);
  return {
    states: Object.fromEntries(fresh.map((n) => [n.id, displayState(n, { graph, nodes, regions: state.regions, now })])),
    marks: Object.fromEntries([...nodes.keys()].map((id) => [id, marks(graph, id, now)] as const).filter(([, list]) => list.length > 0)),
    problems: problems(graph, now).filter((p) => p.reason !== REGION_STALE).map(({ ids, blocks, reason }) => ({ ids, blocks, class: reason })),
  };
}

function shownOf(want: Result, graph: FlowGraph): ReturnType<typeof shown> {
  const isFresh = (id: string): boolean => lastSeen(graph.state.regions, graph.nodes.get(id)?.region) === undefined;
  return {
    states: Object.fromEntries(Object.entries(want.states).filter(([id]) => isFresh(id))),
    marks: want.marks,
    problems: want.problems.map(({ ids, blocks, class: reason }) => ({ ids, blocks, class: reason })),
  };
}

describe("insight", () => {
  it.each(filesIn("server/insight/testdata/vectors"))("gives the results of vector $name", ({ text }) => {
    const vector = JSON.parse(text) as Question;
    const graph = graphOf(vector);
    const got = resultOf(graph, vector.now);
    // A vector contains sentences only if it is about sentences.
    const compared = got.problems.map((p, i) => {
      const want = vector.expect.problems[i];
      return Object.fromEntries(Object.entries(p).filter(([key]) => ["ids", "blocks", "class"].includes(key) || (want !== undefined && key in want)));
    });
    expect({ ...got, problems: compared }).toEqual(vector.expect);
    expect(shown(graph, vector.now)).toEqual(shownOf(vector.expect, graph));
  });

  it("evaluates any instant, in any order", () => {
    const late = node("a", "running", { waitingFor: ["gone"], waitingSince: 0 });
    const graph = flowOf([late]);
    const found = [60_001, 60_000, 60_001].map((now) => [insightOf(graph, now).at("a")?.state, problems(graph, now).length]);
    expect(found).toEqual([["broken", 1], ["waiting", 0], ["broken", 1]]);
  });

  it("follows a cause to its victims and to the nodes that wait for those", () => {
    const judged = (id: string, judgement: object): FlowNode => node(id, "running", { judgement });
    const graph = flowOf([judged("a", { state: "waiting", needs: ["b"] }), judged("b", { state: "working", checks: ["c", "d"] }), judged("c", { state: "broken" }), judged("d", { state: "ready" })]);
    expect(blockingChains(graph, "a", 0)).toEqual([["c", "b", "a"]]);
  });

  it("reports when the search reached its limit", () => {
    // One step for each edge: with 250 problems, each may take 8,000.
    const broken = Array.from({ length: 250 }, (_, i) => node(`b${i}`, "failed"));
    const behind = (n: number): FlowNode[] => Array.from({ length: n }, (_, i) => node(`w${i}`, "running", { waitingFor: ["b0"], waitingSince: 0 }));
    const first = (n: number): Problem | undefined => problems(flowOf([...broken, ...behind(n)]), 1)[0];
    expect([first(8000)?.blocks.length, first(8000)?.blocksMore, first(8001)?.blocks.length, first(8001)?.blocksMore]).toEqual([8000, undefined, 8000, true]);
  });

  it("has the server's sentences", () => {
    expect(SENTENCES).toEqual(JSON.parse(readFileSync(pathOf("server/insight/sentences.json"), "utf8")));
  });
});

// A Go program makes random graphs, evaluates each with the package and with a simple implementation, and writes the results. `make
// insight` runs many more.
const COUNT = Number(process.env["INSIGHT"] ?? 1000);
const SEED = Number(process.env["INSIGHT_SEED"] ?? 1);

describe("random graphs", () => {
  let folder: string;
  let program: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "openova-flow-insight-"));
    program = join(folder, "insight.test");
    execFileSync("go", ["test", "-c", "-o", program, "./insight"], { cwd: pathOf("server"), stdio: "inherit", env: { ...process.env, GOWORK: "off" } });
  }, 300_000);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it("have the same results as in Go", async () => {
    const go = spawn(program, ["-test.run=^TestRandomGraphs$", `-insight.count=${COUNT}`, `-insight.seed=${SEED}`, "-insight.out", "-test.timeout=0"], {
      cwd: pathOf("server/insight"),
      stdio: ["ignore", "pipe", "inherit"],
    });
    const ended = new Promise<number | null>((resolve) => go.once("exit", resolve));
    let output = "";
    let graphs = 0;
    try {
      for await (const line of createInterface({ input: go.stdout })) {
        if (!line.startsWith("{")) {
          output += `${line}\n`;
          continue;
        }
        const question = JSON.parse(line) as Question & { readonly seed: number };
        const graph = graphOf(question);
        expect(resultOf(graph, question.now), `graph ${question.seed}: ${line}`).toEqual(question.expect);
        expect(shown(graph, question.now), `what is shown of graph ${question.seed}: ${line}`).toEqual(shownOf(question.expect, graph));
        graphs++;
      }
    } finally {
      go.kill();
    }
    const code = await ended;
    expect({ code, output: code === 0 ? "" : output }).toEqual({ code: 0, output: "" });
    console.log(`${graphs.toLocaleString("en-GB")} graphs, from seed ${SEED} on`);
    expect(graphs).toBe(COUNT);
  }, 24 * 3_600_000);
});
