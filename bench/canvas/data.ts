import type { FlowNode, SnapshotMessage } from "../../products/openova-flow/core/src/index.js";
import { fleet, fleetNow, randomFrom } from "../../products/openova-flow/canvas/test/support/fleet.js";

export { fleetNow };

/** About `nodes` releases in regions of 60. */
export function snapshotOf(nodes: number): SnapshotMessage {
  return fleet({ regions: Math.max(1, Math.round(nodes / 60)), perRegion: 60 });
}

/** An endless series of nodes that change their status, the same for everybody. */
export function* changes(snapshot: SnapshotMessage): Generator<FlowNode, never> {
  const nodes = (snapshot.nodes ?? []).filter((n) => n.meta?.["kind"] !== "Region");
  const random = randomFrom(11);
  const statuses = ["running", "succeeded", "failed", "succeeded"];
  for (let k = 0; ; k++) {
    const node = nodes[Math.floor(random() * nodes.length)]!;
    const { meta: _meta, ...rest } = node;
    yield { ...rest, status: statuses[k % statuses.length]!, startedAt: fleetNow - 60_000, endedAt: fleetNow, meta: { kind: "HelmRelease", reason: "Progressing" } };
  }
}

/** What the runner calls in either page. Every promise resolves when the frame has been produced. */
export interface Subject {
  /** From the parsed snapshot to the first frame that shows it; milliseconds of wall clock. */
  first(nodes: number): Promise<number>;
  /** Pans for so many frames at a scale; 0 is what shows everything. */
  pan(scale: number, frames: number): Promise<void>;
  /** Changes so many nodes a second for so long. */
  update(perSecond: number, ms: number): Promise<void>;
  /** Layout of everything, off the main thread; wall clock, or -1 where there is none. */
  layout(): Promise<number>;
}

export const frame = (): Promise<number> => new Promise((resolve) => requestAnimationFrame(resolve));

export async function frames(n: number, each: (i: number) => void): Promise<void> {
  for (let i = 0; i < n; i++) {
    await frame();
    each(i);
  }
  await frame();
}

/** Calls at an even rate: what is due since the last turn of the timer, all at once. */
export async function evenly(perSecond: number, ms: number, call: () => void): Promise<void> {
  const start = performance.now();
  let done = 0;
  await new Promise<void>((resolve) => {
    const timer = setInterval(() => {
      const passed = performance.now() - start;
      for (const due = Math.floor((Math.min(passed, ms) * perSecond) / 1000); done < due; done++) call();
      if (passed < ms) return;
      clearInterval(timer);
      resolve();
    }, 1000 / perSecond);
  });
}

declare global {
  var subject: Subject;
}
