import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { blockedBy, buildGraph, displayState, emptyState, foldAll, marks, metaOf, problems, type FlowGraph, type FlowState } from "../src/index.js";
import { goldenFile, pathOf } from "./files.js";

interface Expected {
  readonly display?: Record<string, string>;
  readonly marks?: Record<string, readonly string[]>;
  readonly heldBy?: Record<string, readonly string[]>;
  readonly problems?: readonly {
    readonly root: string | readonly string[];
    readonly also?: readonly string[];
    readonly blocks?: number;
    readonly says?: readonly string[];
    readonly not?: readonly string[];
    readonly command?: string | readonly string[];
  }[];
  readonly anyOrder?: boolean;
}
interface Case {
  readonly during?: Record<string, Expected>;
  readonly after: Record<string, Expected>;
}

const FOLDER = "adapter-flux/testdata/cases";
const names = readdirSync(pathOf(FOLDER)).filter((f) => f.endsWith(".expect.json")).map((f) => f.replace(".expect.json", "")).sort();
const span = (s: string): number => Number(s.slice(0, -1)) * { s: 1e3, m: 60e3, h: 36e5, d: 864e5 }[s.slice(-1) as "s" | "m" | "h" | "d"];
const list = (v: string | readonly string[]): readonly string[] => (typeof v === "string" ? [v] : v);
const has = (sentence: string, want: string): boolean => want.split("|").some((w) => sentence.toLowerCase().includes(w.toLowerCase()));

/** A sentence for each part of an expectation that a state does not meet. */
function missed(want: Expected, state: FlowState, now: number): string[] {
  const graph: FlowGraph = buildGraph(state);
  const context = { nodes: graph.nodes, unconfirmed: state.unconfirmed, regions: state.regions, now };
  const out: string[] = [];
  const check = (holds: boolean, what: string): void => void (holds || out.push(what));
  for (const [id, d] of Object.entries(want.display ?? {})) {
    const node = graph.nodes.get(id);
    const got = node === undefined ? "absent" : displayState(node, context);
    check(got === d, `${id} is ${got}, not ${d}`);
  }
  for (const [id, all] of Object.entries(want.marks ?? {})) for (const m of all) check(marks(graph, id, now).includes(m), `${id} has no mark ${m}`);
  for (const [id, by] of Object.entries(want.heldBy ?? {})) {
    const got = blockedBy(graph, id, now).map((b) => b.id).sort();
    check(got.join() === [...by].sort().join(), `${id} is blocked by ${got.join()}, not by ${by.join()}`);
  }
  if (want.problems === undefined) return out;
  const all = problems(graph, now);
  check(all.length === want.problems.length, `${all.length} problems, not ${want.problems.length}: ${all.map((p) => p.id).join()}`);
  let before = -1;
  for (const w of want.problems) {
    const at = all.findIndex((p) => list(w.root).includes(p.id));
    const got = all[at];
    if (got === undefined) {
      out.push(`no problem has the root ${list(w.root).join(" or ")}`);
      continue;
    }
    check(want.anyOrder === true || at > before, `problem ${got.id} comes too early`);
    before = at;
    for (const id of w.also ?? []) check(got.ids.includes(id), `problem ${got.id} does not include ${id}`);
    check(w.blocks === undefined || got.blocks.length === w.blocks, `problem ${got.id} blocks ${got.blocks.length}, not ${w.blocks}`);
    for (const s of w.says ?? []) check(has(got.sentence, s), `problem ${got.id} does not say "${s}": ${got.sentence}`);
    for (const s of w.not ?? []) check(!has(got.sentence, s), `problem ${got.id} says "${s}": ${got.sentence}`);
    check(w.command === undefined || list(w.command).includes(got.command ?? ""), `problem ${got.id} has the command ${got.command}`);
  }
  return out;
}

/** The adapter's output for each of its cases, and what the page must show of it. */
describe("cases of the adapter", () => {
  it("exist", () => expect(names.length).toBeGreaterThanOrEqual(30));

  it.each(names)("%s", (name) => {
    const read = (ending: string): string => readFileSync(pathOf(`${FOLDER}/${name}${ending}`), "utf8");
    const want = JSON.parse(read(".expect.json")) as Case;
    const events = read(".jsonl").trim().split("\n").map((line) => (JSON.parse(line) as { at: number }).at);
    const messages = goldenFile(`cases/${name.slice(0, 2)}.jsonl`);
    const until = (now: number): FlowState => foldAll(emptyState("bootstrap"), messages.filter((m) => m.at <= now).map((m) => m.message));
    const blocks: [string, Expected, number][] = [
      ...Object.entries(want.during ?? {}).map(([at, o]): [string, Expected, number] => [at, o, Date.parse(at)]),
      ...Object.entries(want.after).map(([after, o]): [string, Expected, number] => [after, o, Math.max(...events) + span(after)]),
    ];
    for (const [label, o, now] of blocks) expect(missed(o, until(now), now), label).toEqual([]);
    const known = JSON.stringify(blocks.map(([, o]) => o));
    const graph = buildGraph(until(Infinity));
    const shown = graph.leaves.filter((id) => ["HelmRelease", "Kustomization"].includes(String(metaOf(graph.nodes.get(id)!).kind)));
    expect(shown.filter((id) => !known.includes(`"${id}"`)), "nodes without an expectation").toEqual([]);
  });
});
