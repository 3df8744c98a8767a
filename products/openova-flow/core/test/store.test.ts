import { beforeEach, describe, expect, it } from "vitest";
import { FlowStore, toSnapshot, type FlowMessage, type FlowNode } from "../src/index.js";
import { edge, node } from "./flow.js";

let now: number;
let store: FlowStore;
let seq: number;

beforeEach(() => {
  now = 1_000_000;
  seq = 100;
  store = new FlowStore({ flowId: "F", now: () => now });
});

const flow = { id: "F", status: "running", startedAt: 0 };
const at = (id: string, region: string, rest: Partial<FlowNode> = {}): FlowNode => node(id, "succeeded", {}, { region, ...rest });
const send = (message: FlowMessage): void => store.receive({ type: "message", seq: ++seq, message });
const beat = (incarnation: string, head = seq): void => store.receive({ type: "heartbeat", seq: head, at: now, incarnation });
const ids = (): string[] => [...store.state.nodes.keys()].sort();
const unconfirmed = (): string[] => [...store.state.unconfirmed].sort();
const pass = (ms: number): void => {
  now += ms;
  store.tick();
};

function begin(): void {
  beat("i1", 100);
  send({
    type: "snapshot",
    flow,
    nodes: [at("a1", "a"), at("a2", "a"), at("b1", "b"), at("b2", "b")],
    relationships: [edge("a1", "a2"), edge("b1", "b2"), edge("gone", "b2")],
  });
}

describe("FlowStore", () => {
  it("folds, logs and notifies subscribers", () => {
    let calls = 0;
    const stop = store.subscribe(() => calls++);
    expect(store).toMatchObject({ loaded: false, seq: 0 });
    begin();
    send({ type: "upsert-nodes", nodes: [at("a3", "a")] });
    expect(store).toMatchObject({ loaded: true, seq: 102, incarnation: "i1" });
    expect(ids()).toEqual(["a1", "a2", "a3", "b1", "b2"]);
    expect(store.log.entries().map((e) => e.seq)).toEqual([101, 102]);
    expect(calls).toBe(3);
    stop();
    beat("i1");
    expect(calls).toBe(3);
  });

  it("uses the server's clock", () => {
    store.receive({ type: "heartbeat", seq: 1, at: now + 5000, incarnation: "i1" });
    store.receive({ type: "heartbeat", seq: 1, at: now + 3000, incarnation: "i1" });
    expect(store.now()).toBe(now + 5000);
    store.setConnection({ kind: "live", since: now });
    expect(store.now()).toBe(now + 5000);
    store.receive({ type: "heartbeat", seq: 1, at: now + 3000, incarnation: "i1" });
    expect(store.now()).toBe(now + 3000);
  });

  it("replaces everything with a snapshot of the same incarnation", () => {
    begin();
    beat("i1");
    send({ type: "snapshot", flow, nodes: [at("a1", "a")] });
    expect(ids()).toEqual(["a1"]);
    expect(unconfirmed()).toEqual([]);
  });

  it("empties on deletion", () => {
    begin();
    store.receive({ type: "deleted" });
    expect(store).toMatchObject({ deleted: true, loaded: false });
    expect(store.state.nodes.size).toBe(0);
    beat("", 0);
    beat("i9", 500);
    send({ type: "snapshot", flow, nodes: [at("new", "a")] });
    expect(store).toMatchObject({ deleted: false, loaded: true });
    expect(ids()).toEqual(["new"]);
    expect(unconfirmed()).toEqual([]);
  });
});

describe("after a restart of the server", () => {
  it("keeps missing nodes as unconfirmed until their region reports", () => {
    begin();
    beat("i2");
    expect(unconfirmed()).toEqual(["a1", "a2", "b1", "b2"]);
    send({ type: "snapshot", flow: { ...flow, status: "pending" }, nodes: [at("a1", "a")] });
    expect(store.state.flow?.status).toBe("pending");
    expect(ids()).toEqual(["a1", "a2", "b1", "b2"]);
    expect(unconfirmed()).toEqual(["a2", "b1", "b2"]);
    pass(2000);
    expect(ids()).toEqual(["a1", "b1", "b2"]);
    send({ type: "upsert-nodes", nodes: [at("b2", "b")] });
    expect(unconfirmed()).toEqual(["b1"]);
    pass(2000);
    expect(ids()).toEqual(["a1", "b2"]);
    expect(unconfirmed()).toEqual([]);
  });

  it("removes unreported nodes after a minute", () => {
    begin();
    beat("i2");
    send({ type: "snapshot", flow, nodes: [] });
    pass(59_000);
    expect(ids()).toHaveLength(4);
    pass(1000);
    expect(ids()).toEqual([]);
    expect(store.state.rels.size).toBe(0);
  });

  it("keeps missing nodes also if the server does not know the flow at first", () => {
    begin();
    beat("", 0);
    expect(unconfirmed()).toHaveLength(4);
    pass(15_000);
    beat("", 0);
    send({ type: "snapshot", flow, nodes: [at("a1", "a"), at("a2", "a")], relationships: [edge("a1", "a2")] });
    beat("i2");
    expect(unconfirmed()).toEqual(["b1", "b2"]);
    pass(45_000);
    expect(ids()).toEqual(["a1", "a2"]);
    expect(store.state.rels.size).toBe(1);
  });

  it("ends with the server's state, with added, kept and removed edges", () => {
    begin();
    beat("i2");
    send({ type: "snapshot", flow, nodes: [] });
    send({ type: "upsert-nodes", nodes: [at("a1", "a"), at("a2", "a"), at("b2", "b")] });
    send({ type: "upsert-rels", relationships: [edge("b1", "b2"), edge("a2", "a1")] });
    pass(60_000);
    expect(toSnapshot(store.state)).toEqual({
      type: "snapshot",
      flow,
      nodes: [at("a1", "a"), at("a2", "a"), at("b2", "b")],
      relationships: [edge("a2", "a1"), edge("b1", "b2")],
    });
  });

  it("takes the new value of an edge", () => {
    begin();
    beat("i2");
    const changed = edge("a1", "a2", { condition: "always" });
    send({ type: "snapshot", flow, nodes: [at("a1", "a"), at("a2", "a")], relationships: [changed] });
    expect([...store.state.rels.values()]).toContainEqual(changed);
    expect(store.state.rels.size).toBe(3);
  });

  it("keeps the topology if everything is reported unchanged", () => {
    begin();
    const before = store.state.topologyVersion;
    beat("i2");
    send({ type: "snapshot", flow, nodes: [] });
    send({ type: "upsert-nodes", nodes: [at("a1", "a"), at("a2", "a"), at("b1", "b"), at("b2", "b")] });
    send({ type: "upsert-rels", relationships: [edge("a1", "a2"), edge("b1", "b2"), edge("gone", "b2")] });
    pass(60_000);
    expect(unconfirmed()).toEqual([]);
    expect(store.state.topologyVersion).toBe(before);
  });

  it("survives a second restart during the first", () => {
    begin();
    beat("i2");
    send({ type: "snapshot", flow, nodes: [at("a1", "a")] });
    beat("i3");
    expect(unconfirmed()).toEqual(["a1", "a2", "b1", "b2"]);
    send({ type: "snapshot", flow, nodes: [at("b1", "b")] });
    pass(60_000);
    expect(ids()).toEqual(["b1"]);
  });

  it("removes deleted nodes, confirmed or not", () => {
    begin();
    beat("i2");
    send({ type: "snapshot", flow, nodes: [at("a1", "a")] });
    send({ type: "delete-nodes", ids: ["b1", "a1"] });
    expect(ids()).toEqual(["a2", "b2"]);
    expect(unconfirmed()).toEqual(["a2", "b2"]);
  });

  it("does not notify without a change", () => {
    begin();
    let calls = 0;
    store.subscribe(() => calls++);
    pass(100_000);
    beat("i2");
    expect(calls).toBe(1);
    pass(1000);
    expect(calls).toBe(1);
  });
});
