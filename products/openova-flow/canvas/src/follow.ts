import { connect, FlowStore, type ConnectionState, type FlowState } from "@openova/flow-core";

/** A flow followed at its server. */
export interface Follower {
  /** The server's clock. */
  now(): number;
  /** Lets time pass; about once a second. */
  tick(): void;
  /** Ends the connection; nothing is told after it. */
  close(): void;
}

export interface FollowHooks {
  state(state: FlowState): void;
  connection(state: ConnectionState): void;
}

export function follow(url: string, flowId: string, hooks: FollowHooks): Follower {
  const store = new FlowStore({ flowId });
  let open = true;
  store.subscribe(() => {
    if (open && store.loaded) hooks.state(store.state);
  });
  const connection = connect({
    url,
    flowId,
    onEvent: (event) => store.receive(event),
    onState: (state) => {
      store.setConnection(state);
      if (open) hooks.connection(state);
    },
  });
  return {
    now: () => store.now(),
    tick: () => store.tick(),
    close() {
      open = false;
      connection.close();
    },
  };
}
