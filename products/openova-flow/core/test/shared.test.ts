import { beforeEach, describe, expect, it, vi } from "vitest";
import { connectShared, FlowStore, type ConnectionState, type Port, type SharedConnection, type StreamEvent } from "../src/index.js";
import { WorkerHub } from "../src/stream/hub.js";
import { Clock, FakeServer, frame, heartbeat, settle } from "./clock.js";

type Listener = (event: { readonly data: unknown }) => void;

/** Two ends of a MessageChannel. */
function ports(): [Port, Port] {
  const make = (): { port: Port; listeners: Listener[]; other: Listener[]; open: boolean } => {
    const end = { listeners: [] as Listener[], other: [] as Listener[], open: true } as { port: Port; listeners: Listener[]; other: Listener[]; open: boolean };
    end.port = {
      postMessage: (data) => {
        const copy: unknown = structuredClone(data);
        if (end.open) queueMicrotask(() => end.other.forEach((l) => l({ data: copy })));
      },
      addEventListener: (_, listener) => void end.listeners.push(listener),
      close: () => void (end.open = false),
    };
    return end;
  };
  const [a, b] = [make(), make()];
  a.other = b.listeners;
  b.other = a.listeners;
  return [a.port, b.port];
}

const flow = { id: "F", status: "running", startedAt: 0 };
const nodes = (...ids: string[]) => ids.map((id) => ({ id, flowId: "F", label: id, status: "running" }));
const snapshot = (...ids: string[]) => ({ type: "snapshot", flow, nodes: nodes(...ids), relationships: [] }) as const;
const added = (id: string) => ({ type: "upsert-nodes", nodes: nodes(id) }) as const;

let clock: Clock;
let server: FakeServer;

beforeEach(() => {
  clock = new Clock();
  server = new FakeServer();
});

interface Tab {
  readonly connection: SharedConnection;
  readonly store: FlowStore;
  readonly states: ConnectionState["kind"][];
}
let opened = 0;
function tab(sharedWorker?: () => Port): Tab {
  const store = new FlowStore({ flowId: "F", now: clock.now });
  const states: ConnectionState["kind"][] = [];
  const id = ++opened / 1000;
  const connection = connectShared({
    url: "/",
    flowId: "F",
    sharedWorker,
    fetch: server.fetch,
    now: clock.now,
    timers: clock,
    random: () => id,
    onEvent: (e: StreamEvent) => store.receive(e),
    onState: (s) => {
      states.push(s.kind);
      store.setConnection(s);
    },
  });
  return { connection, store, states };
}
const shown = (t: Tab): string => [...t.store.state.nodes.keys()].sort().join("");
const open = (): number => server.requests.filter((r) => r.signal?.aborted !== true).length;

describe("connectShared", () => {
  function worker(): { sharedWorker: () => Port; hub: WorkerHub } {
    const hub = new WorkerHub({ fetch: server.fetch, now: clock.now, timers: clock, random: () => 0.5 });
    const sharedWorker = (): Port => {
      const [mine, its] = ports();
      hub.accept(its);
      return mine;
    };
    return { sharedWorker, hub };
  }
  it("sends one stream to all tabs, also to later ones", async () => {
    const { sharedWorker } = worker();
    const first = tab(sharedWorker);
    const second = tab(sharedWorker);
    await settle();
    server.last.send(heartbeat(5, 0) + frame(5, snapshot("a")));
    await settle();
    const third = tab(sharedWorker);
    await settle();
    server.last.send(frame(6, added("b")));
    await settle();
    expect([first, second, third].map(shown)).toEqual(["ab", "ab", "ab"]);
    expect([first, second, third].map((t) => t.connection.via)).toEqual(Array(3).fill("shared-worker"));
    expect([first, second, third].map((t) => t.connection.state.kind)).toEqual(["live", "live", "live"]);
    expect([first, second, third].map((t) => t.store.incarnation)).toEqual(["i1", "i1", "i1"]);
    expect(server.requests).toHaveLength(1);
  });

  it("closes the worker's connection with its last tab", async () => {
    const { sharedWorker, hub } = worker();
    const [a, b] = [tab(sharedWorker), tab(sharedWorker)];
    await settle();
    a.connection.close();
    await settle();
    expect([hub.size, open()]).toEqual([1, 1]);
    b.connection.close();
    await settle();
    expect([hub.size, open()]).toEqual([0, 0]);
    expect(b.connection.state.kind).toBe("closed");
  });

  it("removes tabs that send nothing, and adds one again that was suspended", async () => {
    const { sharedWorker, hub } = worker();
    let isSuspended = false;
    const suspendedPort = (): Port => {
      const port = sharedWorker();
      return { ...port, postMessage: (d) => void (isSuspended || port.postMessage(d)) };
    };
    const t = tab(suspendedPort);
    await settle();
    server.last.send(heartbeat(5, 0) + frame(5, snapshot("a")));
    for (let i = 0; i < 16; i++) {
      await clock.advance(15_000);
      server.last.send(heartbeat(5, 0));
    }
    expect(hub.size).toBe(1);
    isSuspended = true;
    for (let i = 0; i < 16; i++) {
      if (hub.size > 0) server.last.send(heartbeat(5, 0));
      await clock.advance(15_000);
    }
    expect(hub.size).toBe(0);
    isSuspended = false;
    await clock.advance(60_000);
    server.last.send(heartbeat(7, 0) + frame(7, snapshot("b")));
    await settle();
    expect(shown(t)).toBe("b");
  });

  it("adds a removed tab again when it sends alive", async () => {
    const { hub } = worker();
    const [mine, its] = ports();
    const received: unknown[] = [];
    mine.addEventListener("message", ({ data }) => void received.push((data as { event?: { type: string } }).event?.type));
    hub.accept(its);
    const send = (action: string): void => mine.postMessage({ from: "tab", tab: "t", action, url: "/", flowId: "F", headers: {} });
    const other = tab(() => { const [a, b] = ports(); hub.accept(b); return a; });
    send("join");
    await settle();
    server.last.send(heartbeat(5, 0) + frame(5, snapshot("a")));
    for (let i = 0; i < 16; i++) {
      await clock.advance(15_000);
      server.last.send(heartbeat(5, 0));
    }
    await settle();
    received.length = 0;
    server.last.send(frame(6, added("b")));
    await settle();
    expect(received).toEqual([]);
    expect(shown(other)).toBe("ab");
    send("alive");
    await settle();
    expect(received).toEqual(["heartbeat", "message", undefined]);
  });

  it("sends a later tab the claims of regions, and drops them after a restart of the server", async () => {
    const lease = { state: "stale", since: 2, heard: 1, cluster: "uid-1" };
    const regionsFrame = `event: regions\ndata: ${JSON.stringify({ at: 0, regions: { a: lease } })}\n\n`;
    const { sharedWorker } = worker();
    const first = tab(sharedWorker);
    await settle();
    server.last.send(heartbeat(5, 0) + regionsFrame + frame(5, snapshot("a")));
    await settle();
    const second = tab(sharedWorker);
    await settle();
    expect([first, second].map((t) => [...t.store.state.regions])).toEqual(Array(2).fill([["a", lease]]));
    server.last.send(heartbeat(6, 0, "i2") + frame(6, snapshot("a")));
    await settle();
    const third = tab(sharedWorker);
    await settle();
    expect([first, second, third].map((t) => [...t.store.state.regions])).toEqual(Array(3).fill([]));
    for (const t of [first, second, third]) t.connection.close();
    await settle();
  });

  it("gives a later tab the same server clock, however old the last events are", async () => {
    const { sharedWorker } = worker();
    const first = tab(sharedWorker);
    await settle();
    const ahead = 700;
    server.last.send(heartbeat(5, clock.time + ahead) + `event: regions\ndata: ${JSON.stringify({ at: clock.time + ahead, regions: {} })}\n\n` + frame(5, snapshot("a")));
    for (let i = 0; i < 20; i++) {
      await clock.advance(14_000);
      server.last.send(heartbeat(5, clock.time + ahead));
    }
    await clock.advance(9000);
    const second = tab(sharedWorker);
    await settle();
    expect([first, second].map((t) => t.store.now() - clock.time)).toEqual([ahead, ahead]);
    for (const t of [first, second]) t.connection.close();
    await settle();
  });

  it("retries for a tab that joins a second or more after a 401, since the user may have signed in, and does not send it the old result", async () => {
    const { sharedWorker } = worker();
    server.answer = () => ({ status: 401 });
    const first = tab(sharedWorker);
    await settle();
    // Within a second of the last attempt there is no retry.
    const hasty = tab(sharedWorker);
    await settle();
    expect([first.states.at(-1), hasty.states]).toEqual(["forbidden", ["forbidden"]]);
    await clock.advance(5000);
    server.answer = () => "stream";
    const second = tab(sharedWorker);
    await settle();
    expect(new Set(second.states)).toEqual(new Set(["connecting"]));
    server.last.send(heartbeat(5, 0) + frame(5, snapshot("a")));
    await settle();
    expect([first, hasty, second].map((t) => t.states.at(-1))).toEqual(["live", "live", "live"]);
    for (const t of [first, hasty, second]) t.connection.close();
    await settle();
  });

  it("connects directly if the worker never answers", async () => {
    const other = tab(() => ports()[0]);
    await clock.advance(4999);
    expect(server.requests).toHaveLength(0);
    await clock.advance(1);
    expect(other.connection.via).toBe("own");
    await vi.waitFor(() => expect(server.requests).toHaveLength(1));
    server.last.send(heartbeat(5, 0) + frame(5, snapshot("a")));
    await settle();
    expect(shown(other)).toBe("a");
  });

  it.each([["connecting", 0], ["reconnecting", 30_000]])("connects directly if a worker that is %s stops answering", async (kind, wait) => {
    const [mine, its] = ports();
    const own = tab(() => mine);
    its.postMessage({ from: "hub", state: { kind, since: clock.time, attempt: 1, nextAttemptAt: clock.time + wait, reason: "" } });
    await settle();
    await clock.advance(wait + 119_999);
    expect(own.connection.via).toBe("shared-worker");
    await clock.advance(1);
    expect(own.connection.via).toBe("own");
    own.connection.close();
  });

  it("keeps using the worker while its connection is down for long", async () => {
    const { sharedWorker } = worker();
    server.requests.length = 0;
    const [a, b] = [tab(sharedWorker), tab(sharedWorker)];
    await settle();
    server.last.send(heartbeat(5, 0) + frame(5, snapshot("a")));
    await settle();
    server.answer = () => ({ status: 503, headers: { "retry-after": "300" } });
    server.last.end();
    await clock.advance(600_000);
    expect([a, b].map((t) => t.connection.via)).not.toContain("own");
    expect([a, b].map((t) => t.connection.state.kind)).toEqual(["stale", "stale"]);
    expect(server.requests.length).toBeLessThan(5);
    server.answer = () => "stream";
    a.connection.close();
    b.connection.close();
    await settle();
  });

  it.each([
    ["cannot be created", (): Port => { throw new Error("not allowed here"); }],
    ["does not exist", undefined],
  ] as const)("connects directly if the worker %s", async (_, sharedWorker) => {
    const own = tab(sharedWorker);
    await vi.waitFor(() => expect(server.requests).toHaveLength(1));
    server.last.send(heartbeat(5, 0) + frame(5, snapshot("a")) + frame(6, added("b")));
    await settle();
    expect([own.connection.via, shown(own)]).toEqual(["own", "ab"]);
  });

  it("passes on states and deletions, and retries at once on request", async () => {
    const { sharedWorker } = worker();
    server.requests.length = 0;
    server.answer = () => "stream";
    const [a, b] = [tab(sharedWorker), tab(sharedWorker)];
    await settle();
    server.last.send(heartbeat(5, 0) + frame(5, snapshot("a")));
    await settle();
    server.answer = () => "refuse";
    server.last.end();
    await clock.advance(2000);
    expect([a, b].map((t) => t.connection.state.kind)).toEqual(["reconnecting", "reconnecting"]);
    await clock.advance(2200);
    const before = server.requests.length;
    b.connection.retryNow();
    await settle();
    expect(server.requests.length).toBe(before + 1);
    server.answer = () => "stream";
    await clock.advance(30_000);
    server.last.send(frame(6, added("b")) + "event: deleted\ndata: {}\n\n");
    await settle();
    expect([a, b].map((t) => t.store.deleted)).toEqual([true, true]);
    a.connection.close();
    b.connection.close();
  });
});
