import { gzipSync } from "node:zlib";
import type { Plugin } from "vite";

/** One script of the build. */
export interface Sized {
  readonly file: string;
  readonly gzip: number;
}
/** What each view needs before it shows anything, and what comes when it is asked for. */
export interface Sizes {
  readonly fleet: readonly Sized[];
  readonly flow: readonly Sized[];
  /** What comes by itself right after the graph. */
  readonly frame: readonly Sized[];
  readonly later: readonly Sized[];
  readonly workers: readonly Sized[];
}

/** The part of a bundle's output that is measured. */
export interface Output {
  readonly fileName: string;
  readonly type: "chunk" | "asset";
  readonly isEntry?: boolean;
  readonly facadeModuleId?: string | null;
  readonly imports?: readonly string[];
  readonly code?: string;
  readonly source?: string | Uint8Array;
}

export function measure(outputs: readonly Output[]): Sizes {
  const byName = new Map(outputs.map((o) => [o.fileName, o]));
  const entry = outputs.filter((o) => o.isEntry === true);
  const page = (name: string): Output[] => outputs.filter((o) => o.facadeModuleId?.endsWith(name) === true);
  const fleet = closure([...entry, ...page("/Fleet.svelte")], byName);
  const flow = closure([...entry, ...page("/FlowPage.svelte")], byName);
  const frame = closure([...page("/flow/frame.ts"), ...page("/lib/diagnosis.ts")], byName);
  const scripts = outputs.filter((o) => o.fileName.endsWith(".js"));
  return {
    fleet: scripts.filter((o) => fleet.has(o)).map(sized),
    flow: scripts.filter((o) => flow.has(o)).map(sized),
    frame: scripts.filter((o) => frame.has(o) && !flow.has(o)).map(sized),
    later: scripts.filter((o) => o.type === "chunk" && !fleet.has(o) && !flow.has(o) && !frame.has(o)).map(sized),
    workers: scripts.filter((o) => o.type === "asset").map(sized),
  };
}

function closure(from: readonly Output[], byName: ReadonlyMap<string, Output>): ReadonlySet<Output> {
  const all = new Set(from);
  for (const o of all) {
    for (const name of o.imports ?? []) {
      const next = byName.get(name);
      if (next !== undefined) all.add(next);
    }
  }
  return all;
}

function sized(o: Output): Sized {
  return { file: o.fileName, gzip: gzipSync(o.code ?? o.source ?? "", { level: 9 }).length };
}

export const total = (sizes: readonly Sized[]): number => sizes.reduce((sum, s) => sum + s.gzip, 0);

/** What each view may need at first, in bytes gzipped. */
export const LIMIT = 60_000;

/** Prints what the page weighs. */
export function budget(): Plugin {
  return {
    name: "budget",
    apply: "build",
    writeBundle(_, bundle) {
      const sizes = measure(Object.values(bundle) as Output[]);
      // The bundle of a worker has no page.
      if (sizes.flow.length === 0) return;
      const kb = (list: readonly Sized[]): string => `${(total(list) / 1000).toFixed(1)} kB`;
      process.stdout.write(
        `gzipped: fleet at first ${kb(sizes.fleet)}, flow at first ${kb(sizes.flow)}, what surrounds it ${kb(sizes.frame)}, later ${kb(sizes.later)}, workers ${kb(sizes.workers)}; the limit is ${LIMIT / 1000} kB for what is needed at first\n`,
      );
    },
  };
}
