import { beforeEach, describe, expect, it } from "vitest";
import { connectShared, FlowStore, type Channel, type ConnectionState, type Locks, type Port, type SharedConnection, type SharedTransports, type StreamEvent } from "../src/index.js";
import { WorkerHub } from "../src/hub.js";
import { Clock, FakeServer, frame, heartbeat, settle } from "./clock.js";

type Listener = (event: { readonly data: unknown }) => void;

/** A BroadcastChannel of one name: everybody hears everybody else. */
class Bus {
  readonly #members = new Set<{ listeners: Listener[] }>();
  join = (): Channel => {
    const me = { listeners: [] as Listener[] };
    this.#members.add(me);
    return {
      postMessage: (data) => {
        const copy: unknown = structuredClone(data);
        if (!this.#members.has(me)) throw new Error("channel is closed");
        for (const m of this.#members) if (m !== me) queueMicrotask(() => this.#members.has(m) && m.listeners.forEach((l) => l({ data: copy })));
      },
      addEventListener: (_, listener) => void me.listeners.push(listener),
      close: () => void this.#members.delete(me),
    };
  };
}

/** Two ends of a MessageChannel. */
function ports(): [Port, Port] {
  const make = (): { port: Port; hear: Listener[]; other: Listener[]; open: boolean } => {
    const end = { hear: [] as Listener[], other: [] as Listener[], open: true } as { port: Port; hear: Listener[]; other: Listener[]; open: boolean };
    end.port = {
      postMessage: (data) => {
        const copy: unknown = structuredClone(data);
        if (end.open) queueMicrotask(() => end.other.forEach((l) => l({ data: copy })));
      },
      addEventListener: (_, listener) => void end.hear.push(listener),
      close: () => void (end.open = false),
    };
    return end;
  };
  const [a, b] = [make(), make()];
  a.other = b.hear;
  b.other = a.hear;
  return [a.port, b.port];
}

/** Web Locks with one lock. */
class OneLock implements Locks {
  readonly #queue: (() => Promise<void>)[] = [];
  #busy = false;
  async request(_: string, options: { readonly signal: AbortSignal }, held: () => Promise<void>): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#queue.push(async () => {
        if (options.signal.aborted) return reject(new Error("aborted"));
        await held();
        resolve();
      });
      void this.#next();
    });
  }
  async #next(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    for (let take = this.#queue.shift(); take !== undefined; take = this.#queue.shift()) await take();
    this.#busy = false;
  }
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
function tab(transports: SharedTransports): Tab {
  const store = new FlowStore({ flowId: "F", now: clock.now });
  const states: ConnectionState["kind"][] = [];
  const id = ++opened / 1000;
  const connection = connectShared({
    url: "/",
    flowId: "F",
    transports,
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
  function worker(): { transports: SharedTransports; hub: WorkerHub } {
    const hub = new WorkerHub({ fetch: server.fetch, now: clock.now, timers: clock, random: () => 0.5 });
    const sharedWorker = (): Port => {
      const [mine, its] = ports();
      hub.accept(its);
      return mine;
    };
    return { transports: { sharedWorker }, hub };
  }
  function bus(): { broadcast: (name: string) => Channel; locks: Locks } {
    const b = new Bus();
    return { broadcast: () => b.join(), locks: new OneLock() };
  }

  it.each([
    ["a SharedWorker", (): SharedTransports => worker().transports, ["shared-worker", "shared-worker", "shared-worker"]],
    ["an elected tab", (): SharedTransports => bus(), ["leader", "follower", "follower"]],
  ] as const)("gives all tabs one stream through %s, late ones too", async (_, transportsOf, via) => {
    const transports = transportsOf();
    const first = tab(transports);
    const second = tab(transports);
    await settle();
    server.last.send(heartbeat(5, 0) + frame(5, snapshot("a")));
    await settle();
    const third = tab(transports);
    await settle();
    server.last.send(frame(6, added("b")));
    await settle();
    expect([first, second, third].map(shown)).toEqual(["ab", "ab", "ab"]);
    expect([first, second, third].map((t) => t.connection.via)).toEqual(via);
    expect([first, second, third].map((t) => t.connection.state.kind)).toEqual(["live", "live", "live"]);
    expect([first, second, third].map((t) => t.store.incarnation)).toEqual(["i1", "i1", "i1"]);
    expect(server.requests).toHaveLength(1);
  });

  it("closes the worker's connection with its last tab", async () => {
    const { transports, hub } = worker();
    const [a, b] = [tab(transports), tab(transports)];
    await settle();
    a.connection.close();
    await settle();
    expect([hub.size, open()]).toEqual([1, 1]);
    b.connection.close();
    await settle();
    expect([hub.size, open()]).toEqual([0, 0]);
    expect(b.connection.state.kind).toBe("closed");
  });

  it("gives up tabs that vanished without a word, and takes back one that only slept", async () => {
    const { transports, hub } = worker();
    let deaf = false;
    const sleepy: SharedTransports = {
      sharedWorker: () => {
        const port = (transports.sharedWorker as () => Port)();
        return { ...port, postMessage: (d) => void (deaf || port.postMessage(d)) };
      },
    };
    const t = tab(sleepy);
    await settle();
    server.last.send(heartbeat(5, 0) + frame(5, snapshot("a")));
    for (let i = 0; i < 16; i++) {
      await clock.advance(15_000);
      server.last.send(heartbeat(5, 0));
    }
    expect(hub.size).toBe(1);
    deaf = true;
    for (let i = 0; i < 16; i++) {
      if (hub.size > 0) server.last.send(heartbeat(5, 0));
      await clock.advance(15_000);
    }
    expect(hub.size).toBe(0);
    deaf = false;
    await clock.advance(60_000);
    server.last.send(heartbeat(7, 0) + frame(7, snapshot("b")));
    await settle();
    expect(shown(t)).toBe("b");
  });

  it("welcomes a tab back that says that it is alive after having been given up", async () => {
    const { hub } = worker();
    const [mine, its] = ports();
    const heard: unknown[] = [];
    mine.addEventListener("message", ({ data }) => void heard.push((data as { event?: { type: string } }).event?.type));
    hub.accept(its);
    const say = (word: string): void => mine.postMessage({ from: "tab", tab: "t", say: word, url: "/", flowId: "F", headers: {} });
    const other = tab({ sharedWorker: () => { const [a, b] = ports(); hub.accept(b); return a; } });
    say("join");
    await settle();
    server.last.send(heartbeat(5, 0) + frame(5, snapshot("a")));
    for (let i = 0; i < 16; i++) {
      await clock.advance(15_000);
      server.last.send(heartbeat(5, 0));
    }
    await settle();
    heard.length = 0;
    server.last.send(frame(6, added("b")));
    await settle();
    expect(heard).toEqual([]);
    expect(shown(other)).toBe("ab");
    say("alive");
    await settle();
    expect(heard).toEqual(["heartbeat", "message", undefined]);
  });

  it("lets a tab that comes late know who holds the regions, and forgets what another server had heard", async () => {
    const lease = { state: "stale", since: 2, heard: 1, cluster: "uid-1" };
    const told = `event: regions\ndata: ${JSON.stringify({ at: 0, regions: { a: lease } })}\n\n`;
    for (const transports of [worker().transports, bus()]) {
      const first = tab(transports);
      await settle();
      server.last.send(heartbeat(5, 0) + told + frame(5, snapshot("a")));
      await settle();
      const second = tab(transports);
      await settle();
      expect([first, second].map((t) => [...t.store.state.regions])).toEqual(Array(2).fill([["a", lease]]));
      server.last.send(heartbeat(6, 0, "i2") + frame(6, snapshot("a")));
      await settle();
      const third = tab(transports);
      await settle();
      expect([first, second, third].map((t) => [...t.store.state.regions])).toEqual(Array(3).fill([]));
      for (const t of [first, second, third]) t.connection.close();
      await settle();
    }
  });

  it("asks again for a tab that comes after a refusal, as it may have signed in since, and tells it no old verdict", async () => {
    for (const transports of [worker().transports, bus()]) {
      server.answer = () => ({ status: 401 });
      const first = tab(transports);
      await settle();
      // Too soon after the last attempt that is the verdict.
      const hasty = tab(transports);
      await settle();
      expect([first.states.at(-1), hasty.states]).toEqual(["forbidden", ["forbidden"]]);
      await clock.advance(5000);
      server.answer = () => "stream";
      const second = tab(transports);
      await settle();
      expect(new Set(second.states)).toEqual(new Set(["connecting"]));
      server.last.send(heartbeat(5, 0) + frame(5, snapshot("a")));
      await settle();
      expect([first, hasty, second].map((t) => t.states.at(-1))).toEqual(["live", "live", "live"]);
      for (const t of [first, hasty, second]) t.connection.close();
      await settle();
    }
  });

  it("folds nothing before it has been welcomed", async () => {
    const b = new Bus();
    const leader = b.join();
    const t = tab({ broadcast: () => b.join(), locks: { request: () => new Promise(() => {}) } });
    const say = (seq: number, message: unknown): void => leader.postMessage({ from: "hub", event: { type: "message", seq, message } });
    say(6, added("b"));
    say(6, snapshot("a", "b"));
    say(6, added("again"));
    say(7, added("c"));
    await settle();
    expect(t.store.log.entries().map((e) => [e.seq, e.message.type])).toEqual([[6, "snapshot"], [7, "upsert-nodes"]]);
    expect(shown(t)).toBe("abc");
  });

  it("hands the lead to another tab when the leader is closed, with nothing lost", async () => {
    const transports = bus();
    const [a, b, c] = [tab(transports), tab(transports), tab(transports)];
    await settle();
    server.last.send(heartbeat(5, 0) + frame(5, snapshot("a")) + frame(6, added("b")));
    await settle();
    a.connection.close();
    await settle();
    expect([b.connection.via, c.connection.via]).toEqual(["leader", "follower"]);
    expect(open()).toBe(1);
    server.last.send(heartbeat(8, 0) + frame(8, snapshot("a", "b", "c")) + frame(9, added("d")));
    await settle();
    expect([b, c].map(shown)).toEqual(["abcd", "abcd"]);
  });

  it("goes on alone when who holds the connection falls silent", async () => {
    const silent = tab({ sharedWorker: () => ports()[0] });
    await clock.advance(4999);
    expect(server.requests).toHaveLength(0);
    await clock.advance(1);
    expect(silent.connection.via).toBe("own");
    expect(server.requests).toHaveLength(1);

    const frozen = tab({ ...bus(), locks: { request: () => new Promise(() => {}) } });
    await clock.advance(45_000);
    expect(frozen.connection.via).toBe("own");
    server.last.send(heartbeat(5, 0) + frame(5, snapshot("a")));
    await settle();
    expect(shown(frozen)).toBe("a");
  });

  it("stays together while the one connection is cut off for long", async () => {
    for (const transports of [worker().transports, bus()]) {
      server.requests.length = 0;
      const [a, b] = [tab(transports), tab(transports)];
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
    }
  });

  it("goes on without a worker that cannot be made, and with a connection of its own where there is nothing to share", async () => {
    const broken = (): Port => {
      throw new Error("not allowed here");
    };
    expect(tab({ sharedWorker: broken, ...bus() }).connection.via).toBe("leader");
    expect(tab({ sharedWorker: broken }).connection.via).toBe("own");
    const own = tab({});
    await settle();
    server.last.send(heartbeat(5, 0) + frame(5, snapshot("a")) + frame(6, added("b")));
    await settle();
    expect(shown(own)).toBe("ab");
  });

  it("passes on states and deletion, and tries at once for whoever asks", async () => {
    for (const transports of [worker().transports, bus()]) {
      server.requests.length = 0;
      server.answer = () => "stream";
      const [a, b] = [tab(transports), tab(transports)];
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
    }
  });
});
