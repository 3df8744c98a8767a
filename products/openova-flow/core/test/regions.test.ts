import { beforeEach, describe, expect, it } from "vitest";
import {
  buildGraph, criticalPath, displayChangesAt, displayState, emptyState, FleetStore, flowProgress, fold, FlowStore, NO_REGIONS, problems, lastSeenText, staleRegions, times, toSnapshot, withRegions,
  type FlowMessage, type FlowState, type RegionLease, type Regions,
} from "../src/index.js";
import { connect, connectMany, type ManyEvent, type StreamEvent } from "../src/index.js";
import { parseRegions } from "../src/contract/parse-regions.js";
import { Clock, FakeServer, frame, heartbeat, settle } from "./clock.js";
import { edge, node, stateOf } from "./flow.js";

const fresh = (rest: Partial<RegionLease> = {}): RegionLease => ({ state: "fresh", since: 0, heard: 0, cluster: "uid-1", ...rest });
const stale = (heard: number, rest: Partial<RegionLease> = {}): RegionLease => ({ state: "stale", since: heard + 30_000, heard, cluster: "uid-1", ...rest });
const regionsFrame = (at: number, regions: Record<string, unknown>, flow = ""): string => `event: ${flow}regions\ndata: ${JSON.stringify({ at, regions })}\n\n`;

describe("the data of a regions event", () => {
  it("is parsed completely; invalid data is rejected", () => {
    const lease = fresh({ refused: { cluster: "uid-2", at: 5 } });
    expect(parseRegions(JSON.stringify({ at: 7, regions: { fsn1: lease, "a/b": stale(3) } }))).toEqual({ at: 7, regions: new Map([["fsn1", lease], ["a/b", stale(3)]]) });
    expect(parseRegions('{"at":7,"regions":{}}')).toEqual({ at: 7, regions: NO_REGIONS });
    for (const bad of ["", "[]", "null", '{"at":7}', '{"regions":{}}', '{"at":7,"regions":null}']) expect(parseRegions(bad)).toBeNull();
  });

  it("omits invalid regions", () => {
    const bad = [null, 4, { ...fresh(), state: "gone" }, { ...fresh(), heard: "4" }, { ...fresh(), cluster: 1 }, { ...fresh(), since: undefined }, { ...fresh(), refused: { cluster: "x" } }];
    for (const b of bad) expect([...(parseRegions(JSON.stringify({ at: 7, regions: { bad: b, good: fresh() } }))?.regions.keys() ?? [])]).toEqual(["good"]);
  });
});

describe("lastSeenText", () => {
  it.each([
    [-5000, "0 s"], [59_999, "59 s"], [60_000, "1 min"], [250_000, "4 min"], [3_599_999, "59 min"], [7_300_000, "2 h"], [90_000_000, "1 d"],
  ])("says %i ms as %s", (ms, text) => expect(lastSeenText(1_000_000, 1_000_000 + ms)).toBe(`last seen ${text} ago`));
});

describe("a state", () => {
  it("keeps its regions through every message; a snapshot does not contain them", () => {
    const regions: Regions = new Map([["a", stale(5)]]);
    const plain = stateOf([node("a/x", "succeeded", {}, { region: "a" })]);
    const state = withRegions(plain, regions);
    expect(state.version).not.toBe(plain.version);
    expect(state.topologyVersion).toBe(plain.topologyVersion);
    expect(toSnapshot(state)).toEqual(toSnapshot(plain));
    const messages: FlowMessage[] = [
      { type: "upsert-nodes", nodes: [node("a/y")] }, { type: "upsert-flow", flow: { id: "F", status: "x", startedAt: 1 } },
      { type: "delete-nodes", ids: ["a/x"] }, toSnapshot(plain) as FlowMessage,
    ];
    for (const m of messages) expect(fold(state, m).regions).toBe(regions);
    expect(withRegions(plain, new Map())).toBe(plain);
  });
});

describe("the nodes of a stale region", () => {
  const LAST_SEEN = 1_000_000;
  const NOW = LAST_SEEN + 240_000;
  let state: FlowState;
  beforeEach(() => {
    const region = (r: string) => [
      node(r, "running", { kind: "Region" }, { region: r }),
      node(`${r}/ready`, "succeeded", {}, { region: r, startedAt: LAST_SEEN - 9000, endedAt: LAST_SEEN - 8000 }),
      node(`${r}/works`, "running", {}, { region: r, startedAt: LAST_SEEN - 5000 }),
      node(`${r}/waits`, "pending", { waitingFor: [`${r}/works`], waitingSince: LAST_SEEN - 5000 }, { region: r }),
      node(`${r}/broken`, "failed", { reason: "InstallFailed", reasonSince: LAST_SEEN - 100 }, { region: r, endedAt: LAST_SEEN - 100 }),
      node(`${r}/leaves`, "running", { deletingSince: LAST_SEEN - 1000 }, { region: r }),
    ];
    state = withRegions(stateOf([...region("a"), ...region("b")], [edge("a/works", "a/waits"), edge("b/works", "b/waits")]), new Map([["a", stale(LAST_SEEN)], ["b", fresh()]]));
  });

  it("stay as they were when the region was last seen, and are never complete", () => {
    const shown = (r: string) => ["ready", "works", "waits", "broken", "leaves"].map((id) => displayState(state.nodes.get(`${r}/${id}`)!, { ...state, now: NOW }));
    expect(shown("a")).toEqual(["ready", "working", "waiting", "broken", "terminating"]);
    expect(shown("b")).toEqual(shown("a"));
    expect(flowProgress(buildGraph(state), NOW)).toMatchObject({ done: 2, complete: false, stale: 5, counts: { unconfirmed: 0, ready: 2, broken: 2 } });
    // Judgements that change with time do not change in a stale region.
    const missing = node("a/lost", "pending", { waitingFor: ["a/nothing"], waitingSince: LAST_SEEN - 5000 }, { region: "a" });
    expect(displayState(missing, { ...state, now: NOW })).toBe("waiting");
    expect(displayChangesAt(missing, { ...state, now: NOW })).toBe(Infinity);
    const ready = withRegions(stateOf([node("a/x", "succeeded", {}, { region: "a" })]), new Map([["a", stale(LAST_SEEN)]]));
    expect(flowProgress(buildGraph(ready), NOW)).toMatchObject({ done: 1, total: 1, fraction: 1, complete: false });
  });

  it("have worked and waited until they were last seen", () => {
    const spent = (id: string) => times(state.nodes.get(id)!, NOW, state.regions);
    expect(spent("a/works").workingMs).toBe(5000);
    expect(spent("b/works").workingMs).toBe(245_000);
    expect(spent("a/waits").waitingMs).toBe(5000);
    expect(spent("b/waits").waitingMs).toBe(245_000);
    expect(criticalPath(buildGraph(state), NOW, ["a/works", "a/waits"])).toMatchObject({ workingMs: 5000, waitingMs: 0 });
  });

  it("keep their problems, and the region becomes a problem after a while", () => {
    const found = problems(buildGraph(state), NOW);
    expect(found.map((p) => [p.id, p.reason, p.lastSeen])).toEqual([
      ["a/broken", "failed", LAST_SEEN], ["b/broken", "failed", undefined], ["a", "region-stale", undefined],
    ]);
    expect(found[2]).toMatchObject({ display: "unconfirmed", since: LAST_SEEN, sentence: expect.stringMatching(/^a was last seen 4 min ago, .* Check that its adapter runs/) as string });
    expect(problems(buildGraph(state), LAST_SEEN + 30_000 + 15_000).map((p) => p.id)).not.toContain("a");
    // A state that is a problem after five minutes is not one if the region was last seen earlier.
    expect(problems(buildGraph(state), LAST_SEEN + 3_600_000).map((p) => p.id)).toEqual(["a/broken", "b/broken", "b/leaves", "a"]);
  });

  it("are shown as usual once the region is fresh again", () => {
    const again = withRegions(state, new Map([["a", fresh()], ["b", fresh()]]));
    expect(displayState(again.nodes.get("a/works")!, { ...again, now: NOW })).toBe("working");
    expect(problems(buildGraph(again), NOW).map((p) => p.id)).toEqual(["a/broken", "b/broken"]);
    expect(staleRegions(again.regions)).toEqual([]);
    expect(staleRegions(state.regions)).toEqual(["a"]);
  });
});

describe("a second cluster that is refused", () => {
  const refused = { cluster: "uid-2", at: 5 };
  const problemsOf = (lease: RegionLease) => problems(buildGraph(withRegions(stateOf([node("a/x", "succeeded", {}, { region: "a" })]), new Map([["a", lease]]))), 1_000_000);

  it("is a problem that names both clusters and says what to do", () => {
    expect(problemsOf(fresh({ refused }))).toMatchObject([{
      id: "a", label: "a", display: "broken", reason: "cluster-refused", command: "kubectl get namespace kube-system -o jsonpath='{.metadata.uid}'",
      sentence: "a is held by cluster uid-1. Cluster uid-2 also claims it and is refused. Give one of the two another REGION_KEY. The command prints the id of a cluster.",
    }]);
  });

  it("may replace a stale cluster", () => {
    expect(problemsOf(stale(1000, { refused })).map((p) => p.reason)).toEqual(["cluster-refused", "region-stale"]);
    expect(new Set(problemsOf(stale(1000, { refused })).map((p) => p.key)).size).toBe(2);
    expect(problemsOf(stale(1000, { refused }))[0]?.sentence).toMatch(/held by cluster uid-1; its claim has expired\. Cluster uid-2 .* let an admin delete the region; the new cluster then gets it/);
  });
});

describe("regions on a stream", () => {
  let clock: Clock;
  let server: FakeServer;
  beforeEach(() => {
    clock = new Clock();
    server = new FakeServer();
  });
  const snapshot = { type: "snapshot", flow: { id: "F", status: "running", startedAt: 0 }, nodes: [node("a/x", "running", {}, { region: "a" })], relationships: [] } as const;

  it("arrive on connecting and are kept while the connection is lost", async () => {
    const store = new FlowStore({ flowId: "F", now: clock.now });
    const events: StreamEvent["type"][] = [];
    connect({ url: "/", flowId: "F", fetch: server.fetch, now: clock.now, timers: clock, random: () => 0.5, onState: (s) => store.setConnection(s), onEvent: (e) => {
      events.push(e.type);
      store.receive(e);
    } });
    await settle();
    server.last.send(heartbeat(5, clock.time + 700) + regionsFrame(clock.time + 900, { a: fresh() }) + frame(5, snapshot));
    await settle();
    expect(events).toEqual(["heartbeat", "regions", "message"]);
    expect(store.state.regions.get("a")).toEqual(fresh());
    expect(store.now()).toBe(clock.time + 900);
    const { state } = store;
    server.last.send(regionsFrame(clock.time, { a: stale(7) }));
    await settle();
    expect(store.state).not.toBe(state);
    expect(staleRegions(store.state.regions)).toEqual(["a"]);
    server.last.send("event: regions\ndata: nonsense\n\n");
    server.last.end();
    await clock.advance(10_000);
    expect(staleRegions(store.state.regions)).toEqual(["a"]);
    // Frames without an id do not change the cursor.
    expect(server.last.headers["Last-Event-ID"]).toBe("5");
    server.last.send(heartbeat(5, clock.time) + regionsFrame(clock.time, { a: fresh() }));
    await settle();
    expect(staleRegions(store.state.regions)).toEqual([]);
  });

  it("are empty after a restart if the server sends none", async () => {
    const store = new FlowStore({ flowId: "F", now: clock.now });
    connect({ url: "/", flowId: "F", fetch: server.fetch, now: clock.now, timers: clock, random: () => 0.5, onState: (s) => store.setConnection(s), onEvent: (e) => store.receive(e) });
    await settle();
    server.last.send(heartbeat(5, clock.time, "i1") + regionsFrame(clock.time, { a: stale(7) }) + frame(5, snapshot));
    await settle();
    expect(store.state.regions.size).toBe(1);
    server.last.end();
    await clock.advance(10_000);
    server.last.send(heartbeat(9, clock.time, "i2") + frame(9, snapshot));
    await settle();
    expect(store.state.regions.size).toBe(0);
  });

  it("arrive for each flow of a stream of several flows", async () => {
    const store = new FleetStore(clock.now);
    const events: ManyEvent["type"][] = [];
    connectMany({ url: "/", fetch: server.fetch, now: clock.now, timers: clock, random: () => 0.5, onEvent: (e) => {
      events.push(e.type);
      store.receive(e);
    } });
    await settle();
    const flows = (incarnation: string) => `event: flows\ndata: ${JSON.stringify({ flows: { F: incarnation } })}\n\n`;
    const beat = `event: heartbeat\ndata: ${JSON.stringify({ seq: 5, at: clock.time })}\n\n`;
    const whole = `id: 5\nevent: F/snapshot\ndata: ${JSON.stringify(snapshot)}\n\n`;
    server.last.send(beat + flows("i1") + regionsFrame(clock.time, { a: stale(7) }, "F/") + whole);
    await settle();
    expect(events).toEqual(["heartbeat", "flows", "regions", "message"]);
    const seen = (): readonly string[] => staleRegions(store.flows?.get("F")?.regions ?? NO_REGIONS);
    expect(seen()).toEqual(["a"]);
    store.takeChanged();
    server.last.send(regionsFrame(clock.time, { a: fresh() }, "F/"));
    await settle();
    expect(seen()).toEqual([]);
    expect([...store.takeChanged()]).toEqual(["F"]);
    server.last.send(regionsFrame(clock.time, { a: stale(7) }, "F/"));
    server.last.end();
    await clock.advance(10_000);
    server.last.send(beat + flows("i1"));
    await settle();
    expect(seen()).toEqual(["a"]);
    server.last.end();
    await clock.advance(10_000);
    server.last.send(beat + flows("i2") + whole);
    await settle();
    expect(seen()).toEqual([]);
  });
});

describe("a restart of the server", () => {
  it("keeps regions that arrive meanwhile", () => {
    let now = 1_000_000;
    const store = new FlowStore({ flowId: "F", now: () => now });
    const nodes = [node("a/x", "running", {}, { region: "a" }), node("b/x", "running", {}, { region: "b" })];
    const flow = { id: "F", status: "running", startedAt: 0 };
    store.receive({ type: "heartbeat", seq: 1, at: now, incarnation: "i1" });
    store.receive({ type: "message", seq: 1, message: { type: "snapshot", flow, nodes } });
    store.receive({ type: "heartbeat", seq: 2, at: now, incarnation: "i2" });
    store.receive({ type: "regions", at: now, regions: new Map([["b", stale(7)]]) });
    store.receive({ type: "message", seq: 2, message: { type: "snapshot", flow, nodes: nodes.slice(0, 1) } });
    expect([...store.state.unconfirmed]).toEqual(["b/x"]);
    expect(staleRegions(store.state.regions)).toEqual(["b"]);
    const { state } = store;
    store.tick();
    expect(store.state).toBe(state);
    now += 61_000;
    store.tick();
    expect([...store.state.nodes.keys()]).toEqual(["a/x"]);
    expect(staleRegions(store.state.regions)).toEqual(["b"]);
    expect(emptyState("F").regions).toBe(NO_REGIONS);
  });
});
