import type { FlowState, LogEntry } from "@openova/flow-core";
import type { FlowModel } from "./flow.svelte.js";

// What only the past needs: loaded when somebody looks at it.

const FRAME_MS = 100;
/** So long without a change, by the clock on the wall, is skipped. */
const IDLE_MS = 3000;

/** Lets the model go on through its past at `speed()` until `to()`; calls `done` there. Answers the timer that does it. */
export function play(model: FlowModel, speed: () => number, to: () => number, done: () => void): ReturnType<typeof setInterval> {
  let last = performance.now();
  return setInterval(() => {
    const now = performance.now();
    const reached = (model.at ?? to()) + (now - last) * speed();
    last = now;
    // Where nothing happens for long there is nothing to see.
    const change = model.withLog((_, entries) => entries.find((e) => e.at > reached))?.at ?? reached;
    const next = change - reached > IDLE_MS * speed() ? change - 1000 : reached;
    if (next < to()) model.travel(next);
    else done();
  }, FRAME_MS);
}

/** When releases failed, as far as the log goes back: each failure once, however often it is told. */
export function failures(base: FlowState | null, entries: readonly LogEntry[]): readonly number[] {
  const broken = new Map<string, number>();
  for (const [id, n] of base?.nodes ?? []) if (n.status === "failed") broken.set(id, n.endedAt ?? 0);
  const found: number[] = [];
  for (const { at, message } of entries) {
    if (message.type !== "upsert-nodes") continue;
    for (const { id, status, endedAt = at } of message.nodes) {
      if (status !== "failed") broken.delete(id);
      else if (broken.get(id) !== endedAt) {
        // One without an end is told again and again at other instants.
        if (!broken.has(id) || endedAt !== at) found.push(Math.min(endedAt, at));
        broken.set(id, endedAt);
      }
    }
  }
  return found;
}
