import { connect, type Connection, type ConnectionState, type ConnectOptions, type StreamEvent } from "./sse.js";
import { emptyState, fold, toSnapshot, type FlowState } from "../fold/state.js";
import { ServerClock } from "./server-clock.js";
import { webTimers, type Timers } from "./web.js";
import { ALIVE_EVERY_MS, type HubMessage, type Port, type TabMessage } from "./port.js";

/** A tab that has sent nothing for this time is removed. */
const GONE_AFTER_MS = 180_000;

export type HubOptions = Omit<ConnectOptions, "onEvent" | "onState">;

/** One connection to the server, and the state that a later tab gets. */
export class Hub {
  readonly #connection: Connection;
  readonly #send: (message: HubMessage) => void;
  #state: FlowState;
  #seq = 0;
  #heartbeat: (StreamEvent & { readonly type: "heartbeat" }) | null = null;
  #regions: (StreamEvent & { readonly type: "regions" }) | null = null;
  readonly #server: ServerClock;

  constructor(options: HubOptions, send: (message: HubMessage) => void) {
    this.#send = send;
    this.#state = emptyState(options.flowId);
    this.#server = new ServerClock(options.now ?? Date.now);
    this.#connection = connect({
      ...options,
      // There is no state yet from which a stream could resume.
      lastEventId: undefined,
      onEvent: (event) => {
        this.#remember(event);
        send({ from: "hub", event });
      },
      onState: (state) => {
        if (state.kind === "live") this.#server.doubt();
        send({ from: "hub", state });
      },
    });
  }

  get state(): ConnectionState {
    return this.#connection.state;
  }

  /** Sends one tab the current state. */
  welcome(tab: string): void {
    // The tab sets its clock by these events, so they have the present time and not that of their arrival.
    const at = this.#server.now();
    if (this.#heartbeat !== null) this.#send({ from: "hub", to: tab, event: { ...this.#heartbeat, at } });
    if (this.#regions !== null) this.#send({ from: "hub", to: tab, event: { ...this.#regions, at } });
    const snapshot = toSnapshot(this.#state);
    if (snapshot !== null) this.#send({ from: "hub", to: tab, event: { type: "message", seq: this.#seq, message: snapshot } });
    // After a 401 or 403 the user may have signed in and opened this tab, so the last result may be out of date.
    if (this.#connection.state.kind === "forbidden") this.#connection.retryNow();
    this.#send({ from: "hub", to: tab, state: this.#connection.state });
  }

  retryNow(): void {
    this.#connection.retryNow();
  }
  close(): void {
    this.#connection.close();
  }

  #remember(event: StreamEvent): void {
    if (event.type === "heartbeat" || event.type === "regions") this.#server.set(event.at);
    if (event.type === "heartbeat") {
      // The claims of one server process do not apply to another.
      if (this.#heartbeat !== null && this.#heartbeat.incarnation !== event.incarnation) this.#regions = null;
      this.#heartbeat = event;
    } else if (event.type === "regions") this.#regions = event;
    else if (event.type === "deleted") {
      this.#regions = null;
      this.#state = emptyState(this.#state.flowId);
      this.#heartbeat = null;
    } else {
      this.#state = fold(this.#state, event.message);
      this.#seq = event.seq;
    }
  }
}

interface Member {
  readonly port: Port;
  readonly tab: string;
  lastSeenAt: number;
}
interface Room {
  readonly hub: Hub;
  readonly members: Map<string, Member>;
  /** The latest headers that a tab sent. */
  readonly headers: { latest: Readonly<Record<string, string>> };
}

/** The content of a SharedWorker: sends each tab the stream of its flow, with one connection for each flow. */
export class WorkerHub {
  readonly #rooms = new Map<string, Room>();
  readonly #environment: Pick<ConnectOptions, "fetch" | "now" | "random" | "timers">;
  readonly #now: () => number;

  constructor(environment: Pick<ConnectOptions, "fetch" | "now" | "random" | "timers"> = {}) {
    this.#environment = environment;
    this.#now = environment.now ?? Date.now;
    this.#sweep(environment.timers ?? webTimers);
  }

  /** Number of open connections. */
  get size(): number {
    return this.#rooms.size;
  }

  accept(port: Port): void {
    port.addEventListener("message", ({ data }) => {
      if ((data as TabMessage | null)?.from === "tab") this.#receive(port, data as TabMessage);
    });
    port.start?.();
  }

  #receive(port: Port, message: TabMessage): void {
    const key = JSON.stringify([message.url, message.flowId]);
    const known = this.#rooms.get(key)?.members.get(message.tab);
    if (message.action === "leave") return this.#leave(key, message.tab);
    const room = this.#rooms.get(key) ?? this.#open(key, message);
    room.headers.latest = message.headers;
    // A tab that was suspended for long has been removed; its next message adds it again.
    if (known === undefined || message.action === "join") {
      room.members.set(message.tab, { port, tab: message.tab, lastSeenAt: this.#now() });
      room.hub.welcome(message.tab);
    } else known.lastSeenAt = this.#now();
    if (message.action === "retry") room.hub.retryNow();
  }

  #open(key: string, { url, flowId, headers: latest }: TabMessage): Room {
    const headers = { latest };
    const members = new Map<string, Member>();
    const send = (message: HubMessage): void => {
      if (message.to !== undefined) members.get(message.to)?.port.postMessage(message);
      else for (const m of members.values()) m.port.postMessage(message);
    };
    const hub = new Hub({ ...this.#environment, url, flowId, headers: () => headers.latest }, send);
    const room: Room = { members, headers, hub };
    this.#rooms.set(key, room);
    return room;
  }

  #leave(key: string, tab: string): void {
    const room = this.#rooms.get(key);
    if (room === undefined || !room.members.delete(tab) || room.members.size > 0) return;
    room.hub.close();
    this.#rooms.delete(key);
  }

  #sweep(timers: Timers): void {
    for (const [key, room] of [...this.#rooms]) {
      for (const m of [...room.members.values()]) if (this.#now() - m.lastSeenAt > GONE_AFTER_MS) this.#leave(key, m.tab);
    }
    timers.after(ALIVE_EVERY_MS, () => this.#sweep(timers));
  }
}
