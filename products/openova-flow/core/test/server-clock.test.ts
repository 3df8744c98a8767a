import { describe, expect, it } from "vitest";
import { buildGraph, currentRollout, displayState, FleetStore, flowProgress, FlowStore, problems, rolloutProgress, toSnapshot, type FlowMessage, type FlowState, type Rollout } from "../src/index.js";
import { edge, node, stateOf } from "./flow.js";

const HOUR = 3_600_000;
/** The clock of the server, which the page uses. */
const now = 1_800_000_000_000;
const judged = (judgement: object): Record<string, unknown> => ({ judgement });
const broken = { state: "broken", problem: true, cause: { class: "overdue", sentence: "It takes too long." } };

/** Some of the nodes have other states an hour earlier or later. */
const state = stateOf(
  [
    node("faulty", "running", judged({ state: "working", since: now - 30_000, gate: "wait", then: [{ ...broken, at: now + 30_000 }] })),
    node("overdue", "running", judged({ state: "working", since: now - 600_000, gate: "wait", then: [{ ...broken, at: now - 1000 }] })),
    node("waiting", "running", judged({ state: "waiting", since: now - 30_000, needs: ["gone"] })),
    node("deleted", "running", { deletingSince: now - 200_000 }),
    node("a", "running", {}, { startedAt: now - 40_000 }),
    node("b", "pending"),
  ],
  [edge("a", "b")],
);
const snapshot = toSnapshot(state) as FlowMessage;
const member = (id: string, ms: number): Rollout["members"][number] => ({ id, label: id, status: "succeeded", startedAt: 0, endedAt: ms });
const rollouts: readonly Rollout[] = [
  { id: "now", startedAt: now - 60_000, outcome: "running", alreadyBroken: [], members: ["a", "b"].map((id) => ({ id, label: id, status: "running" })) },
  { id: "before", startedAt: 0, endedAt: 90_000, outcome: "succeeded", alreadyBroken: [], members: [member("a", 60_000), member("b", 30_000)] },
];

/** Results that depend on the clock. */
function resultsOf(state: FlowState, at: number): unknown {
  const graph = buildGraph(state);
  const context = { graph, nodes: graph.nodes, unconfirmed: state.unconfirmed, regions: state.regions, now: at };
  const rollout = currentRollout(rollouts) as Rollout;
  return {
    states: Object.fromEntries([...graph.nodes.values()].map((n) => [n.id, displayState(n, context)])),
    problems: problems(graph, at),
    progress: flowProgress(graph, at),
    rollout: rolloutProgress(graph, rollout, at, rollouts.slice(1)),
  };
}

describe("a page with a wrong clock", () => {
  it("would get other results by its own clock", () => {
    for (const off of [-HOUR, HOUR]) expect(resultsOf(state, now + off)).not.toEqual(resultsOf(state, now));
    expect(resultsOf(state, now)).toMatchObject({ rollout: { etaAt: now + 50_000 }, states: { faulty: "working", overdue: "broken", waiting: "waiting" } });
  });

  it.each([0, HOUR, -HOUR])("gets the same results if it is off by %i ms", (off) => {
    const local = (): number => now + off;
    const one = new FlowStore({ flowId: "F", now: local });
    one.receive({ type: "heartbeat", seq: 1, at: now, incarnation: "i" });
    one.receive({ type: "message", seq: 1, message: snapshot });
    expect(resultsOf(one.state, one.now())).toEqual(resultsOf(state, now));

    const all = new FleetStore(local);
    all.receive({ type: "heartbeat", seq: 1, at: now });
    all.receive({ type: "flows", flows: new Map([["F", "i"]]) });
    all.receive({ type: "message", flowId: "F", seq: 1, message: snapshot });
    expect(resultsOf(all.flows?.get("F") as FlowState, all.now())).toEqual(resultsOf(state, now));
  });

  it("follows the clock of the server that it reconnects to", () => {
    const one = new FlowStore({ flowId: "F", now: () => now });
    const all = new FleetStore(() => now);
    for (const at of [now + 30_000, now]) {
      for (const store of [one, all]) {
        store.setConnection({ kind: "reconnecting", since: now, attempt: 1, nextAttemptAt: now, reason: "" });
        store.setConnection({ kind: "live", since: now });
      }
      one.receive({ type: "heartbeat", seq: 1, at, incarnation: "i" });
      all.receive({ type: "heartbeat", seq: 1, at });
      expect([one.now(), all.now()]).toEqual([at, at]);
    }
  });

  it.each([HOUR, -HOUR])("gets the same results after its clock was changed by %i ms", (off) => {
    let local = now;
    const store = new FlowStore({ flowId: "F", now: () => local });
    store.receive({ type: "heartbeat", seq: 1, at: now, incarnation: "i" });
    local += 15_000 + off;
    store.receive({ type: "heartbeat", seq: 1, at: now + 15_000, incarnation: "i" });
    expect(store.now()).toBe(now + 15_000);
  });
});
