import { build, type InlineConfig, type Plugin, type Rolldown } from "vite";
import { closure, entries, type Output } from "./budget.ts";

/**
 * Makes one script for each set of entries that load the same modules: both pages, a flow until it is drawn, the fleet and what loads with a
 * flow, the diagnosis, and the rest of the frame. Modules of the fleet alone, and those that load on demand, are left to the bundler.
 *
 * A first build with the bundler's own splitting, after unused exports are removed, shows which entry loads which module. Its scripts are
 * not used: they are more than twice as many, and compress worse.
 */
export function chunksByEntry(config: InlineConfig): Plugin {
  let chunkOf = new Map<string, string>();
  return {
    name: "chunks-by-entry",
    apply: "build",
    config: () => ({ build: { rolldownOptions: { output: { codeSplitting: { includeDependenciesRecursively: false, groups: [{ name: (id) => chunkOf.get(id) ?? null }] } } } } }),
    async buildStart() {
      const { output } = (await build({ ...config, configFile: false, logLevel: "silent", build: { ...config.build, write: false, minify: false } })) as Rolldown.RolldownOutput;
      chunkOf = assign(output as unknown as readonly Output[]);
    },
  };
}

function assign(outputs: readonly Output[]): Map<string, string> {
  const modules = (from: readonly Output[]): ReadonlySet<string> => new Set([...closure(from, outputs)].flatMap((o) => Object.keys(o.modules ?? {})));
  const { main, fleet, flow, frame, diagnosis } = entries(outputs);
  const [inFleet, inFlow, inFrame, inDiagnosis] = [modules([...main, ...fleet]), modules([...main, ...flow]), modules(frame), modules(diagnosis)];
  const chunkOf = new Map<string, string>([["\0rolldown/runtime.js", "base"]]);
  for (const id of new Set([...inFlow, ...inFrame, ...inDiagnosis])) chunkOf.set(id, inFlow.has(id) ? (inFleet.has(id) ? "base" : "flow") : inFleet.has(id) ? "shared" : inDiagnosis.has(id) ? "diagnosis" : "frame");
  return chunkOf;
}
