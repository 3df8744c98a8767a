import { WorkerHub } from "./hub.js";
import type { Port } from "./port.js";

// The script of a SharedWorker with one connection for each flow, shared by all tabs of a browser.

const scope = globalThis as unknown as {
  addEventListener(type: "connect", listener: (event: { readonly ports: readonly Port[] }) => void): void;
};
const hub = new WorkerHub();

scope.addEventListener("connect", ({ ports }) => {
  for (const port of ports) hub.accept(port);
});
