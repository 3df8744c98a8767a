import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build, type Rolldown } from "vite";
import { beforeAll, describe, expect, it, vi } from "vitest";
import { LIMIT, measure, total, type Output } from "../build/budget.ts";

const dist = fileURLToPath(new URL("../../server/internal/webui/dist", import.meta.url));
let outputs: readonly Output[] = [];

beforeAll(async () => {
  // The test runner says "test", by which the page would be built for debugging.
  vi.stubEnv("NODE_ENV", "production");
  const result = (await build({ root: fileURLToPath(new URL("..", import.meta.url)), logLevel: "silent", build: { write: false } })) as Rolldown.RolldownOutput;
  outputs = result.output as unknown as readonly Output[];
});

describe("the build", () => {
  it("keeps to its limit of scripts before it shows a fleet or a flow", () => {
    const sizes = measure(outputs);
    expect(sizes.flow.length).toBeGreaterThan(1);
    expect(total(sizes.flow)).toBeLessThanOrEqual(LIMIT);
    expect(total(sizes.fleet)).toBeLessThanOrEqual(LIMIT);
  });

  it("loads views, details and help only when they are asked for", () => {
    const first = measure(outputs).flow.map((s) => s.file).join(" ");
    for (const name of ["Timeline", "Table", "Matrix", "Rollouts", "Details", "Help", "Fleet"]) expect(first).not.toContain(name);
  });

  it("comes out the same each time, and is what the server has", () => {
    const there = readdirSync(dist, { recursive: true, withFileTypes: true }).filter((f) => f.isFile() && f.name !== "favicon.svg");
    const names = there.map((f) => `${f.parentPath}/${f.name}`.slice(dist.length + 1)).sort();
    expect(names).toEqual(outputs.map((o) => o.fileName).sort());
    for (const o of outputs) expect(Buffer.from(o.code ?? o.source ?? "").equals(readFileSync(`${dist}/${o.fileName}`)), o.fileName).toBe(true);
  });

  it("names no other origin and holds no inline script or style", () => {
    for (const o of outputs) {
      const text = o.code ?? String(o.source ?? "");
      const urls = [...text.matchAll(/https?:\/\/[\w./-]+/g)].map((m) => m[0]).filter((u) => !u.startsWith("http://www.w3.org/") && !u.startsWith("https://svelte.dev/e/"));
      expect(urls, o.fileName).toEqual([]);
    }
    const page = String(outputs.find((o) => o.fileName === "index.html")?.source);
    expect(page).not.toMatch(/<style|\sstyle=|<script(?![^>]*\ssrc=)/);
  });
});
