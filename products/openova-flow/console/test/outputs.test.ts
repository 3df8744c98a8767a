import { readFileSync } from "node:fs";
import { parse } from "junit2json";
import { micromark } from "micromark";
import { gfm, gfmHtml } from "micromark-extension-gfm";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { validateXML } from "xmllint-wasm";
import { launch, visit } from "./support/browser.ts";
import { nodes, regionNode, release } from "./support/release.ts";
import { Server } from "./support/server.ts";
import { wait, type Waited } from "./support/wait.ts";

// What the gate writes for CI systems, read as they read it.

/** Names that mean something in Markdown, GitHub's dialect of it, HTML or XML. */
const NAMES = [
  "**bold** __strong__ *em* _em_ ~~gone~~ ~gone~", "<img src=x onerror=alert(1)>", "<b>html</b> </td></tr></table><!--", "]]><failure/>&lt;b&gt; &amp; &#60; &nope;", "[link](https://evil.example) [a][b]", "![image](https://evil.example/x.png)",
  "https://evil.example http://evil.example www.evil.example", "<https://evil.example>", "a@evil.example @team #1 GH-1", "`code` ``` ~~~", "a | b || c |", "\\| \\\\| \\", "- item", "+ item", "* item", "# heading", "> quote", "1. one", "1) one",
  "- [ ] task [x]", "[^1] [^1]: note", "[a]: https://evil.example", "$x$ $$y$$ :smile:", "| --- | :-: |", "--- *** ===", "    indented", "'quotes\" in attributes", "a\tb\r\n\n# heading", "\u202eabc\u0001\u2028", "日本語 größer",
];
const REVISION = "0123456789abcdef";
const id = (name: string): string => `fsn1/${name}`;
/** A name as every output shows it: with control characters escaped. */
const shown = (name: string): string => name.replace(/[\t\r\n\u202e\u0001\u2028]/g, (c) => ({ "\t": "\\t", "\r": "\\r", "\n": "\\n", "\u0001": "\\x01" })[c] ?? `\\u${c.charCodeAt(0).toString(16)}`);

let browser: Browser;
let waited: Waited;

beforeAll(async () => {
  const [started, server] = await Promise.all([launch(), Server.start()]);
  browser = started;
  try {
    const judged = (name: string): object => ({ judgement: { state: "broken", problem: true, final: true, gate: "fail", cause: { class: name, sentence: `It is ${name}` }, command: ["flux", "reconcile", "helmrelease", "web", "-n", "shop"] } });
    const source = { kind: "GitRepository", namespace: "flux-system" };
    for (const name of NAMES) {
      const [sourceId, by] = [id(`GitRepository/flux-system/${name}`), id(`Kustomization/flux-system/${name}`)];
      const common = { flowId: "hostile", label: name, region: "fsn1", status: "succeeded" };
      await server.post("hostile", [
        nodes(
          { id: sourceId, ...common, meta: { ...source, auxiliary: true, revision: name, url: "https://example.com/r", ref: name, ready: "True" } },
          { id: by, ...common, meta: { kind: "Kustomization", namespace: "flux-system", revision: name, source: { ...source, name }, judgement: { state: "ready", gate: "pass", source: sourceId } } },
          { ...release({ flow: "hostile", region: "fsn1", namespace: "shop", name, status: "failed", startedAt: 1000, endedAt: 3500, meta: { appliedBy: by, ...judged(name) } }) },
        ),
      ]);
    }
    await server.post("hostile", [nodes(regionNode("hostile", "fsn1"))]);
    waited = await wait(server.url, "hostile", "--revision", REVISION);
  } finally {
    await server.kill();
  }
});
afterAll(() => browser?.close());

describe("the JUnit report", () => {
  const read = (): string => readFileSync(waited.junit, "utf8");

  it("is valid by the schema of Jenkins", async () => {
    const schema = readFileSync(new URL("testdata/jenkins-junit.xsd", import.meta.url), "utf8");
    const check = (xml: string) => validateXML({ xml: [{ fileName: "junit.xml", contents: xml }], schema: [schema] });
    expect(await check(read())).toMatchObject({ valid: true, errors: [] });
    expect((await check(read().replace("<testcase ", "<case "))).valid).toBe(false);
  });

  it("has a case for each object, with names and messages as text", async () => {
    const report = await parse(read());
    if (report === undefined || report === null || !("testsuite" in report)) throw new Error("no suites");
    const [suite, ...more] = report.testsuite ?? [];
    expect(more).toEqual([]);
    expect(report).toMatchObject({ name: "hostile", tests: NAMES.length * 2, failures: NAMES.length, errors: NAMES.length });
    expect(suite).toMatchObject({ name: "fsn1", tests: NAMES.length * 2, failures: NAMES.length, errors: NAMES.length });
    const cases = suite?.testcase ?? [];
    const named = (prefix: string) => cases.filter((c) => c.name?.startsWith(id(prefix))).map((c) => c.name);
    expect(named("shop/").sort()).toEqual(NAMES.map((n) => id(`shop/${shown(n)}`)).sort());
    expect(named("Kustomization/").sort()).toEqual(NAMES.map((n) => id(`Kustomization/flux-system/${shown(n)}`)).sort());
    for (const name of NAMES) {
      const failed = cases.find((c) => c.name === id(`shop/${shown(name)}`));
      expect(failed).toMatchObject({ classname: "fsn1.HelmRelease", time: 2.5, failure: [{ type: shown(name), message: `It is ${shown(name)}` }] });
      expect(failed?.failure?.[0]?.inner).toMatch(/\nRun: flux reconcile helmrelease web -n shop$/);
    }
  });
});

describe("the summary, rendered as GitHub renders it", () => {
  it("shows every name as text, and no name breaks a table", async () => {
    const html = micromark(readFileSync(waited.markdown, "utf8"), { allowDangerousHtml: true, extensions: [gfm()], htmlExtensions: [gfmHtml()] });
    const { page, faults, close } = await visit(browser, "about:blank", { width: 1200, height: 1600, scheme: "light" });
    await page.setContent(`<!doctype html><meta charset="utf-8"><style>body { font: 14px/1.5 sans-serif; margin: 2em } table { border-collapse: collapse } td, th { border: 1px solid #d0d7de; padding: 6px 13px }</style>${html}`);
    if (process.env["SHOTS"] !== undefined) await page.screenshot({ path: `${process.env["SHOTS"]}/summary.png`, fullPage: true });
    const elements = await page.evaluate(() => [...new Set([...document.body.querySelectorAll("*")].map((e) => e.localName))].sort());
    expect(elements).toEqual(["code", "h2", "h3", "li", "p", "pre", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul"]);
    const tables = await page.locator("table").evaluateAll((all) => all.map((t) => [...(t as HTMLTableElement).rows].map((row) => [...row.cells].map((c) => c.textContent))));
    const [sources = [], objects = []] = tables;
    expect(tables).toHaveLength(2);
    expect(sources.slice(1).sort()).toEqual(NAMES.map((n) => [id(`GitRepository/flux-system/${shown(n)}`), shown(n).trim(), "not yet"]).sort());
    expect(objects.slice(1).map((row) => row[0]).sort()).toEqual(NAMES.flatMap((n) => [id(`shop/${shown(n)}`), id(`Kustomization/flux-system/${shown(n)}`)]).sort());
    expect([...new Set(objects.map((row) => row.length))]).toEqual([4]);
    const causes = await page.locator("li > p:first-child, li:not(:has(> p))").allTextContents();
    for (const name of NAMES) expect(causes.map((c) => c.trim())).toContain(`${id(`shop/${shown(name)}`)}: It is ${shown(name)}`.trim());
    expect(await page.locator("li pre").allTextContents()).toEqual(NAMES.map(() => "flux reconcile helmrelease web -n shop\n"));
    expect(faults).toEqual([]);
    await close();
  });
});
