/** The layout worker, from the origin of this module; null if it cannot be created: layout then runs in this thread. */
export function layoutWorker(): Worker | null {
  try {
    return new Worker(new URL("./layout-worker.js", import.meta.url), { type: "module", name: "openova-flow-layout" });
  } catch {
    return null;
  }
}
