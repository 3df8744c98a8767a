import { execFileSync, spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server, type ServerResponse } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, expect, it } from "vitest";
import { build } from "vite";
import { golden, pathOf } from "./files.js";
import { frame, heartbeat } from "./clock.js";

// Tests the package as users get it: built, installed by name in another folder, and imported there.

const home = mkdtempSync(join(tmpdir(), "flow-core-"));
const installed = join(home, "node_modules/@openova/flow-core");
const tsc = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin/tsc");

beforeAll(() => {
  mkdirSync(installed, { recursive: true });
  execFileSync(process.execPath, [tsc, "-p", pathOf("core/tsconfig.build.json"), "--outDir", join(installed, "dist")]);
  writeFileSync(join(installed, "package.json"), readFileSync(pathOf("core/package.json")));
}, 120_000);
afterAll(() => rmSync(home, { recursive: true, force: true }));

it("runs the README's example against a server", async () => {
  const example = /```js\n(import \{ FlowStore[\s\S]*?)```/.exec(readFileSync(pathOf("core/README.md"), "utf8"))?.[1];
  expect(example).toBeDefined();
  writeFileSync(join(home, "follow.mjs"), example as string);
  const { server, url } = await serve((response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(heartbeat(1, Date.now()));
    response.write(frame(1, { type: "snapshot", flow: { id: "bootstrap", status: "running", startedAt: 0 } } as never));
    const events = golden("kit-fsn1");
    const start = events[0]?.at ?? 0;
    events.filter((e) => e.at <= start + 130_000).forEach((e, i) => response.write(frame(i + 2, e.message)));
  });
  const child = spawn(process.execPath, ["follow.mjs", url, "bootstrap"], { cwd: home });
  try {
    let out = "";
    child.stderr.on("data", (d: Buffer) => (out += d.toString()));
    child.stdout.on("data", (d: Buffer) => (out += d.toString()));
    child.on("exit", (code) => (out += `it ended with ${code}`));
    // It prints a line every second, and output may arrive in parts.
    const expected = /live: 15 of 24 ready\n(  .*\n)*  fsn1\/bp-seaweedfs: bp-seaweedfs failed to install.*\n    kubectl/;
    await expect.poll(() => out, { timeout: 60_000 }).toMatch(expected);
  } finally {
    child.removeAllListeners();
    child.kill();
    server.closeAllConnections();
    server.close();
  }
});

it("has types for a strict project, with and without the DOM library", () => {
  writeFileSync(
    join(home, "use.ts"),
    `import { connect, createApi, createLayoutClient, layout, buildGraph, emptyState, type FlowState } from "@openova/flow-core";
import "@openova/flow-core/layout-worker";
const state: FlowState = emptyState("F");
export const width: number = layout(buildGraph(state)).width;
export const api = createApi({ url: "" });
export { connect, createLayoutClient };
`,
  );
  const dom = `import { connect, connectShared, createLayoutClient } from "@openova/flow-core";
export const a = connect({ url: "", flowId: "F", onEvent() {}, fetch });
export const b = createLayoutClient(new Worker("x"));
export const c = connectShared({ url: "", flowId: "F", onEvent() {}, sharedWorker: () => new SharedWorker("x").port });
`;
  writeFileSync(join(home, "dom.ts"), dom);
  const compile = (file: string, ...lib: string[]): string => {
    const compilerOptions = { noEmit: true, strict: true, exactOptionalPropertyTypes: true, types: [], target: "ES2022", module: "nodenext", lib };
    writeFileSync(join(home, "tsconfig.json"), JSON.stringify({ compilerOptions, files: [file] }));
    return spawnSync(process.execPath, [tsc, "-p", home], { encoding: "utf8" }).stdout;
  };
  writeFileSync(join(home, "package.json"), '{"type":"module"}');
  expect(compile("use.ts", "ES2023")).toBe("");
  expect(compile("use.ts", "ES2023", "DOM")).toBe("");
  expect(compile("dom.ts", "ES2023", "DOM")).toBe("");
}, 120_000);

it("is small, and smaller if only parts are imported", async () => {
  const size = async (name: string, source: string): Promise<number> => {
    const entry = join(home, `${name}.js`);
    writeFileSync(entry, source);
    const result = await build({ root: home, logLevel: "silent", configFile: false, build: { write: false, minify: true, lib: { entry, formats: ["iife"], name: "core", fileName: name } } });
    const output = (Array.isArray(result) ? result[0] : result) as { output: { code?: string }[] };
    return gzipSync(output.output.map((o) => o.code ?? "").join("")).length;
  };
  const all = await size("all", 'export * from "@openova/flow-core";');
  const fold = await size("fold", 'export { emptyState, fold } from "@openova/flow-core";');
  console.log(`gzipped: everything ${all} bytes, the reducer alone ${fold} bytes`);
  // The page may load 90 kB of scripts at first. This limits the part of core in it.
  expect(all).toBeLessThan(28_000);
  expect(fold).toBeLessThan(2_500);
}, 120_000);

async function serve(stream: (response: ServerResponse) => void): Promise<{ server: Server; url: string }> {
  const server = createServer((_, response) => stream(response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

it("has all files named in its manifest", () => {
  const { exports } = JSON.parse(readFileSync(join(installed, "package.json"), "utf8")) as { exports: Record<string, Record<string, string>> };
  for (const [name, targets] of Object.entries(exports)) {
    for (const condition of ["types", "default"]) expect(readFileSync(join(installed, targets[condition] as string), "utf8"), name).not.toBe("");
  }
});
