import { gzipSync } from "node:zlib";
import type { Plugin } from "vite";

export interface Sized {
  readonly file: string;
  readonly gzip: number;
}
export interface Sizes {
  /** Scripts that the list of flows needs before it is shown. */
  readonly fleet: readonly Sized[];
  /** Scripts that a flow needs until it is drawn. */
  readonly flow: readonly Sized[];
  /** Scripts that load with a flow and are not needed to draw it. */
  readonly frame: readonly Sized[];
  /** Scripts that load on demand. */
  readonly later: readonly Sized[];
  readonly workers: readonly Sized[];
}

/** The part of a bundle's output that is measured. */
export interface Output {
  readonly fileName: string;
  readonly type: "chunk" | "asset";
  readonly imports?: readonly string[];
  readonly modules?: Readonly<Record<string, unknown>>;
  readonly code?: string;
  readonly source?: string | Uint8Array;
}

/** The entry scripts: of the page, of the list of flows, of a flow, of its frame, and of the diagnosis. */
export function entries(outputs: readonly Output[]): Readonly<Record<"main" | "fleet" | "flow" | "frame" | "diagnosis", readonly Output[]>> {
  const having = (...names: readonly string[]): Output[] => outputs.filter((o) => Object.keys(o.modules ?? {}).some((id) => names.some((name) => id.endsWith(name))));
  return { main: having("/main.ts"), fleet: having("/Fleet.svelte"), flow: having("/FlowPage.svelte"), frame: having("/flow/frame.ts"), diagnosis: having("/lib/diagnosis.ts") };
}

export function measure(outputs: readonly Output[]): Sizes {
  const first = entries(outputs);
  const fleet = closure([...first.main, ...first.fleet], outputs);
  const flow = closure([...first.main, ...first.flow], outputs);
  const frame = closure([...first.frame, ...first.diagnosis], outputs);
  const scripts = outputs.filter((o) => o.fileName.endsWith(".js"));
  return {
    fleet: scripts.filter((o) => fleet.has(o)).map(sized),
    flow: scripts.filter((o) => flow.has(o)).map(sized),
    frame: scripts.filter((o) => frame.has(o) && !flow.has(o)).map(sized),
    later: scripts.filter((o) => o.type === "chunk" && !fleet.has(o) && !flow.has(o) && !frame.has(o)).map(sized),
    workers: scripts.filter((o) => o.type === "asset").map(sized),
  };
}

/** Scripts and everything that they import statically. */
export function closure(from: readonly Output[], outputs: readonly Output[]): ReadonlySet<Output> {
  const byName = new Map(outputs.map((o) => [o.fileName, o]));
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

/** Limit of the scripts of the fleet, and of a flow until it is drawn, in gzipped bytes. */
export const LIMIT = 60_000;
/** Limit of a flow with its frame. Views and details load on demand. */
export const LIMIT_ALL = 90_000;

/** The sizes of the parts of the page, with the names in the table of the README. */
export function parts(sizes: Sizes): Readonly<Record<string, number>> {
  const both = new Set(sizes.fleet.map((s) => s.file));
  const split = (list: readonly Sized[], isBoth: boolean): number => total(list.filter((s) => both.has(s.file) === isBoth));
  const own = new Set([...sizes.flow, ...sizes.frame].map((s) => s.file));
  return {
    "both pages": split(sizes.flow, true),
    "a flow": split(sizes.flow, false),
    "fleet and frame": split(sizes.frame, true),
    frame: split(sizes.frame, false),
    fleet: total(sizes.fleet.filter((s) => !own.has(s.file))),
    "on demand": total(sizes.later),
    workers: total(sizes.workers),
  };
}

export function budget(): Plugin {
  return {
    name: "budget",
    apply: "build",
    writeBundle(_, bundle) {
      const sizes = measure(Object.values(bundle) as Output[]);
      // The bundle of a worker has no page.
      if (sizes.flow.length === 0) return;
      const kB = (bytes: number): string => `${(bytes / 1000).toFixed(1)} kB`;
      const each = Object.entries(parts(sizes)).map(([name, size]) => `${name} ${kB(size)}`);
      process.stdout.write(`gzipped: ${each.join(", ")}; until a flow is drawn ${kB(total(sizes.flow))} of ${kB(LIMIT)}, with its frame ${kB(total(sizes.flow) + total(sizes.frame))} of ${kB(LIMIT_ALL)}\n`);
    },
  };
}
