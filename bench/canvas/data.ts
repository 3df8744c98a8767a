import type { FlowNode, SnapshotMessage } from "../../products/openova-flow/core/src/index.js";
import { fleet, fleetNow, randomFrom } from "../../products/openova-flow/canvas/test/support/fleet.js";

export { fleetNow };

/** About `nodes` releases in regions of 60. */
export function snapshotOf(nodes: number): SnapshotMessage {
  return fleet({ regions: Math.max(1, Math.round(nodes / 60)), perRegion: 60 });
}

/** An endless, reproducible series of new versions of random nodes; regions are left out. */
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

/** The functions of a page that the runner calls. */
export interface Subject {
  /** Wall-clock milliseconds from the snapshot's JSON to the first frame that shows it. */
  first(nodes: number): Promise<number>;
  /** Pans for a number of frames at a scale; scale 0 shows everything. */
  pan(scale: number, frames: number): Promise<void>;
  /** Changes nodes at a rate per second for a time. */
  update(perSecond: number, ms: number): Promise<void>;
  /** Wall-clock milliseconds of a layout of everything in the worker; -1 if the page has no layout. */
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

/** Calls at an even rate. Each turn of the timer makes all calls that are due. */
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
