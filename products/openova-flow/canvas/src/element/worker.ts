/** The layout worker, from the same origin as this module; null where it cannot be had, and layout then runs in this thread. */
export function layoutWorker(): Worker | null {
  try {
    return new Worker(new URL("./layout-worker.js", import.meta.url), { type: "module", name: "openova-flow-layout" });
  } catch {
    return null;
  }
}
