import { WorkerHub } from "./hub.js";
import type { Port } from "./words.js";

// The script of a SharedWorker that holds one connection a flow for all tabs of a browser.

const scope = globalThis as unknown as {
  addEventListener(type: "connect", listener: (event: { readonly ports: readonly Port[] }) => void): void;
};
const hub = new WorkerHub();

scope.addEventListener("connect", ({ ports }) => {
  for (const port of ports) hub.accept(port);
});
