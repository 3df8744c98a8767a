import { connect, type Connection, type ConnectionState, type ConnectOptions, type StreamEvent } from "./sse.js";
import { emptyState, fold, toSnapshot, type FlowState } from "./state.js";
import { webTimers, type Timers } from "./web.js";
import { ALIVE_EVERY_MS, type HubWord, type Port, type TabWord } from "./words.js";

const GONE_AFTER_MS = 180_000;

export type HubOptions = Omit<ConnectOptions, "onEvent" | "onState">;

/** One connection to the server, and what a tab that comes later needs to catch up. */
export class Hub {
  readonly #connection: Connection;
  readonly #tell: (word: HubWord) => void;
  #state: FlowState;
  #seq = 0;
  #heartbeat: (StreamEvent & { readonly type: "heartbeat" }) | null = null;
  #regions: StreamEvent | null = null;

  constructor(options: HubOptions, tell: (word: HubWord) => void) {
    this.#tell = tell;
    this.#state = emptyState(options.flowId);
    this.#connection = connect({
      ...options,
      // It has nothing yet that a resumed stream could be folded into.
      lastEventId: undefined,
      onEvent: (event) => {
        this.#remember(event);
        tell({ from: "hub", event });
      },
      onState: (state) => tell({ from: "hub", state }),
    });
  }

  get state(): ConnectionState {
    return this.#connection.state;
  }

  /** Brings one tab up to date. */
  welcome(tab: string): void {
    if (this.#heartbeat !== null) this.#tell({ from: "hub", to: tab, event: this.#heartbeat });
    if (this.#regions !== null) this.#tell({ from: "hub", to: tab, event: this.#regions });
    const snapshot = toSnapshot(this.#state);
    if (snapshot !== null) this.#tell({ from: "hub", to: tab, event: { type: "message", seq: this.#seq, message: snapshot } });
    // Who was refused may have signed in and then opened this tab: it is to hear the next verdict, not the last.
    if (this.#connection.state.kind === "forbidden") this.#connection.retryNow();
    this.#tell({ from: "hub", to: tab, state: this.#connection.state });
  }

  retryNow(): void {
    this.#connection.retryNow();
  }
  close(): void {
    this.#connection.close();
  }

  #remember(event: StreamEvent): void {
    if (event.type === "heartbeat") {
      // What another server process had heard is not what this one has.
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
  heardAt: number;
}
interface Room {
  readonly hub: Hub;
  readonly members: Map<string, Member>;
  /** As the tab that spoke last has them. */
  readonly headers: { latest: Readonly<Record<string, string>> };
}

/** The inside of a SharedWorker: gives every tab that joins the stream of its flow, over one connection for each flow. */
export class WorkerHub {
  readonly #rooms = new Map<string, Room>();
  readonly #environment: Pick<ConnectOptions, "fetch" | "now" | "random" | "timers">;
  readonly #now: () => number;

  constructor(environment: Pick<ConnectOptions, "fetch" | "now" | "random" | "timers"> = {}) {
    this.#environment = environment;
    this.#now = environment.now ?? Date.now;
    this.#sweep(environment.timers ?? webTimers);
  }

  /** Open connections to the server. */
  get size(): number {
    return this.#rooms.size;
  }

  accept(port: Port): void {
    port.addEventListener("message", ({ data }) => {
      if ((data as TabWord | null)?.from === "tab") this.#hear(port, data as TabWord);
    });
    port.start?.();
  }

  #hear(port: Port, word: TabWord): void {
    const key = JSON.stringify([word.url, word.flowId]);
    const known = this.#rooms.get(key)?.members.get(word.tab);
    if (word.say === "leave") return this.#leave(key, word.tab);
    const room = this.#rooms.get(key) ?? this.#open(key, word);
    room.headers.latest = word.headers;
    // A tab that slept for long has been given up; its next word brings it back.
    if (known === undefined || word.say === "join") {
      room.members.set(word.tab, { port, tab: word.tab, heardAt: this.#now() });
      room.hub.welcome(word.tab);
    } else known.heardAt = this.#now();
    if (word.say === "retry") room.hub.retryNow();
  }

  #open(key: string, { url, flowId, headers: latest }: TabWord): Room {
    const headers = { latest };
    const members = new Map<string, Member>();
    const tell = (word: HubWord): void => {
      if (word.to !== undefined) members.get(word.to)?.port.postMessage(word);
      else for (const m of members.values()) m.port.postMessage(word);
    };
    const hub = new Hub({ ...this.#environment, url, flowId, headers: () => headers.latest }, tell);
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
      for (const m of [...room.members.values()]) if (this.#now() - m.heardAt > GONE_AFTER_MS) this.#leave(key, m.tab);
    }
    timers.after(ALIVE_EVERY_MS, () => this.#sweep(timers));
  }
}
