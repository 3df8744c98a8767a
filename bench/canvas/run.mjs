// Measures the canvas and React Flow on the same data: CPU time of the main thread, wall-clock times and the heap. Prints a table.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runnerImport } from "../../products/openova-flow/node_modules/vite/dist/node/index.js";

const here = import.meta.dirname;
const { module: { buildPage, launch, serve } } = await runnerImport(join(here, "../../products/openova-flow/canvas/test/support/browser.ts"));

const nodes = Number(process.env.NODES ?? 10_000);
const runs = Number(process.env.RUNS ?? 5);
const subjects = (process.env.SUBJECTS ?? "own,react-flow").split(",");
const panFrames = 24;
const updateMs = 4000;

/** Name, goal and unit of each value that `measure` returns. */
const rows = [
  ["first paint, wall", 1000, "ms"],
  ["first paint, main thread", null, "ms"],
  ["pan a frame, everything in view", 14, "ms"],
  ["pan a frame, scale 0.2", 14, "ms"],
  ["pan a frame, scale 0.35", 14, "ms"],
  ["pan a frame, scale 0.75", 14, "ms"],
  ["100 updates/s, everything in view", 30, "%"],
  ["100 updates/s, scale 0.75", 30, "%"],
  ["layout in the worker, wall", 300, "ms"],
  ["heap", 40, "MB"],
];

function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

async function measure(url) {
  const browser = await launch();
  try {
    const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
    const page = await context.newPage();
    page.setDefaultTimeout(120_000);
    page.on("pageerror", (e) => console.error(String(e)));
    const cdp = await context.newCDPSession(page);
    await cdp.send("Performance.enable", { timeDomain: "threadTicks" });
    const metric = async (name) => (await cdp.send("Performance.getMetrics")).metrics.find((m) => m.name === name).value;
    const heap = async () => {
      await cdp.send("HeapProfiler.collectGarbage");
      return metric("JSHeapUsedSize");
    };
    /** Calls fn in the page. Returns the CPU time of the main thread in ms, and the result. */
    const cpu = async (fn, ...args) => {
      const before = await metric("TaskDuration");
      const result = await page.evaluate(fn, args);
      return [(await metric("TaskDuration")) * 1000 - before * 1000, result];
    };
    await page.goto(url);
    await page.waitForFunction("globalThis.subject");
    const out = [];
    const [firstCpu, firstWall] = await cpu(([n]) => subject.first(n), nodes);
    out.push(firstWall, firstCpu);
    for (const scale of [0, 0.2, 0.35, 0.75]) {
      await page.evaluate(([s]) => subject.pan(s, 4), [scale]);
      out.push((await cpu(([s, n]) => subject.pan(s, n), scale, panFrames))[0] / panFrames);
    }
    for (const scale of [0, 0.75]) {
      await page.evaluate(([s]) => subject.pan(s, 2), [scale]);
      out.push(((await cpu(([ms]) => subject.update(100, ms), updateMs))[0] / updateMs) * 100);
    }
    out.push(await page.evaluate(() => subject.layout()));
    out.push((await heap()) / 1e6);
    return out;
  } finally {
    await browser.close();
  }
}

const results = {};
for (const name of subjects) {
  const folder = await mkdtemp(join(tmpdir(), "canvas-bench-"));
  await buildPage(join(here, name), folder);
  // React Flow sets inline styles, which the policy of the shipped page forbids.
  const server = await serve(folder, "");
  const all = [];
  for (let i = 0; i < runs; i++) {
    all.push(await measure(server.url));
    console.error(`${name} ${i + 1}/${runs}: ${all.at(-1).map((v) => v.toFixed(1)).join("  ")}`);
  }
  results[name] = rows.map((_, r) => median(all.map((one) => one[r])));
  await server.close();
  await rm(folder, { recursive: true });
}

const cell = (v, unit) => (v === undefined ? "" : v < 0 ? "none" : `${v >= 100 ? v.toFixed(0) : v.toFixed(1)} ${unit}`);
const table = [
  `| ${nodes} nodes, median of ${runs} | goal | ${subjects.join(" | ")} |`,
  `|---|---|${subjects.map(() => "---|").join("")}`,
  ...rows.map(([name, goal, unit], r) => `| ${name} | ${goal === null ? "" : `${goal} ${unit}`} | ${subjects.map((s) => cell(results[s][r], unit)).join(" | ")} |`),
].join("\n");
console.log(table);
if (process.env.OUT) await writeFile(process.env.OUT, JSON.stringify({ nodes, runs, results }, null, 2));
const missed = results.own ? rows.filter(([, goal], r) => goal !== null && results.own[r] > goal) : [];
for (const [name, goal, unit] of missed) console.error(`goal missed: ${name}, wanted at most ${goal} ${unit}`);
process.exitCode = missed.length > 0 ? 1 : 0;
