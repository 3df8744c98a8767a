import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { decode, type FlowMessage } from "../src/index.js";

const products = new URL("../..", import.meta.url);

export function pathOf(relative: string): string {
  return fileURLToPath(new URL(relative, products));
}

/** The JSON files of a folder below products/openova-flow, sorted by name. Throws if there are none, since the test would then check nothing. */
export function filesIn(relative: string): readonly { readonly name: string; readonly text: string }[] {
  const names = readdirSync(pathOf(relative)).filter((n) => n.endsWith(".json")).sort();
  if (names.length === 0) throw new Error(`no files in ${relative}`);
  return names.map((name) => ({ name, text: readFileSync(pathOf(`${relative}/${name}`), "utf8") }));
}

export interface Recorded {
  readonly at: number;
  readonly message: FlowMessage;
}

/** The messages that the Flux adapter sends for a recording of real controllers. */
export function golden(name: string): readonly Recorded[] {
  return goldenFile(`${name}.events.jsonl`);
}

/** The messages of a file in the adapter's folder of golden files. */
export function goldenFile(name: string): readonly Recorded[] {
  const text = readFileSync(pathOf(`adapter-flux/testdata/golden/${name}`), "utf8");
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const { at, message } = JSON.parse(line) as { at: number; message: unknown };
      const read = decode("bootstrap", JSON.stringify(message));
      if (!read.ok) throw new Error(`${name}: ${read.error.field} ${read.error.message}`);
      return { at, message: read.message };
    });
}

/** The CPU time of `run` in ms, independent of other load on the machine. */
export function cpuMs(run: () => void): number {
  const before = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}
