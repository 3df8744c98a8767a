import { describe, expect, it } from "vitest";
import { compareBytes, emptyState, fold, foldAll, relKey, toSnapshot, validate, type FlowMessage, type FlowState, type FullSnapshot } from "../src/index.js";
import { filesIn, golden } from "./files.js";
import { naiveFold } from "./naive.js";
import { Random, randomMessages } from "./random.js";

function node(id: string, region?: string): { id: string; flowId: string; label: string; status: string; region?: string } {
  return { id, flowId: "F", label: id, status: "running", ...(region === undefined ? {} : { region }) };
}
const rel = (fromId: string, toId: string) => ({ fromId, toId, type: "finish-to-start" }) as const;
const upsert = (...nodes: ReturnType<typeof node>[]): FlowMessage => ({ type: "upsert-nodes", nodes });

describe("fold", () => {
  it("equals a literal implementation of the contract on random sequences", () => {
    for (let seed = 1; seed <= 200; seed++) {
      const messages = randomMessages(new Random(seed), "F", 60);
      for (const m of messages) expect(validate("F", m)).toMatchObject({ ok: true });
      let state = emptyState("F");
      messages.forEach((m, i) => {
        state = fold(state, m);
        if (i % 7 === 0) expect(toSnapshot(state)).toEqual(naiveFold("F", messages.slice(0, i + 1)));
      });
      expect(toSnapshot(state)).toEqual(naiveFold("F", messages));
      expect(toSnapshot(foldAll(emptyState("F"), messages))).toEqual(toSnapshot(state));
    }
  });

  it.each([...filesIn("server/flow/testdata/sequences"), ...filesIn("core/testdata/sequences")])("gives the snapshot of $name", ({ text }) => {
    const { flowId, messages, snapshot } = JSON.parse(text) as { flowId: string; messages: FlowMessage[]; snapshot: unknown };
    expect(messages.length).toBeGreaterThan(0);
    expect(toSnapshot(foldAll(emptyState(flowId), messages))).toEqual(snapshot);
  });

  it("does not change earlier states", () => {
    const messages = randomMessages(new Random(7), "F", 400);
    const states: FlowState[] = [emptyState("F")];
    for (const m of messages) states.push(fold(states.at(-1) as FlowState, m));
    for (const i of [0, 1, 99, 250, 399]) expect(toSnapshot(states[i] as FlowState)).toEqual(naiveFold("F", messages.slice(0, i)));
  });

  it("keeps its maps consistent", () => {
    const state = foldAll(emptyState("F"), randomMessages(new Random(11), "F", 500));
    for (const map of [state.nodes, state.rels] as ReadonlyMap<string, unknown>[]) {
      const entries = [...map];
      expect(map.size).toBe(entries.length);
      expect([...map.keys()]).toEqual(entries.map(([k]) => k));
      expect([...map.values()]).toEqual(entries.map(([, v]) => v));
      const each: [string, unknown][] = [];
      map.forEach((v, k) => each.push([k, v]));
      expect(each).toEqual(entries);
      for (const [k, v] of entries) expect(map.get(k)).toBe(v);
    }
    expect(state.nodes.has("nowhere")).toBe(false);
  });

  it("changes the topology version only if nodes or edges are added, removed or moved, or edges changed", () => {
    let state = foldAll(emptyState("F"), [upsert(node("a", "r1"), node("b", "r1"), node("c", "r2"))]);
    const changes = (m: FlowMessage): boolean => {
      const old = state;
      state = fold(state, m);
      expect(state.version).not.toBe(old.version);
      return state.topologyVersion !== old.topologyVersion;
    };
    expect(changes(upsert({ ...node("a", "r1"), status: "failed" }))).toBe(false);
    expect(changes({ type: "upsert-rels", relationships: [rel("a", "b")] })).toBe(true);
    expect(changes({ type: "upsert-rels", relationships: [rel("a", "b")] })).toBe(false);
    expect(changes({ type: "upsert-rels", relationships: [{ ...rel("a", "b"), condition: "always" }] })).toBe(true);
    expect(changes({ type: "upsert-rels", relationships: [rel("a", "c")] })).toBe(true);
    expect(changes({ type: "delete-rels", pairs: [rel("x", "y")] })).toBe(false);
    expect(changes(upsert(node("b", "r2")))).toBe(true);
    expect(changes({ type: "delete-nodes", ids: ["c"] })).toBe(true);
    const snapshot = toSnapshot(fold(state, { type: "upsert-flow", flow: { id: "F", status: "x", startedAt: 1 } })) as FullSnapshot;
    expect(changes(snapshot)).toBe(false);
    expect(changes({ ...snapshot, relationships: [] })).toBe(true);
    expect(changes({ ...snapshot, relationships: [], nodes: snapshot.nodes.slice(1) })).toBe(true);
  });

  it("folds 1,000 messages into 10,000 nodes, and prints the time", () => {
    let state = fold(emptyState("F"), upsert(...Array.from({ length: 10_000 }, (_, i) => node(`n${i}`, `r${i % 40}`))));
    const start = performance.now();
    for (let i = 0; i < 1000; i++) state = fold(state, upsert({ ...node(`n${(i * 37) % 10_000}`, `r${((i * 37) % 10_000) % 40}`), status: `s${i}` }));
    console.log(`1,000 messages into 10,000 nodes: ${(performance.now() - start).toFixed(1)} ms`);
    expect(state.nodes.size).toBe(10_000);
  });

  it("folds a recording to its end state", () => {
    const state = foldAll(emptyState("bootstrap"), golden("kit-fsn1").map((r) => r.message));
    expect([...state.nodes.values()].filter((n) => n.meta?.["kind"] === "HelmRelease").map((n) => n.status)).toEqual(Array(24).fill("succeeded"));
  });
});

describe("relKey", () => {
  it("differs for keys whose concatenated parts are equal", () => {
    const keys = [rel("a", "bc"), rel("ab", "c"), rel("1 a", "b"), rel("", "1 ab"), { ...rel("a", "bc"), type: "triggers" as const }].map(relKey);
    expect(new Set(keys).size).toBe(keys.length);
  });
});

describe("compareBytes", () => {
  it("has the order of UTF-8 bytes", () => {
    const r = new Random(3);
    const parts = ["a", "b", "\u00fc", "\ud7ff", "\ue000", "\uffff", "\u{10000}", "\u{1f680}", ""];
    const word = (): string => Array.from({ length: r.below(4) }, () => r.pick(parts)).join("");
    for (let i = 0; i < 2000; i++) {
      const [a, b] = [word(), word()];
      expect(Math.sign(compareBytes(a, b))).toBe(Math.sign(Buffer.compare(Buffer.from(a), Buffer.from(b))));
    }
  });
});
