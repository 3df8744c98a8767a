import { beforeEach, describe, expect, it } from "vitest";
import { connectMany, FleetStore, type Connection, type ConnectManyOptions, type FlowMessage, type ManyEvent } from "../src/index.js";
import { Clock, FakeServer, settle } from "./clock.js";

const snapshotOf = (id: string, ...nodes: string[]): FlowMessage => ({
  type: "snapshot",
  flow: { id, status: "running", startedAt: 0 },
  nodes: nodes.map((n) => ({ id: n, flowId: id, label: n, status: "running" })),
  relationships: [],
});
const change = (flowId: string, id: string, status: string): FlowMessage => ({ type: "upsert-nodes", nodes: [{ id, flowId, label: id, status }] });
/** A frame of flow `id`, with a sequence number if `seq` is given. */
const frameOf = (id: string, message: { readonly type: string }, seq?: number): string =>
  `${seq === undefined ? "" : `id: ${seq}\n`}event: ${id}/${message.type}\ndata: ${message.type === "deleted" ? "{}" : JSON.stringify(message)}\n\n`;
const flows = (...ids: string[]): string => `event: flows\ndata: ${JSON.stringify({ flows: Object.fromEntries(ids.map((id) => [id, `of ${id}`])), seq: 999 })}\n\n`;
const heartbeat = (seq: number, at: number): string => `event: heartbeat\ndata: ${JSON.stringify({ seq, at })}\n\n`;
const deleted = { type: "deleted" };

let clock: Clock;
let server: FakeServer;
let events: ManyEvent[];
let store: FleetStore;

beforeEach(() => {
  clock = new Clock();
  server = new FakeServer();
  events = [];
  store = new FleetStore(clock.now);
});

function open(options: Partial<ConnectManyOptions> = {}): Connection {
  return connectMany({
    url: "/base/",
    fetch: server.fetch,
    now: clock.now,
    timers: clock,
    random: () => 0.5,
    onEvent: (e) => {
      events.push(e);
      store.receive(e);
    },
    ...options,
  });
}
/** Breaks the connection and returns the cursor with which the next one resumes. */
async function resumedWith(): Promise<string | undefined> {
  server.last.end();
  await clock.advance(10_000);
  return server.last.headers["Last-Event-ID"];
}
const statusOf = (flowId: string, id: string): string | undefined => store.flows?.get(flowId)?.nodes.get(id)?.status;
const ids = (): string[] => [...(store.flows?.keys() ?? [])].sort();

describe("connectMany", () => {
  it("requests all flows, or the named ones", () => {
    open();
    expect(server.last).toMatchObject({ url: "/base/v1/stream", headers: { Accept: "text/event-stream" } });
    open({ flows: ["a", "b:c"], lastEventId: "7" });
    expect(server.last).toMatchObject({ url: "/base/v1/stream?flow=a&flow=b:c", headers: { "Last-Event-ID": "7" } });
  });

  it("resumes with the whole id of a frame: the sequence number and what follows it", async () => {
    open();
    await settle();
    server.last.send(heartbeat(5, 77) + flows("a") + frameOf("a", snapshotOf("a", "n"), 5).replace("id: 5", "id: 5.0a1b2c"));
    await settle();
    expect(events.at(-1)).toMatchObject({ type: "message", seq: 5 });
    expect(await resumedWith()).toBe("5.0a1b2c");
    server.last.send(heartbeat(6, 78) + flows("a") + frameOf("a", change("a", "n", "failed"), 6));
    await settle();
    expect(await resumedWith()).toBe("6");
  });

  it("has the whole id for another connection to resume from", async () => {
    const connection = open();
    expect(connection.lastEventId).toBeUndefined();
    await settle();
    server.last.send(heartbeat(5, 77) + flows("a") + frameOf("a", snapshotOf("a", "n"), 5).replace("id: 5", "id: 5.0a1b2c"));
    await settle();
    connection.close();
    const next = open({ lastEventId: connection.lastEventId });
    expect(server.last.headers["Last-Event-ID"]).toBe("5.0a1b2c");
    await settle();
    server.last.send(flows("a") + frameOf("a", { type: "upsert-nodes" }, 6));
    await settle();
    expect(next.lastEventId).toBeUndefined();
  });

  it("is live after the first heartbeat, and passes events on by flow", async () => {
    const connection = open();
    await settle();
    server.last.send(heartbeat(5, 77) + flows("a", "b") + frameOf("a", snapshotOf("a", "n")) + frameOf("b", snapshotOf("b"), 5) + frameOf("a", change("a", "n", "failed"), 6) + frameOf("b", deleted, 7));
    await settle();
    expect(connection.state.kind).toBe("live");
    expect(events).toEqual([
      { type: "heartbeat", seq: 5, at: 77 },
      { type: "flows", flows: new Map([["a", "of a"], ["b", "of b"]]) },
      { type: "message", flowId: "a", seq: undefined, message: snapshotOf("a", "n") },
      { type: "message", flowId: "b", seq: 5, message: snapshotOf("b") },
      { type: "message", flowId: "a", seq: 6, message: change("a", "n", "failed") },
      { type: "deleted", flowId: "b", seq: 7 },
    ]);
  });

  it("resumes after the last sequence number of all flows, even if it is of a deletion", async () => {
    open();
    await settle();
    server.last.send(flows("a", "b") + frameOf("a", snapshotOf("a")) + frameOf("b", snapshotOf("b"), 5) + frameOf("a", change("a", "n", "failed"), 6));
    await settle();
    expect(await resumedWith()).toBe("6");
    server.last.send(flows("a", "b") + frameOf("b", deleted, 8));
    await settle();
    expect(await resumedWith()).toBe("8");
  });

  it("keeps its cursor at frames without a sequence number", async () => {
    open();
    await settle();
    server.last.send(heartbeat(50, 0) + flows("a") + frameOf("a", snapshotOf("a")));
    await settle();
    expect(await resumedWith()).toBeUndefined();
    server.last.send(flows("a") + frameOf("a", snapshotOf("a"), 5));
    await settle();
    expect(await resumedWith()).toBe("5");
    server.last.send(heartbeat(60, 0) + flows("a", "b") + frameOf("b", snapshotOf("b", "n")) + frameOf("b", change("b", "n", "failed")));
    await settle();
    expect(statusOf("b", "n")).toBe("failed");
    expect(await resumedWith()).toBe("5");
  });

  it("starts from the beginning after an invalid message", async () => {
    const connection = open();
    await settle();
    server.last.send(heartbeat(5, 0) + flows("a") + frameOf("a", snapshotOf("a"), 5) + frameOf("a", { type: "upsert-nodes" }, 6) + frameOf("a", change("a", "n", "late"), 7));
    await settle();
    expect(connection.state).toMatchObject({ kind: "reconnecting", reason: expect.stringContaining("nodes") as string });
    expect(statusOf("a", "n")).toBeUndefined();
    expect(await resumedWith()).toBeUndefined();
  });

  it("continues with the other flows after an invalid snapshot", async () => {
    const connection = open();
    await settle();
    server.last.send(heartbeat(5, 0) + flows("a", "b") + frameOf("a", { type: "snapshot" }) + frameOf("b", snapshotOf("b", "n"), 5) + frameOf("a", change("a", "n", "failed"), 6) + frameOf("b", change("b", "n", "failed"), 7));
    await settle();
    expect(connection.state.kind).toBe("live");
    expect(events[2]).toMatchObject({ type: "unreadable", flowId: "a", error: { field: "flow" } });
    expect(store.flows?.get("a")).toBeNull();
    expect(statusOf("b", "n")).toBe("failed");
    server.last.send(frameOf("a", snapshotOf("a", "n"), 8));
    await settle();
    expect(statusOf("a", "n")).toBe("running");
  });

  it("rejects a message of another flow than its event's", async () => {
    const connection = open();
    await settle();
    server.last.send(flows("a") + frameOf("a", snapshotOf("a"), 5) + frameOf("a", change("b", "n", "failed"), 6));
    await settle();
    expect(connection.state.kind).toBe("reconnecting");
  });

  it("ignores unknown events", async () => {
    open();
    await settle();
    server.last.send("event: heartbeat\ndata: {}\n\nevent: flows\ndata: nonsense\n\nevent: flows\ndata: {}\n\nid: 4\nevent: news\ndata: x\n\n");
    await settle();
    expect(events).toEqual([]);
    expect(await resumedWith()).toBeUndefined();
  });

  it("honours Retry-After of a server with too many selections, and retries an older server", async () => {
    server.answer = () => ({ status: 503, headers: { "retry-after": "20" } });
    const busy = open();
    await settle();
    expect(busy.state).toMatchObject({ kind: "reconnecting", reason: "the server responded with 503", nextAttemptAt: clock.time + 20_000 });
    busy.close();
    server.answer = () => ({ status: 404 });
    const older = open();
    await settle();
    expect(older.state.kind).toBe("gone");
    server.answer = () => "stream";
    await clock.advance(60_000);
    server.last.send(heartbeat(0, 0));
    await settle();
    expect(older.state.kind).toBe("live");
  });
});

describe("FleetStore", () => {
  const receive = (...all: ManyEvent[]): void => all.forEach((e) => store.receive(e));
  const message = (flowId: string, m: FlowMessage, seq?: number): ManyEvent => ({ type: "message", flowId, seq, message: m });
  const named = (...of: string[]): ManyEvent => ({ type: "flows", flows: new Map(of.map((id) => [id, `of ${id}`])) });

  it("distinguishes no list of flows from an empty list", () => {
    expect(store.flows).toBeNull();
    receive(named());
    expect(ids()).toEqual([]);
  });

  it("folds each flow separately", () => {
    receive(named("a", "b"), message("a", snapshotOf("a", "n")), message("b", snapshotOf("b", "n"), 5), message("a", change("a", "n", "failed"), 6));
    expect([statusOf("a", "n"), statusOf("b", "n")]).toEqual(["failed", "running"]);
  });

  it("removes flows that are not in the list, and keeps the others", () => {
    receive(named("a", "b"), message("a", snapshotOf("a", "n")), message("b", snapshotOf("b", "n"), 5));
    store.takeChanged();
    receive(named("b", "c"));
    expect(ids()).toEqual(["b", "c"]);
    expect(statusOf("b", "n")).toBe("running");
    expect(store.flows?.get("c")).toBeNull();
    expect([...store.takeChanged()].sort()).toEqual(["a", "c"]);
  });

  it("continues with a flow that was deleted and created again", () => {
    receive(named("a"), message("a", snapshotOf("a", "n"), 5), message("a", snapshotOf("a", "m"), 9));
    receive({ type: "flows", flows: new Map([["a", "another"]]) }, message("a", change("a", "m", "failed"), 10));
    expect(statusOf("a", "m")).toBe("failed");
    expect(statusOf("a", "n")).toBeUndefined();
  });

  it("removes a deleted flow, and adds it when it is created again", () => {
    receive(named("a", "b"), message("a", snapshotOf("a", "n")), message("b", snapshotOf("b"), 5), { type: "deleted", flowId: "a", seq: 6 });
    expect(ids()).toEqual(["b"]);
    receive(message("a", snapshotOf("a", "m"), 7));
    expect(statusOf("a", "m")).toBe("running");
    expect(statusOf("a", "n")).toBeUndefined();
  });

  it("ignores messages for a flow without a state", () => {
    receive(named("a"), message("a", change("a", "n", "failed"), 5));
    expect(store.flows?.get("a")).toBeNull();
  });

  it("has the same state after repeated messages", () => {
    const gone: FlowMessage = { type: "delete-nodes", ids: ["m"] };
    const late = [message("a", change("a", "n", "failed"), 6), message("a", change("a", "m", "running"), 7), message("a", gone, 8), message("a", change("a", "n", "succeeded"), 9)];
    receive(named("a"), message("a", snapshotOf("a", "n"), 5), ...late, ...late);
    expect([...(store.flows?.get("a")?.nodes.values() ?? [])].map((n) => `${n.id} ${n.status}`)).toEqual(["n succeeded"]);
  });

  it("returns changed flows once", () => {
    receive(named("a", "b"), message("a", snapshotOf("a")));
    expect([...store.takeChanged()].sort()).toEqual(["a", "b"]);
    receive(named("a", "b"), { type: "heartbeat", seq: 9, at: 0 });
    expect([...store.takeChanged()]).toEqual([]);
  });

  it("has the server's clock", () => {
    receive({ type: "heartbeat", seq: 50, at: clock.time + 500 }, { type: "heartbeat", seq: 50, at: clock.time + 300 });
    expect(store.now()).toBe(clock.time + 500);
  });
});
