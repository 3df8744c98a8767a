import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, expect, it } from "vitest";
import { buildGraph, emptyState, fold, foldAll, toSnapshot, validate, type FlowMessage } from "../src/index.js";
import { pathOf } from "./files.js";

// A Go program makes random sequences, folds each with the package and with a simple implementation, and writes the sequences and the
// results. `make equivalence` runs many more.
const COUNT = Number(process.env["EQUIVALENCE"] ?? 20_000);
const SEED = Number(process.env["EQUIVALENCE_SEED"] ?? 1);
/** In Go's syntax for durations. */
const TIME = process.env["EQUIVALENCE_TIME"] ?? "2m";

interface Step {
  readonly messages: readonly unknown[];
  readonly snapshot: unknown;
  /** Ids of the nodes that contain no node of their region. */
  readonly leaves: readonly string[];
}

let folder: string;
let program: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "openova-flow-equivalence-"));
  program = join(folder, "flow.test");
  execFileSync("go", ["test", "-c", "-o", program, "./flow"], { cwd: pathOf("server"), stdio: "inherit", env: { ...process.env, GOWORK: "off" } });
}, 300_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The first difference in the fold of a sequence; empty if there is none. */
function differenceOf(steps: readonly Step[]): string {
  let one = emptyState("F");
  let whole = emptyState("F");
  for (const [i, { messages, snapshot, leaves }] of steps.entries()) {
    const valid: FlowMessage[] = [];
    for (const m of messages) {
      const read = validate("F", m);
      if (!read.ok) return `step ${i}: refused: ${read.error.field} ${read.error.message}`;
      valid.push(read.message);
      one = fold(one, read.message);
    }
    whole = foldAll(whole, valid);
    const wanted = JSON.stringify(snapshot);
    for (const [how, state] of [["message by message", one], ["request by request", whole]] as const) {
      const got = JSON.stringify(toSnapshot(state));
      if (got !== wanted) return `step ${i}, ${how}:\n got ${got}\nwant ${wanted}`;
      const mine = JSON.stringify(buildGraph(state).leaves);
      if (mine !== JSON.stringify(leaves)) return `step ${i}, ${how}: the leaves of ${wanted}\n are ${mine}\nwant ${JSON.stringify(leaves)}`;
    }
  }
  return "";
}

it("folds to the same state as Go and the simple implementation", async () => {
  const go = spawn(program, ["-test.run=^TestEquivalence$", `-equivalence.count=${COUNT}`, `-equivalence.seed=${SEED}`, `-equivalence.for=${TIME}`, "-equivalence.out", "-test.timeout=0"], {
    cwd: pathOf("server/flow"),
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  const ended = new Promise<number | null>((resolve) => go.once("exit", resolve));
  let sequences = 0;
  let messages = 0;
  let wrong = "";
  for await (const line of createInterface({ input: go.stdout })) {
    if (!line.startsWith("{")) {
      output += `${line}\n`;
      continue;
    }
    const { seed, steps } = JSON.parse(line) as { seed: number; steps: readonly Step[] };
    const fault = differenceOf(steps);
    if (fault !== "") {
      wrong = `sequence ${seed}, ${fault}`;
      go.kill();
      break;
    }
    sequences++;
    for (const step of steps) messages += step.messages.length;
  }
  const code = await ended;
  expect(wrong).toBe("");
  expect({ code, output: code === 0 ? "" : output }).toEqual({ code: 0, output: "" });
  console.log(`${sequences.toLocaleString("en-GB")} sequences of ${messages.toLocaleString("en-GB")} messages, from seed ${SEED} on`);
  expect(sequences).toBeGreaterThan(1000);
}, 24 * 3_600_000);
