import { beforeEach, describe, expect, it } from "vitest";
import { ApiError, connect, createApi, SseParser, type Connection, type ConnectionState, type ConnectOptions, type SseFrame, type StreamEvent } from "../src/index.js";
import { Clock, FakeServer, frame, heartbeat, settle } from "./clock.js";
import { cpuMs } from "./files.js";
import { Random } from "./random.js";

function parse(bytes: Uint8Array, cuts: readonly number[]): SseFrame[] {
  const frames: SseFrame[] = [];
  const parser = new SseParser((f) => frames.push(f));
  let from = 0;
  for (const to of [...cuts, bytes.length]) {
    parser.push(bytes.subarray(from, to));
    from = to;
  }
  return frames;
}
const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

describe("SseParser", () => {
  it.each<[string, string, SseFrame[]]>([
    ["a frame", "id: 1\nevent: x\ndata: y\n\n", [{ id: "1", event: "x", data: "y" }]],
    ["CRLF and CR", "data: a\r\n\r\ndata: b\r\rdata: c\n\n", ["a", "b", "c"].map((data) => ({ id: undefined, event: "message", data }))],
    ["several data lines", "data: a\ndata\ndata:b\n\n", [{ id: undefined, event: "message", data: "a\n\nb" }]],
    ["comments, unknown fields and one space only", ": hi\nretry: 3\ndata:  a\n\n", [{ id: undefined, event: "message", data: " a" }]],
    ["no frame without data, and its event name is not kept", "event: x\nid: 4\n\ndata: a\n\n", [{ id: undefined, event: "message", data: "a" }]],
    ["no frame before its end", "data: a\n", []],
    ["a byte order mark", "\ufeffdata: a\n\n", [{ id: undefined, event: "message", data: "a" }]],
    ["no id with a NUL", "id: a\0b\ndata: x\n\n", [{ id: undefined, event: "message", data: "x" }]],
  ])("reads %s", (_, text, frames) => {
    expect(parse(bytesOf(text), [])).toEqual(frames);
  });

  it("gives the same frames for any chunks", () => {
    const pieces = ["data: ", "id: 7", "event: tick", ":", "x", " ", "\n", "\n", "\r\n", "\r", "ü", "\u{1f680}", "\u2028", "data"];
    for (let seed = 0; seed < 400; seed++) {
      const r = new Random(seed);
      const bytes = bytesOf(Array.from({ length: r.below(60) }, () => r.pick(pieces)).join(""));
      const cuts = Array.from({ length: r.below(12) }, () => r.below(bytes.length + 1)).sort((a, b) => a - b);
      const whole = parse(bytes, []);
      expect(parse(bytes, cuts)).toEqual(whole);
      expect(parse(bytes, Array.from(bytes.keys()))).toEqual(whole);
    }
  });

  it("reads 5 MB in one line in less than 3 s of processor time", () => {
    const bytes = bytesOf(`data: ${"x".repeat(5_000_000)}\n\n`);
    const cuts = Array.from({ length: bytes.length / 4096 }, (_, i) => i * 4096);
    expect(cpuMs(() => expect(parse(bytes, cuts)[0]?.data).toHaveLength(5_000_000))).toBeLessThan(3000);
  });
});

const flow = { id: "F", status: "running", startedAt: 0 };
const snapshot = { type: "snapshot", flow, nodes: [], relationships: [] } as const;
const change = (label: string) => ({ type: "upsert-nodes", nodes: [{ id: "a", flowId: "F", label, status: "running" }] }) as const;

let clock: Clock;
let server: FakeServer;
let events: StreamEvent[];
let states: ConnectionState[];

beforeEach(() => {
  clock = new Clock();
  server = new FakeServer();
  events = [];
  states = [];
});

function open(options: Partial<ConnectOptions> = {}): Connection {
  return connect({
    url: "/base/",
    flowId: "F",
    fetch: server.fetch,
    now: clock.now,
    timers: clock,
    random: () => 0.5,
    onEvent: (e) => events.push(e),
    onState: (s) => states.push(s),
    ...options,
  });
}
const seqs = (): number[] => events.flatMap((e) => (e.type === "message" ? [e.seq] : []));

describe("connect", () => {
  it("requests the stream, is live after the first heartbeat and passes on events", async () => {
    const connection = open({ headers: () => ({ Authorization: "Bearer x" }) });
    expect(connection.state.kind).toBe("connecting");
    expect(server.last).toMatchObject({ url: "/base/v1/flows/F/stream", headers: { Accept: "text/event-stream", Authorization: "Bearer x" } });
    expect(server.last.headers).not.toHaveProperty("Last-Event-ID");
    await settle();
    server.last.send(heartbeat(5, 77) + frame(5, snapshot));
    server.last.send(frame(6, change("x")));
    await settle();
    expect(events).toEqual([
      { type: "heartbeat", seq: 5, at: 77, incarnation: "i1" },
      { type: "message", seq: 5, message: snapshot },
      { type: "message", seq: 6, message: change("x") },
    ]);
    expect(states.map((s) => s.kind)).toEqual(["live"]);
  });

  it("resumes after the last sequence number, and passes no message on twice", async () => {
    const connection = open();
    await settle();
    server.last.send(frame(5, snapshot) + frame(6, change("x")));
    await settle();
    server.last.end();
    await settle();
    expect(connection.state).toMatchObject({ kind: "reconnecting", attempt: 1, reason: "the server ended the stream" });
    await clock.advance(2000);
    expect(server.requests).toHaveLength(2);
    expect(server.last.headers["Last-Event-ID"]).toBe("6");
    server.last.send(heartbeat(7, 0) + frame(6, change("x")) + frame(7, change("y")));
    await settle();
    expect(seqs()).toEqual([5, 6, 7]);
    expect(connection.state.kind).toBe("live");
  });

  it("accepts a snapshot with any sequence number", async () => {
    open({ lastEventId: "900" });
    expect(server.last.headers["Last-Event-ID"]).toBe("900");
    await settle();
    server.last.send(frame(40, snapshot) + frame(41, change("x")));
    await settle();
    expect(seqs()).toEqual([40, 41]);
  });

  it("requests a snapshot after an invalid message", async () => {
    const connection = open();
    await settle();
    server.last.send(frame(5, snapshot) + frame(6, { type: "upsert-nodes" }) + frame(7, change("x")));
    await settle();
    expect(seqs()).toEqual([5]);
    expect(connection.state).toMatchObject({ kind: "reconnecting", reason: expect.stringContaining("nodes") as string });
    await clock.advance(2000);
    expect(server.last.headers).not.toHaveProperty("Last-Event-ID");
  });

  it("makes at most 250 attempts in an hour of errors, at least a second apart", async () => {
    for (const answer of ["refuse", { status: 502 }, { status: 200, headers: { "content-type": "text/html" } }] as const) {
      const times: number[] = [];
      server.answer = () => {
        times.push(clock.time);
        return answer;
      };
      const r = new Random(1);
      const connection = open({ random: () => r.next() });
      await clock.advance(3_600_000);
      connection.close();
      const gaps = times.slice(1).map((t, i) => t - (times[i] as number));
      expect(Math.min(...gaps)).toBeGreaterThanOrEqual(1000);
      expect(Math.max(...gaps)).toBeLessThanOrEqual(30_000);
      expect(times.length).toBeGreaterThan(100);
      expect(times.length).toBeLessThan(250);
    }
  });

  it("backs off from a server that accepts and closes connections, until one is stable", async () => {
    const times: number[] = [];
    server.answer = (request) => {
      times.push(clock.time);
      queueMicrotask(() => {
        request.send(heartbeat(5, 0) + frame(times.length, snapshot));
        request.end();
      });
      return "stream";
    };
    open();
    await clock.advance(3_600_000);
    expect(times.length).toBeLessThan(250);
    server.answer = () => "stream";
    await clock.advance(30_000);
    server.last.send(heartbeat(5, 0));
    await clock.advance(11_000);
    const before = clock.time;
    server.last.end();
    await settle();
    const count = server.requests.length;
    await clock.advance(2000);
    expect(server.requests.length).toBe(count + 1);
    expect(clock.time - before).toBeLessThanOrEqual(2000);
  });

  it("honours Retry-After, in seconds and as a date, up to a limit", async () => {
    for (const [value, least] of [["20", 20_000], [new Date(1_000_000 + 90_000).toUTCString(), 80_000], ["999999", 300_000]] as const) {
      clock = new Clock();
      server = new FakeServer();
      server.answer = () => ({ status: 503, headers: { "retry-after": value } });
      const connection = open();
      await settle();
      const { nextAttemptAt } = connection.state as { nextAttemptAt: number };
      expect(nextAttemptAt - clock.time).toBeGreaterThanOrEqual(least);
      expect(nextAttemptAt - clock.time).toBeLessThanOrEqual(300_000);
      connection.close();
    }
  });

  it("ends a connection without data for 40 s, and one without a response", async () => {
    const connection = open();
    await settle();
    server.last.send(heartbeat(1, 0));
    await clock.advance(39_000);
    expect(connection.state.kind).toBe("live");
    server.last.send(": just a comment\n");
    await clock.advance(39_000);
    expect(connection.state.kind).toBe("live");
    const first = server.last;
    await clock.advance(1001);
    expect(connection.state).toMatchObject({ kind: "reconnecting", reason: "no data for 40 s" });
    expect(first.signal?.aborted).toBe(true);
    server.answer = () => "hang";
    await clock.advance(60_000);
    expect(server.requests.length).toBeGreaterThan(2);
  });

  it("is stale after 30 s without a live connection, since the last live moment", async () => {
    const connection = open();
    await settle();
    server.last.send(heartbeat(1, 0));
    await clock.advance(5000);
    const lost = clock.time;
    server.answer = () => "refuse";
    server.last.end(new Error("network error"));
    await settle();
    expect(connection.state).toMatchObject({ kind: "reconnecting", since: lost, reason: "network error" });
    await clock.advance(29_000);
    expect(connection.state).toMatchObject({ kind: "reconnecting", since: lost });
    await clock.advance(1000);
    expect(connection.state).toMatchObject({ kind: "stale", since: lost });
    server.answer = () => "stream";
    await clock.advance(30_000);
    server.last.send(heartbeat(1, 0));
    await settle();
    expect(connection.state.kind).toBe("live");
  });

  it.each([401, 403])("is forbidden after %d, and retries slowly", async (status) => {
    server.answer = () => ({ status });
    const connection = open();
    await settle();
    expect(connection.state).toMatchObject({ kind: "forbidden", status });
    await clock.advance(3_600_000);
    expect(server.requests.length).toBeLessThanOrEqual(121);
    expect(server.requests.length).toBeGreaterThan(50);
    server.answer = () => "stream";
    await clock.advance(60_000);
    server.last.send(heartbeat(1, 0));
    await settle();
    expect(connection.state.kind).toBe("live");
  });

  it("is gone after 404", async () => {
    server.answer = () => ({ status: 404 });
    const connection = open();
    await settle();
    expect(connection.state.kind).toBe("gone");
    await clock.advance(3_600_000);
    expect(server.requests.length).toBeLessThanOrEqual(121);
  });

  it("passes on a deletion, and starts from a snapshot when the flow exists again", async () => {
    const connection = open();
    await settle();
    server.last.send(frame(5, snapshot) + "event: deleted\ndata: {}\n\n" + frame(6, change("late")));
    await settle();
    expect(events.at(-1)).toEqual({ type: "deleted" });
    expect(connection.state.kind).toBe("gone");
    await clock.advance(5000);
    expect(server.last.headers).not.toHaveProperty("Last-Event-ID");
    server.last.send(heartbeat(0, 0, ""));
    await settle();
    expect(connection.state.kind).toBe("gone");
    server.last.send(frame(9, snapshot));
    await settle();
    expect(connection.state.kind).toBe("live");
    expect(seqs()).toEqual([5, 9]);
  });

  it("gives other tasks a turn under load", async () => {
    open({
      onEvent: (e) => {
        events.push(e);
        clock.time += 6;
      },
    });
    await settle();
    for (let seq = 1; seq <= 5; seq++) server.last.send(frame(seq, snapshot));
    await settle();
    expect(seqs()).toEqual([1, 2]);
    await clock.advance(100);
    expect(seqs()).toEqual([1, 2, 3, 4, 5]);
  });

  it("ignores unknown events and invalid heartbeats", async () => {
    open();
    await settle();
    server.last.send("event: heartbeat\ndata: {}\n\nevent: heartbeat\ndata: nonsense\n\nevent: news\ndata: x\n\n" + frame(5, snapshot));
    await settle();
    expect(events).toEqual([{ type: "message", seq: 5, message: snapshot }]);
  });

  it("retryNow connects at once, at most once a second", async () => {
    server.answer = () => "refuse";
    const connection = open();
    await settle();
    for (let i = 0; i < 50; i++) connection.retryNow();
    expect(server.requests).toHaveLength(1);
    await clock.advance(1000);
    for (let i = 0; i < 50; i++) connection.retryNow();
    await settle();
    expect(server.requests).toHaveLength(2);
  });

  it("leaves no timers or requests after close, at any moment", async () => {
    for (const wait of [0, 500, 3000, 60_000]) {
      const connection = open();
      server.answer = () => "refuse";
      await clock.advance(wait);
      connection.close();
      connection.close();
      connection.retryNow();
      expect(connection.state.kind).toBe("closed");
      expect(clock.pending).toBe(0);
      server.answer = () => "stream";
    }
    const connection = open();
    await settle();
    connection.close();
    expect(server.last.signal?.aborted).toBe(true);
    server.last.send(frame(5, snapshot));
    await settle();
    expect(events).toEqual([]);
  });
});

describe("createApi", () => {
  it("reads pages of history at least up to the head of the first answer", async () => {
    const pages: Record<string, unknown> = {
      "0": { base: snapshot, baseSeq: 1, events: [{ seq: 2 }, { seq: 3 }], oldest: 2, head: 4 },
      "3": { base: snapshot, baseSeq: 3, events: [{ seq: 4 }, { seq: 5 }], oldest: 2, head: 5 },
    };
    server.answer = (request) => ({ status: 200, body: pages[/after=(\d+)/.exec(request.url)?.[1] ?? ""] });
    const got: number[] = [];
    await createApi({ url: "http://x/p/", fetch: server.fetch }).history("F", (a) => got.push(...a.events.map((e) => e.seq)));
    expect(got).toEqual([2, 3, 4, 5]);
    expect(server.requests[0]?.url).toBe("http://x/p/v1/flows/F/events?after=0");
  });

  it("rejects with the title and detail of the problem, or with the status", async () => {
    const api = createApi({ url: "", fetch: server.fetch });
    server.answer = () => ({ status: 404, body: { title: "no such flow", detail: "F was never ingested" } });
    await expect(api.rollouts("F")).rejects.toEqual(new ApiError(404, "no such flow", "F was never ingested"));
    server.answer = () => ({ status: 500 });
    await expect(api.flows()).rejects.toMatchObject({ status: 500, message: "the server responded with 500" });
  });

  it("lists flows and rollouts", async () => {
    const api = createApi({ url: "", fetch: server.fetch });
    server.answer = () => ({ status: 200, body: { flows: [{ id: "F" }], rollouts: [] } });
    expect(await api.flows()).toEqual([{ id: "F" }]);
    expect(await api.rollouts("F")).toEqual([]);
    expect(await api.revisions("F")).toEqual([]);
    expect(await api.revisions("F", { revision: "main@sha1:0123", limit: 1000 })).toEqual([]);
    expect(server.requests.slice(-2).map((r) => r.url)).toEqual(["/v1/flows/F/revisions?", "/v1/flows/F/revisions?revision=main%40sha1%3A0123&limit=1000"]);
  });
});
