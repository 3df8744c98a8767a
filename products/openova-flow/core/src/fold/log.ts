import { emptyState, fold, foldAll, type FlowState } from "./state.js";
import type { FlowMessage, FlowNode, FullSnapshot } from "../contract/types.js";

export interface LogEntry {
  readonly seq: number;
  /** When the server received it; for a live message, when this client received it. Unix milliseconds. */
  readonly at: number;
  readonly message: FlowMessage;
}
/** The response of `GET /v1/flows/{flowId}/events`. */
export interface EventsAnswer {
  readonly base: FullSnapshot | null;
  readonly baseSeq: number;
  readonly events: readonly LogEntry[];
  readonly oldest: number;
  readonly head: number;
}
/** A value of a node; `node` is null from its deletion on. */
export interface NodeChange {
  readonly seq: number;
  readonly at: number;
  readonly node: FlowNode | null;
}
export interface EventLogOptions {
  readonly flowId: string;
  /** Messages between two checkpoints; default 64. */
  readonly checkpointEvery?: number;
  /** Maximum number of messages, at least `checkpointEvery`; default 20,000. The oldest are removed first. */
  readonly capacity?: number;
}

/** The messages of a flow in order, and the state after each of them. */
export class EventLog {
  readonly #flowId: string;
  readonly #every: number;
  readonly #capacity: number;
  #entries: LogEntry[] = [];
  #base: FlowState;
  /** The states before entries 0, `every`, twice `every` …, computed as far as they were needed. The first is the base. */
  #checkpoints: FlowState[];
  /** The last state that was requested, and the number of entries folded into it, so that a replay continues from there. */
  #last: { readonly count: number; readonly state: FlowState } | null = null;
  #version = 0;

  constructor(options: EventLogOptions) {
    this.#flowId = options.flowId;
    this.#every = options.checkpointEvery ?? 64;
    this.#capacity = Math.max(options.capacity ?? 20_000, this.#every);
    this.#base = emptyState(this.#flowId);
    this.#checkpoints = [this.#base];
  }

  get size(): number {
    return this.#entries.length;
  }
  /** Increases with each change of the log. */
  get version(): number {
    return this.#version;
  }
  /** The instants of the first and the last message; null while the log is empty. */
  get range(): { readonly from: number; readonly to: number } | null {
    const first = this.#entries[0];
    const last = this.#entries.at(-1);
    return first === undefined || last === undefined ? null : { from: first.at, to: last.at };
  }
  get firstSeq(): number {
    return this.#entries[0]?.seq ?? 0;
  }
  get lastSeq(): number {
    return this.#entries.at(-1)?.seq ?? 0;
  }

  /** Appends a live message. It is ignored unless its sequence number is above the last. But a snapshot with a lower one replaces the whole log. */
  append(seq: number, at: number, message: FlowMessage): void {
    const last = this.#entries.at(-1);
    if (last !== undefined && seq <= last.seq) {
      if (message.type !== "snapshot" || seq === last.seq) return;
      this.reset();
    }
    this.#entries.push({ seq, at: Math.max(at, this.#entries.at(-1)?.at ?? at), message });
    this.#version++;
    if (this.#entries.length > this.#capacity) this.#trim();
  }

  /** Removes everything. */
  reset(): void {
    this.#begin(emptyState(this.#flowId), []);
  }

  /** Inserts messages that the server still has, before and between the present ones. */
  ingest(answer: EventsAnswer): void {
    const until = answer.events.at(-1)?.seq ?? answer.baseSeq;
    const before = this.#entries.filter((e) => e.seq <= answer.baseSeq);
    const after = this.#entries.filter((e) => e.seq > until);
    if (answer.events.length === 0 && before.length > 0) return;
    const known = before.at(-1);
    // Messages between `known` and the answer's base may be missing; the base replaces them.
    const bridge =
      known !== undefined && known.seq !== answer.baseSeq && answer.base !== null
        ? [{ seq: answer.baseSeq, at: answer.events[0]?.at ?? known.at, message: answer.base }]
        : [];
    const base = before.length > 0 ? this.#base : answer.base === null ? emptyState(this.#flowId) : fold(emptyState(this.#flowId), answer.base);
    this.#begin(base, inTime([...before, ...bridge, ...answer.events, ...after]));
    while (this.#entries.length > this.#capacity) this.#trim();
  }

  /** The state at an instant: after all messages up to then. Null while the log is empty. */
  stateAt(instant: number): FlowState | null {
    return this.#entries.length === 0 ? null : this.#stateAfter(this.#count((e) => e.at <= instant));
  }

  stateAtSeq(seq: number): FlowState | null {
    return this.#entries.length === 0 ? null : this.#stateAfter(this.#count((e) => e.seq <= seq));
  }

  /** All entries, oldest first. */
  entries(): readonly LogEntry[] {
    return this.#entries;
  }

  /** The values of a node, oldest first. Equal consecutive values are merged. */
  history(id: string): readonly NodeChange[] {
    const changes: NodeChange[] = [];
    let text = "null";
    const note = (seq: number, at: number, node: FlowNode | null): void => {
      const now = JSON.stringify(node);
      if (now === text) return;
      text = now;
      changes.push({ seq, at, node });
    };
    note(this.firstSeq, this.range?.from ?? 0, this.#base.nodes.get(id) ?? null);
    for (const { seq, at, message } of this.#entries) {
      if (message.type === "upsert-nodes" || message.type === "snapshot") {
        const node = message.nodes?.findLast((n) => n.id === id);
        if (node !== undefined) note(seq, at, node);
        else if (message.type === "snapshot") note(seq, at, null);
      } else if (message.type === "delete-nodes" && message.ids.includes(id)) note(seq, at, null);
    }
    return changes;
  }

  #begin(base: FlowState, entries: LogEntry[]): void {
    this.#base = base;
    this.#entries = entries;
    this.#checkpoints = [base];
    this.#last = null;
    this.#version++;
  }

  /** The number of entries for which a condition holds, if it holds for a prefix of the entries. */
  #count(holds: (e: LogEntry) => boolean): number {
    let low = 0;
    let high = this.#entries.length;
    while (low < high) {
      const mid = (low + high) >> 1;
      if (holds(this.#entries[mid] as LogEntry)) low = mid + 1;
      else high = mid;
    }
    return low;
  }

  #stateAfter(count: number): FlowState {
    const wanted = Math.floor(count / this.#every);
    for (let i = this.#checkpoints.length; i <= wanted; i++) {
      this.#checkpoints.push(foldAll(this.#checkpoints[i - 1] as FlowState, this.#messages((i - 1) * this.#every, i * this.#every)));
    }
    const from =
      this.#last !== null && this.#last.count <= count && this.#last.count > wanted * this.#every
        ? this.#last
        : { count: wanted * this.#every, state: this.#checkpoints[wanted] as FlowState };
    const state = from.count === count ? from.state : foldAll(from.state, this.#messages(from.count, count));
    this.#last = { count, state };
    return state;
  }

  #messages(from: number, to: number): FlowMessage[] {
    return this.#entries.slice(from, to).map((e) => e.message);
  }

  #trim(): void {
    this.#base = this.#stateAfter(this.#every);
    this.#entries.splice(0, this.#every);
    this.#checkpoints = this.#checkpoints.slice(1);
    this.#last = null;
  }
}

/** Makes the instants of entries non-decreasing, since they come from different clocks. */
function inTime(entries: readonly LogEntry[]): LogEntry[] {
  let latest = -Infinity;
  return entries.map((e) => {
    latest = Math.max(latest, e.at);
    return e.at === latest ? e : { ...e, at: latest };
  });
}
