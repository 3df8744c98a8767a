import { describe, expect, it } from "vitest";
import {
  DISPLAY_STATES,
  displayChangesAt,
  displayState,
  metaOf,
  times,
  type FlowNode,
} from "../src/index.js";
import { GRACE_MS } from "../src/graph/judgement.js";
import { node, recordedAt } from "./flow.js";

const now = 1_000_000;
const ctx = { nodes: new Set(["there"]), now };

describe("displayState", () => {
  const missing = { reason: "DependencyNotReady", waitingFor: ["nothere"] };
  it.each<[string, FlowNode, string]>([
    ["ready if it has succeeded", node("n"), "ready"],
    ["terminating whatever else holds", node("n", "failed", { deletingSince: 1, suspended: true }), "terminating"],
    ["broken when it failed, suspended or not", node("n", "failed", { suspended: true }), "broken"],
    ["suspended rather than ready", node("n", "succeeded", { suspended: true }), "suspended"],
    ["suspended rather than waiting", node("n", "running", { suspended: true, waitingFor: ["there"] }), "suspended"],
    ["waiting by its reason", node("n", "running", { reason: "DependencyNotReady" }), "waiting"],
    ["waiting if it has waitingFor", node("n", "pending", { waitingFor: ["there"] }), "waiting"],
    ["waiting if a dependency is missing for a minute at most", node("n", "running", { ...missing, waitingSince: now - GRACE_MS }), "waiting"],
    ["broken if a dependency is missing for over a minute", node("n", "running", { ...missing, waitingSince: now - GRACE_MS - 1 }), "broken"],
    ["waiting for an existing dependency, however long", node("n", "running", { waitingFor: ["there"], waitingSince: 0 }), "waiting"],
    ["the state of its judgement", node("n", "succeeded", { judgement: { state: "waiting", gate: "wait" } }), "waiting"],
    ["the state of its status if the judgement is invalid", node("n", "succeeded", { judgement: { state: "dancing" } }), "ready"],
    ["not started while it is pending", node("n", "pending"), "not-started"],
    ["working otherwise", node("n", "running", { reason: "Progressing", reasonSince: 0 }), "working"],
    ["working with an unknown status", node("n", "dancing"), "working"],
    ["working without any meta", { id: "n", flowId: "F", label: "n", status: "running" }, "working"],
  ])("is %s", (_, n, display) => {
    expect(displayState(n, ctx)).toBe(display);
  });

  it("changes at the instants in its judgement, and returns the next one", () => {
    const n = node("n", "running", { judgement: { state: "working", then: [{ at: now + 1, state: "broken" }, { at: now + 9, state: "ready" }] } });
    expect(displayState(n, ctx)).toBe("working");
    const at = displayChangesAt(n, ctx);
    expect(displayState(n, { ...ctx, now: at - 1 })).toBe("working");
    expect(displayState(n, { ...ctx, now: at })).toBe("broken");
    expect(displayChangesAt(n, { ...ctx, now: at })).toBe(now + 9);
    expect(displayChangesAt(n, { ...ctx, now: now + 9 })).toBe(Infinity);
  });

  it("is ready while its readyWhile are satisfied, and waiting otherwise", () => {
    const dependent = (id: string, on: string): FlowNode => node(id, "running", { judgement: { state: "waiting", since: now, needs: [on], readyWhile: [on] } });
    const nodes = new Map([dependent("a", "b"), dependent("b", "c"), node("c"), dependent("x", "y"), dependent("y", "x")].map((n) => [n.id, n]));
    const shown = (id: string): string => displayState(nodes.get(id) as FlowNode, { nodes, now });
    expect(["a", "b", "x", "y"].map(shown)).toEqual(["ready", "ready", "waiting", "waiting"]);
    nodes.set("c", node("c", "failed"));
    expect(["a", "b"].map(shown)).toEqual(["waiting", "waiting"]);
  });

  it("is unconfirmed after a restart of the server, unless it is being deleted", () => {
    const unconfirmed = new Set(["n"]);
    expect(displayState(node("n", "failed"), { ...ctx, unconfirmed })).toBe("unconfirmed");
    expect(displayState(node("n", "failed", { deletingSince: 1 }), { ...ctx, unconfirmed })).toBe("terminating");
  });

  it("shows 23 waiting and one working in the third second of kit-fsn1", () => {
    const { graph, now } = recordedAt("kit-fsn1", 2.4);
    const shown = graph.leaves.map((id) => displayState(graph.nodes.get(id) as FlowNode, { graph, nodes: graph.nodes, now }));
    expect(DISPLAY_STATES.map((d) => [d, shown.filter((s) => s === d).length]).filter(([, n]) => n !== 0)).toEqual([["waiting", 23], ["working", 1]]);
  });
});

describe("metaOf", () => {
  it("omits fields of a wrong type, and caches the result", () => {
    const n = { ...node("n"), meta: { reason: 3, message: "m", waitingFor: ["a", 1], chart: { name: "c", ready: false }, suspended: "yes", notWatched: [{ kind: "X" }, 1] } };
    expect(metaOf(n)).toEqual({ message: "m", waitingFor: ["a"], chart: { name: "c" }, notWatched: [{ kind: "X", why: "" }] });
    expect(metaOf(n)).toBe(metaOf(n));
  });
});

describe("times", () => {
  it.each<[string, FlowNode, { waitingMs: number; workingMs: number }]>([
    ["that waits", node("n", "running", { waitingSince: now - 500 }), { waitingMs: 500, workingMs: 0 }],
    ["that works after waiting", node("n", "running", { waitingSince: now - 500 }, { startedAt: now - 200 }), { waitingMs: 300, workingMs: 200 }],
    ["that has ended", node("n", "succeeded", {}, { startedAt: now - 500, endedAt: now - 100 }), { waitingMs: 0, workingMs: 400 }],
    ["that waits again after its run", node("n", "running", { waitingSince: now - 50 }, { startedAt: now - 500 }), { waitingMs: 50, workingMs: 0 }],
    ["whose end is not known", node("n", "failed", {}, { startedAt: now - 500 }), { waitingMs: 0, workingMs: 0 }],
    ["that started in the future, by a clock that is ahead", node("n", "running", {}, { startedAt: now + 500 }), { waitingMs: 0, workingMs: 0 }],
  ])("splits the time of one %s", (_, n, expected) => {
    expect(times(n, now)).toEqual(expected);
  });
});
