import type { FlowState } from "@openova/flow-core";

/** Minimum milliseconds between two states of a large flow without known changes, because comparing all nodes is expensive. */
const compareMs = 48;
/** Number of nodes above which a flow is large. */
const large = 2000;

/** Takes states at any rate and applies the newest, at most once a frame. */
export class StateQueue {
  readonly #apply: (state: FlowState, changed: Iterable<string> | undefined, at: number) => void;
  #pending: { readonly state: FlowState; readonly changed: ReadonlySet<string> | null } | null = null;
  #isRunning = false;
  #frame = 0;
  #appliedAt = -Infinity;

  constructor(apply: (state: FlowState, changed: Iterable<string> | undefined, at: number) => void) {
    this.#apply = apply;
  }

  /** The state that waits to be applied; null for none. */
  get state(): FlowState | null { return this.#pending?.state ?? null; }

  /** `changed` has the ids of the nodes that differ from the state of the previous call; undefined if they are unknown. */
  push(state: FlowState, changed?: Iterable<string>): void {
    const before = this.#pending;
    const known = changed !== undefined && before?.changed !== null;
    this.#pending = { state, changed: known ? new Set([...(before?.changed ?? []), ...changed]) : null };
    this.schedule();
  }

  start(): void {
    this.#isRunning = true;
    this.schedule();
  }

  stop(): void {
    this.#isRunning = false;
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
  }

  schedule(): void {
    if (this.#frame !== 0 || this.#pending === null || !this.#isRunning) return;
    this.#frame = requestAnimationFrame((t) => {
      this.#frame = 0;
      const pending = this.#pending;
      if (pending === null) return;
      if (pending.changed === null && pending.state.nodes.size > large && t - this.#appliedAt < compareMs) return this.schedule();
      this.#appliedAt = t;
      this.#pending = null;
      this.#apply(pending.state, pending.changed ?? undefined, t);
    });
  }
}
