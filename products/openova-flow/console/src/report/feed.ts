import { emptyState, foldAll, FlowStore, NO_REGIONS, parseRegions, toSnapshot, type FlowMessage } from "@openova/flow-core";
import type { Feed } from "../lib/feed.js";
import { content, reportedAt } from "./content.js";

// Replaces lib/feed.ts in the report: a store with the state after the last message of the recording, and with a fixed clock.

export function openFeed(_url: string, flowId: string): Feed {
  const store = new FlowStore({ flowId, now: () => reportedAt });
  // Deferred until the model has subscribed: on the first message it loads further data.
  queueMicrotask(() => fill(store));
  return { store, connection: { retryNow: () => undefined, close: () => undefined } as Feed["connection"], close: () => undefined };
}

function fill(store: FlowStore): void {
  const pages = content?.recording?.pages ?? [];
  const first = pages[0];
  if (first !== undefined) {
    const seq = pages.at(-1)?.events.at(-1)?.seq ?? first.baseSeq;
    const messages: readonly FlowMessage[] = [...(first.base === null ? [] : [first.base]), ...pages.flatMap((p) => p.events.map((e) => e.message))];
    store.receive({ type: "heartbeat", seq, at: reportedAt, incarnation: "report" });
    store.receive({ type: "regions", at: reportedAt, regions: parseRegions(JSON.stringify(content?.recording?.regions ?? null))?.regions ?? NO_REGIONS });
    const message = toSnapshot(foldAll(emptyState(store.flowId), messages));
    if (message !== null) store.receive({ type: "message", seq, message });
  }
  store.setConnection({ kind: "live", since: reportedAt });
}
