import { connectShared, FlowStore, type Port, type SharedConnection } from "@openova/flow-core";
import { guardedFetch, onUnauthorized } from "./guard.js";

export interface Feed {
  readonly store: FlowStore;
  readonly connection: SharedConnection;
  close(): void;
}

/** Subscribes to a flow, in a browser with SharedWorker through a connection that all tabs share. */
export function openFeed(url: string, flowId: string): Feed {
  const store = new FlowStore({ flowId });
  const connection = connectShared({
    url,
    flowId,
    fetch: guardedFetch,
    onEvent: (event) => store.receive(event),
    onState: (state) => {
      store.setConnection(state);
      // The worker may have received the 401, not this page.
      if (state.kind === "forbidden" && state.status === 401) onUnauthorized();
    },
    sharedWorker: typeof SharedWorker === "undefined" ? undefined : openWorker,
  });
  const ticking = setInterval(() => store.tick(), 1000);
  const leave = (): void => connection.close();
  // From the back/forward cache a page comes as it was left: with a closed connection.
  const comeBack = (e: PageTransitionEvent): void => {
    if (e.persisted) location.reload();
  };
  addEventListener("pagehide", leave);
  addEventListener("pageshow", comeBack);
  return {
    store,
    connection,
    close() {
      clearInterval(ticking);
      removeEventListener("pagehide", leave);
      removeEventListener("pageshow", comeBack);
      connection.close();
    },
  };
}

function openWorker(): Port {
  return new SharedWorker(new URL("./shared-worker.ts", import.meta.url), { type: "module", name: "openova-flow" }).port;
}
