import { describe, expect, it } from "vitest";
import { emptyState, EventLog, foldAll, fold, toSnapshot, type EventsAnswer, type FlowMessage, type FullSnapshot, type LogEntry } from "../src/index.js";
import { Random, randomMessages } from "./random.js";

/** The messages of a flow with their sequence numbers and instants, and the state after each. */
function history(seed: number, count: number): { entries: LogEntry[]; after(seq: number): FullSnapshot | null } {
  const r = new Random(seed);
  const messages: FlowMessage[] = [{ type: "upsert-flow", flow: { id: "F", status: "running", startedAt: 0 } }, ...randomMessages(r, "F", count)];
  let [seq, at] = [100, 1000];
  const entries = messages.map((message) => ({ seq: (seq += 1 + r.below(5)), at: (at += r.below(50)), message }));
  return { entries, after: (s) => toSnapshot(foldAll(emptyState("F"), entries.filter((e) => e.seq <= s).map((e) => e.message))) };
}
const logOf = (entries: readonly LogEntry[], options = {}): EventLog => {
  const log = new EventLog({ flowId: "F", checkpointEvery: 8, ...options });
  for (const e of entries) log.append(e.seq, e.at, e.message);
  return log;
};
const snapshotAt = (log: EventLog, seq: number): FullSnapshot | null => {
  const state = log.stateAtSeq(seq);
  return state === null ? null : toSnapshot(state);
};

describe("EventLog", () => {
  it("returns every past state, in any order", () => {
    const { entries, after } = history(1, 100);
    const log = logOf(entries);
    const r = new Random(2);
    for (let i = 0; i < 150; i++) {
      const e = r.pick(entries);
      expect(snapshotAt(log, e.seq)).toEqual(after(e.seq));
      const last = entries.findLast((x) => x.at <= e.at) as LogEntry;
      expect(toSnapshot(log.stateAt(e.at) ?? emptyState("F"))).toEqual(after(last.seq));
    }
  });

  it("returns its range", () => {
    const { entries } = history(1, 20);
    const log = logOf(entries);
    const [first, last] = [entries[0] as LogEntry, entries.at(-1) as LogEntry];
    expect(log).toMatchObject({ size: entries.length, firstSeq: first.seq, lastSeq: last.seq, range: { from: first.at, to: last.at } });
    expect(log.stateAt(0)?.nodes.size).toBe(0);
    expect(new EventLog({ flowId: "F" })).toMatchObject({ range: null, size: 0, firstSeq: 0, lastSeq: 0 });
    expect(new EventLog({ flowId: "F" }).stateAt(5)).toBeNull();
  });

  it("ignores known sequence numbers, resets for a snapshot with a lower one, and keeps instants in order", () => {
    const log = logOf([]);
    const flow = { id: "F", status: "running", startedAt: 0 };
    log.append(5, 100, { type: "upsert-flow", flow });
    log.append(5, 100, { type: "delete-nodes", ids: ["a"] });
    log.append(6, 50, { type: "delete-nodes", ids: ["a"] });
    expect(log.entries().map((e) => [e.seq, e.at])).toEqual([
      [5, 100],
      [6, 100],
    ]);
    log.append(3, 200, { type: "snapshot", flow });
    expect(log.entries().map((e) => e.seq)).toEqual([3]);
  });

  it("removes the oldest messages above its capacity, and keeps later states", () => {
    const { entries, after } = history(3, 100);
    const log = logOf(entries, { capacity: 30 });
    expect(log.size).toBeLessThanOrEqual(30);
    expect(log.size).toBeGreaterThan(20);
    for (const e of log.entries()) expect(snapshotAt(log, e.seq)).toEqual(after(e.seq));
  });

  it("has the right state after every message, for any pages of history before, between and after live messages", () => {
    for (let seed = 0; seed < 60; seed++) {
      const r = new Random(seed);
      const { entries, after } = history(seed, 60);
      const log = logOf([]);
      // A page that was opened at some moment: a snapshot, then live messages.
      const openedAt = r.below(entries.length);
      const opened = entries[openedAt] as LogEntry;
      log.append(opened.seq, opened.at, after(opened.seq) as FullSnapshot);
      const liveUntil = openedAt + r.below(entries.length - openedAt);
      for (const e of entries.slice(openedAt + 1, liveUntil + 1)) log.append(e.seq, e.at + 3, e.message);
      // Then it loads the messages in the ring, page by page.
      const oldest = r.below(openedAt + 1);
      let next = oldest;
      while (next < entries.length) {
        const page = entries.slice(next, next + 1 + r.below(30));
        const baseSeq = next === 0 ? 0 : (entries[next - 1] as LogEntry).seq;
        const base = after(baseSeq) ?? { type: "snapshot", flow: { id: "F", status: "pending", startedAt: 0 }, nodes: [], relationships: [] };
        const answer: EventsAnswer = { base, baseSeq, events: page, oldest: (entries[oldest] as LogEntry).seq, head: (entries.at(-1) as LogEntry).seq };
        log.ingest(answer);
        if (r.chance(0.2)) log.ingest(answer);
        next += page.length;
      }
      expect(log.entries().map((e) => e.seq)).toEqual(entries.slice(oldest).map((e) => e.seq));
      for (const e of entries.slice(oldest)) expect(snapshotAt(log, e.seq)).toEqual(after(e.seq));
    }
  });

  it("replaces missing messages by the base of the answer", () => {
    const { entries, after } = history(9, 60);
    const log = logOf(entries.slice(0, 10));
    const missed = entries[39] as LogEntry;
    log.ingest({ base: after(missed.seq), baseSeq: missed.seq, events: entries.slice(40), oldest: 0, head: 0 });
    for (const e of [...entries.slice(0, 10), ...entries.slice(39)]) expect(snapshotAt(log, e.seq)).toEqual(after(e.seq));
    expect(log.entries()).toHaveLength(10 + 1 + entries.length - 40);
  });

  it("ignores an answer without messages if it has earlier ones itself", () => {
    const { entries, after } = history(4, 10);
    const seq = (entries.at(-1) as LogEntry).seq;
    const log = logOf(entries);
    const version = log.version;
    log.ingest({ base: after(seq), baseSeq: seq, events: [], oldest: 0, head: seq });
    expect(log.version).toBe(version);
  });

  it("returns the history of a node, with equal consecutive values merged", () => {
    const node = (label: string) => ({ id: "a", flowId: "F", label, status: "running" });
    const flow = { id: "F", status: "running", startedAt: 0 };
    const steps: FlowMessage[] = [
      { type: "snapshot", flow, nodes: [node("1")] },
      { type: "upsert-nodes", nodes: [node("1")] },
      { type: "upsert-nodes", nodes: [node("x"), node("2")] },
      { type: "delete-nodes", ids: ["b"] },
      { type: "delete-nodes", ids: ["a"] },
      { type: "upsert-nodes", nodes: [node("3")] },
      { type: "snapshot", flow },
    ];
    const log = logOf(steps.map((message, i) => ({ seq: i + 1, at: i * 10, message })));
    expect(log.history("a").map((c) => [c.seq, c.at, c.node?.label])).toEqual([
      [1, 0, "1"],
      [3, 20, "2"],
      [5, 40, undefined],
      [6, 50, "3"],
      [7, 60, undefined],
    ]);
    expect(log.history("never")).toEqual([]);
  });

  it("travels through 4,096 messages on 10,000 nodes, and prints the time", () => {
    const node = (i: number, status: string) => ({ id: `n${i}`, flowId: "F", label: `n${i}`, status });
    const base = fold(emptyState("F"), { type: "snapshot", flow: { id: "F", status: "running", startedAt: 0 }, nodes: Array.from({ length: 10_000 }, (_, i) => node(i, "pending")) });
    const log = new EventLog({ flowId: "F" });
    const events = Array.from({ length: 4096 }, (_, i) => ({ seq: i + 2, at: i, message: { type: "upsert-nodes", nodes: [node((i * 7) % 10_000, `s${i}`)] } as const }));
    log.ingest({ base: toSnapshot(base), baseSeq: 1, events, oldest: 2, head: 4097 });
    const start = performance.now();
    expect(log.stateAt(4000)?.nodes.get("n8000")?.status).toBe("s4000");
    const first = performance.now() - start;
    const again = performance.now();
    for (let t = 0; t < 4096; t += 41) log.stateAt(t);
    console.log(`time travel on 10,000 nodes: first jump ${first.toFixed(0)} ms, then ${((performance.now() - again) / 100).toFixed(2)} ms each`);
  });
});
