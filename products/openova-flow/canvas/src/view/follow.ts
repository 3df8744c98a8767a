import { connect, FlowStore, type ConnectionState, type FlowState } from "@openova/flow-core";

/** A connection to the stream of a flow. */
export interface Follower {
  /** The time by the server's clock, Unix milliseconds. */
  now(): number;
  /** Updates the state if it depends on the clock. Call it about once a second. */
  tick(): void;
  /** Closes the connection. No hook is called afterwards. */
  close(): void;
}

export interface FollowHooks {
  state(state: FlowState): void;
  connection(state: ConnectionState): void;
}

export function follow(url: string, flowId: string, hooks: FollowHooks): Follower {
  const store = new FlowStore({ flowId });
  let isOpen = true;
  store.subscribe(() => {
    if (isOpen && store.loaded) hooks.state(store.state);
  });
  const connection = connect({
    url,
    flowId,
    onEvent: (event) => store.receive(event),
    onState: (state) => {
      store.setConnection(state);
      if (isOpen) hooks.connection(state);
    },
  });
  return {
    now: () => store.now(),
    tick: () => store.tick(),
    close() {
      isOpen = false;
      connection.close();
    },
  };
}
