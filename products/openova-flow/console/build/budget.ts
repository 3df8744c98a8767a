import { gzipSync } from "node:zlib";
import type { Plugin } from "vite";

/** One script of the build, by what it is for. */
export interface Sized {
  readonly file: string;
  readonly gzip: number;
}
export interface Sizes {
  /** What the page loads before it shows anything: its entry and all that this imports. */
  readonly initial: readonly Sized[];
  /** Loaded when asked for. */
  readonly later: readonly Sized[];
  readonly workers: readonly Sized[];
}

/** The part of a bundle's output that is measured. */
export interface Output {
  readonly fileName: string;
  readonly type: "chunk" | "asset";
  readonly isEntry?: boolean;
  readonly imports?: readonly string[];
  readonly code?: string;
  readonly source?: string | Uint8Array;
}

export function measure(outputs: readonly Output[]): Sizes {
  const byName = new Map(outputs.map((o) => [o.fileName, o]));
  const initial = new Set<string>();
  const visit = (name: string): void => {
    const chunk = byName.get(name);
    if (chunk?.type !== "chunk" || initial.has(name)) return;
    initial.add(name);
    for (const next of chunk.imports ?? []) visit(next);
  };
  for (const o of outputs) if (o.type === "chunk" && o.isEntry === true) visit(o.fileName);
  const sized = (o: Output): Sized => ({ file: o.fileName, gzip: gzipSync(o.code ?? o.source ?? "", { level: 9 }).length });
  const scripts = outputs.filter((o) => o.fileName.endsWith(".js"));
  return {
    initial: scripts.filter((o) => initial.has(o.fileName)).map(sized),
    later: scripts.filter((o) => o.type === "chunk" && !initial.has(o.fileName)).map(sized),
    workers: scripts.filter((o) => o.type === "asset").map(sized),
  };
}

export const total = (sizes: readonly Sized[]): number => sizes.reduce((sum, s) => sum + s.gzip, 0);

/** Prints what the page weighs and fails the build when its initial scripts are over the limit. */
export function budget(options: { readonly limit: number }): Plugin {
  return {
    name: "budget",
    apply: "build",
    generateBundle(_, bundle) {
      // Workers are bundles of their own, without an entry of the page.
      const sizes = measure(Object.values(bundle) as Output[]);
      if (sizes.initial.length === 0 || !Object.keys(bundle).includes("index.html")) return;
      const kb = (n: number): string => `${(n / 1000).toFixed(1)} kB`;
      const line = (name: string, list: readonly Sized[]): string => `${name}: ${kb(total(list))} gzipped in ${list.length} scripts`;
      const text = [line("initial", sizes.initial), line("later", sizes.later), line("workers", sizes.workers)].join("; ");
      process.stdout.write(`${text}; the limit for initial scripts is ${kb(options.limit)}\n`);
      if (total(sizes.initial) > options.limit) this.error(`the page's initial scripts are over their limit: ${text}`);
    },
  };
}
