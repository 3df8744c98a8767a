import { connectSharedLazily, FlowStore, type Port, type SharedConnection } from "@openova/flow-core";
import { guardedFetch, unknown } from "./guard.js";

export interface Feed {
  readonly store: FlowStore;
  readonly connection: SharedConnection;
  close(): void;
}

/** Follows a flow through the one connection that all tabs of this browser share. */
export function openFeed(url: string, flowId: string): Feed {
  const store = new FlowStore({ flowId });
  const connection = connectSharedLazily({
    url,
    flowId,
    fetch: guardedFetch,
    onEvent: (event) => store.receive(event),
    onState: (state) => {
      store.setConnection(state);
      // Another tab, or a worker, may be who was told.
      if (state.kind === "forbidden" && state.status === 401) unknown();
    },
    transports: {
      ...(typeof SharedWorker === "undefined" ? {} : { sharedWorker }),
      ...(typeof BroadcastChannel === "undefined" ? {} : { broadcast: (name: string) => new BroadcastChannel(name) }),
      ...(navigator.locks === undefined ? {} : { locks: navigator.locks }),
    },
  });
  const ticking = setInterval(() => store.tick(), 1000);
  const leave = (): void => connection.close();
  addEventListener("pagehide", leave);
  return {
    store,
    connection,
    close() {
      clearInterval(ticking);
      removeEventListener("pagehide", leave);
      connection.close();
    },
  };
}

function sharedWorker(): Port {
  return new SharedWorker(new URL("./shared-worker.ts", import.meta.url), { type: "module", name: "openova-flow" }).port;
}
