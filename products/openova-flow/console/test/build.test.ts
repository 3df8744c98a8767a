import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build, type Rolldown } from "vite";
import { beforeAll, describe, expect, it, vi } from "vitest";
import { LIMIT, LIMIT_ALL, measure, parts, total, type Output } from "../build/budget.ts";

const dist = fileURLToPath(new URL("../../server/internal/webui/dist", import.meta.url));
let outputs: readonly Output[] = [];

beforeAll(async () => {
  // The test runner sets "test", which would build the page for debugging.
  vi.stubEnv("NODE_ENV", "production");
  const result = (await build({ root: fileURLToPath(new URL("..", import.meta.url)), logLevel: "silent", build: { write: false } })) as Rolldown.RolldownOutput;
  outputs = result.output as unknown as readonly Output[];
});

describe("the build", () => {
  it("is within the limits of scripts for the fleet and for a flow", () => {
    const sizes = measure(outputs);
    expect(sizes.flow.length).toBeGreaterThan(1);
    expect(total(sizes.flow)).toBeLessThanOrEqual(LIMIT);
    expect(total(sizes.fleet)).toBeLessThanOrEqual(LIMIT);
    expect(total(sizes.flow) + total(sizes.frame)).toBeLessThanOrEqual(LIMIT_ALL);
  });

  it("keeps each part within its limit in the README", () => {
    const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
    const allowed = Object.fromEntries([...readme.matchAll(/^\| ([a-z ]+) \| (\d+) kB \|/gm)].map(([, name, kB]) => [name, Number(kB) * 1000]));
    const sizes = parts(measure(outputs));
    expect(Object.keys(allowed)).toEqual(Object.keys(sizes));
    for (const [name, size] of Object.entries(sizes)) expect(size, name).toBeLessThanOrEqual(allowed[name] ?? 0);
    const sum = (...names: readonly string[]): number => names.reduce((all, name) => all + (allowed[name] ?? 0), 0);
    expect(sum("both pages", "a flow")).toBe(LIMIT);
    expect(sum("both pages", "a flow", "fleet and frame", "frame")).toBe(LIMIT_ALL);
  });

  it("loads views, details and help on demand", () => {
    const first = measure(outputs).flow.map((s) => s.file).join(" ");
    for (const name of ["Timeline", "Table", "Matrix", "Rollouts", "Revisions", "Details", "Help", "Fleet"]) expect(first).not.toContain(name);
  });

  it("is reproducible, and equals the page in the server", () => {
    const there = readdirSync(dist, { recursive: true, withFileTypes: true }).filter((f) => f.isFile() && !/^favicon.*\.svg$/.test(f.name));
    const names = there.map((f) => `${f.parentPath}/${f.name}`.slice(dist.length + 1)).sort();
    expect(names).toEqual(outputs.map((o) => o.fileName).sort());
    for (const o of outputs) expect(Buffer.from(o.code ?? o.source ?? "").equals(readFileSync(`${dist}/${o.fileName}`)), o.fileName).toBe(true);
  });

  it("has no other origin and no inline script or style", () => {
    for (const o of outputs) {
      const text = o.code ?? String(o.source ?? "");
      const urls = [...text.matchAll(/https?:\/\/[\w./-]+/g)].map((m) => m[0]).filter((u) => !u.startsWith("http://www.w3.org/") && !u.startsWith("https://svelte.dev/e/"));
      expect(urls, o.fileName).toEqual([]);
    }
    const page = String(outputs.find((o) => o.fileName === "index.html")?.source);
    expect(page).not.toMatch(/<style|\sstyle=|<script(?![^>]*\ssrc=)/);
  });
});

describe("the report", () => {
  it("equals the report page in the server", async () => {
    const root = fileURLToPath(new URL("..", import.meta.url));
    const { output } = (await build({ root, configFile: `${root}/vite.report.config.ts`, logLevel: "silent", build: { write: false } })) as Rolldown.RolldownOutput;
    const [page, ...others] = output as unknown as readonly Output[];
    expect(others).toEqual([]);
    const there = readFileSync(new URL("../../server/internal/reportpage/page.html", import.meta.url));
    expect(Buffer.from(page?.source ?? "").equals(there)).toBe(true);
  });
});
