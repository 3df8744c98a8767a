import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { FlowNode } from "@openova/flow-core";
import { judgedFacts } from "../src/lib/facts.ts";
import { markWords } from "../src/lib/marks.ts";
import { toRow } from "../src/lib/rows.ts";
import { launch, visit, whole } from "./support/browser.ts";
import { Server } from "./support/server.ts";

let browser: Browser;
let server: Server;
beforeAll(async () => {
  [browser, server] = await Promise.all([launch(), Server.start()]);
});
afterAll(async () => {
  await browser?.close();
  await server?.kill();
});

const SOURCE = "fsn1/GitRepository/flux-system/fleet";
const APPS = "fsn1/Kustomization/flux-system/apps";
const since = Date.now() - 600_000;

async function post(flow: string, state: "ready" | "broken"): Promise<void> {
  const node = (id: string, label: string, meta: object): object => ({ id, flowId: flow, label, region: "fsn1", status: "succeeded", meta });
  const source = node(SOURCE, "fleet", {
    kind: "GitRepository", auxiliary: true, namespace: "flux-system",
    judgement: { state, since, cause: { class: "git-operation-failed", sentence: "fleet cannot be fetched." }, command: ["kubectl", "-n", "flux-system", "describe", "gitrepository", "fleet"], ...(state === "broken" ? { problem: true } : { gate: "pass" }) },
  });
  const apps = node(APPS, "apps", { kind: "Kustomization", judgement: { state: "ready", since, gate: "pass", source: SOURCE, marks: ["drift"], cause: { class: "ready", sentence: "apps is ready." } }, drift: "Deployment demo/web was changed", targetNamespace: "demo" });
  await server.post(flow, [
    JSON.stringify({ type: "upsert-nodes", nodes: [source, apps] }),
    JSON.stringify({ type: "upsert-rels", relationships: [{ fromId: SOURCE, toId: APPS, type: "finish-to-start" }] }),
  ]);
}

const isDrawn = (page: Page, id: string): Promise<boolean> =>
  page.evaluate((at) => (document.querySelector("openova-flow") as HTMLElement & { boxOf(id: string): unknown }).boxOf(at) !== undefined, id);

describe("a source", () => {
  it("is drawn only while it is broken or selected, and its problem leads to its details", async () => {
    await post("git", "ready");
    const v = await visit(browser, `${server.url}?flow=git`);
    const { page } = v;
    try {
      await whole(page);
      await expect.poll(() => isDrawn(page, APPS)).toBe(true);
      expect(await isDrawn(page, SOURCE)).toBe(false);
      expect(await page.locator("section[aria-labelledby=wrong] li").count()).toBe(0);

      await post("git", "broken");
      await expect.poll(() => isDrawn(page, SOURCE)).toBe(true);
      const wrong = page.locator("section[aria-labelledby=wrong] li");
      await expect.poll(() => wrong.allInnerTexts().then((t) => t.map((s) => s.includes("fleet cannot be fetched.")))).toEqual([true]);
      expect(await page.locator("#outline [role=treeitem]").allInnerTexts().then((t) => t.some((s) => s.includes("fleet")))).toBe(false);
      await wrong.getByRole("link", { name: "Details" }).click();
      await expect.poll(() => page.locator("#details-title").innerText()).toBe("fleet");
      expect(await page.locator("#details").innerText()).toContain("fleet cannot be fetched.");

      await post("git", "ready");
      await expect.poll(() => page.locator("section[aria-labelledby=wrong] li").count()).toBe(0);
      expect(await isDrawn(page, SOURCE)).toBe(true);
      await page.keyboard.press("Escape");
      await expect.poll(() => isDrawn(page, SOURCE)).toBe(false);
      expect(v.faults).toEqual([]);
    } finally {
      await v.close();
    }
  });

  it("that is broken marks the nodes that use it, in outline and details", async () => {
    await post("stale", "broken");
    const v = await visit(browser, `${server.url}?flow=stale&node=${encodeURIComponent(APPS)}`);
    try {
      await whole(v.page);
      const row = v.page.locator("#outline [role=treeitem]", { hasText: "apps" });
      await expect.poll(() => row.innerText()).toContain("drift");
      await expect.poll(() => v.page.locator("#details .marks li").count()).toBe(2);
      const text = await v.page.locator("#details").innerText();
      for (const fact of ["source not ready", "Deployment demo/web was changed", "Target namespace"]) expect(text).toContain(fact);
      expect(v.faults).toEqual([]);
    } finally {
      await v.close();
    }
  });
});

describe("marks", () => {
  it("have texts, each once, in their order; unknown marks are shown unchanged", () => {
    const words = markWords(["drift", "remote:other", "drift", "constructor"]);
    expect(words.map((w) => w.short)).toEqual(["drift", "remote", "constructor"]);
    expect(words[1]?.long).toContain("other");
  });
});

describe("the facts of a judgement", () => {
  it("are the try, the next try and the limit; a next try in the past has no time left", () => {
    const node: FlowNode = { id: "a", flowId: "f", label: "a", status: "failed", meta: { judgement: { state: "broken", attempts: 2, of: 3, nextTry: 90_000, limit: 300_000 } } };
    const facts = new Map(judgedFacts(node, 30_000, 30_000));
    expect([facts.get("Try"), facts.get("Next try")?.endsWith(", in 1m 00s"), facts.get("Limit")]).toEqual(["2 of 3", true, "5m 00s"]);
    const after = new Map(judgedFacts(node, 120_000, 120_000));
    expect(after.get("Next try")).not.toContain("in ");
  });
});

describe("a row of the table", () => {
  it("has the sentence of the judgement without the name at its start", () => {
    const node = (sentence: string): FlowNode => ({ id: "a", flowId: "f", label: "a", status: "failed", meta: { reason: "R", judgement: { state: "broken", cause: { class: "c", sentence } } } });
    const what = (sentence: string): string => toRow(node(sentence), "broken", 0, (id) => id).what;
    expect([what("a failed to install."), what("a: install is under way."), what("ab failed.")]).toEqual(["failed to install.", "install is under way.", "ab failed."]);
  });
});
