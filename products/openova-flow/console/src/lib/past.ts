import type { FlowState, LogEntry } from "@openova/flow-core";
import type { FlowModel } from "./flow.svelte.js";

// Code for time travel, loaded on demand.

const FRAME_MS = 100;
/** If the next change would take longer than this to play, the time until a second before it is skipped. */
const IDLE_MS = 3000;

/** Plays the history of the model at `speed()` until `to()`. Then calls `done`, which must clear the returned timer. */
export function play(model: FlowModel, speed: () => number, to: () => number, done: () => void): ReturnType<typeof setInterval> {
  let last = performance.now();
  return setInterval(() => {
    const now = performance.now();
    const reached = (model.at ?? to()) + (now - last) * speed();
    last = now;
    const change = model.withLog((_, entries) => entries.find((e) => e.at > reached))?.at ?? reached;
    const next = change - reached > IDLE_MS * speed() ? change - 1000 : reached;
    if (next < to()) model.travel(next);
    else done();
  }, FRAME_MS);
}

/** When releases failed, as far as the log goes back. A failure that is reported several times counts once. */
export function failures(base: FlowState | null, entries: readonly LogEntry[]): readonly number[] {
  const broken = new Map<string, number>();
  for (const [id, n] of base?.nodes ?? []) if (n.status === "failed") broken.set(id, n.endedAt ?? 0);
  const found: number[] = [];
  for (const { at, message } of entries) {
    if (message.type !== "upsert-nodes") continue;
    for (const { id, status, endedAt = at } of message.nodes) {
      if (status !== "failed") broken.delete(id);
      else if (broken.get(id) !== endedAt) {
        // A failure without an end is reported again at later instants.
        if (!broken.has(id) || endedAt !== at) found.push(Math.min(endedAt, at));
        broken.set(id, endedAt);
      }
    }
  }
  return found;
}
