import type {} from "@openova/flow-canvas";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Browser, Page } from "playwright-core";
import { violations } from "./support/axe.ts";
import { launch, says, whole, type VisitOptions } from "./support/browser.ts";
import { replay } from "./support/replay.ts";
import { Server } from "./support/server.ts";
import { visits } from "./support/visits.ts";
import { inPlace } from "../src/lib/in-place.ts";
import { problemMarkdown, rolloutMarkdown } from "../src/lib/markdown.ts";

let browser: Browser;
let server: Server;
const openPage = visits();

beforeAll(async () => {
  browser = await launch();
  server = await Server.start();
  await replay(server, ["scenarios"], { flow: "scenarios" });
});
afterAll(async () => {
  await browser?.close();
  await server?.kill();
});

const open = (query: string, options: VisitOptions = {}): Promise<Page> => openPage(browser, `${server.url}${query}`, options);
const wrong = (page: Page): ReturnType<Page["locator"]> => page.locator("section[aria-labelledby=wrong]");

describe("the list of problems", () => {
  it("does not shift during a rollout at ten times its speed, and shows the number of the try", async () => {
    const flow = "demo";
    const STEP = 1500;
    await replay(server, ["kit-fsn1", "kit-hel1"], { flow, until: 100_000 });
    const page = await open(`?flow=${flow}`, {
      setup: async (page) => void (await page.addInitScript(() => {
        const shifts: { value: number; nodes: string[] }[] = [];
        new PerformanceObserver((list) => {
          for (const e of list.getEntries() as unknown as { value: number; hadRecentInput: boolean; sources: { node: Node | null }[] }[])
            if (!e.hadRecentInput) shifts.push({ value: e.value, nodes: e.sources.map((s) => (s.node instanceof Element ? `${s.node.tagName}.${s.node.className}` : String(s.node?.textContent))) });
        }).observe({ type: "layout-shift", buffered: true });
        Object.assign(globalThis, { shifts });
      })),
    });
    await says(wrong(page), /is wrong/);
    await whole(page);
    await page.evaluate(() => void ((globalThis as unknown as { shifts: unknown[] }).shifts.length = 0));
    const tries = new Set<string>();
    // The first failures, the next tries, and the repair.
    for (let until = 100_000 + STEP; until <= 190_000; until += STEP) {
      await replay(server, ["kit-fsn1", "kit-hel1"], { flow, until, after: until - STEP });
      await page.waitForTimeout(STEP / 10);
      for (const text of await wrong(page).allInnerTexts()) for (const [shown] of text.matchAll(/try \d of \d/g)) tries.add(shown);
    }
    expect([...tries]).toContain("try 2 of 4");
    const shifts = await page.evaluate(() => (globalThis as unknown as { shifts: { value: number; nodes: string[] }[] }).shifts);
    expect(shifts.reduce((sum, s) => sum + s.value, 0), JSON.stringify(shifts.sort((a, b) => b.value - a.value).slice(0, 6))).toBeLessThan(0.02);
  });

  it("is copied as Markdown, with a link to it", async () => {
    const page = await open("?flow=scenarios");
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    await wrong(page).getByRole("button", { name: "Copy as Markdown" }).click();
    await says(wrong(page), /Copied/);
    const text = await page.evaluate(() => navigator.clipboard.readText());
    expect(text).toMatch(/^\*\*slowbase\*\* in scenarios: install failed \(blocks 1 release, since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\)\n/);
    expect(text).toContain(`${server.url}?flow=scenarios&node=scenarios/demo2/slowbase`);
  });

  it("says so if the script that copies it does not load", async () => {
    const page = await open("?flow=scenarios", { setup: (page) => page.route("**/markdown-*.js", (route) => route.fulfill({ contentType: "text/javascript", body: "throw 0" })).then(() => undefined) });
    await wrong(page).getByRole("button", { name: "Copy as Markdown" }).click();
    await says(wrong(page), /Copy failed/);
  });

  it("is shown first on a phone, with the elapsed time; the graph then opens at a broken node", async () => {
    const page = await open("?flow=scenarios", { width: 390, height: 844 });
    await says(wrong(page), /What is wrong 13 .*slowbase: /);
    await says(page.locator("aside").first(), /^(rolling out|failed) .*\d+m? /);
    const button = page.getByRole("button", { name: /^13 wrong$/ });
    expect(await button.getAttribute("aria-pressed")).toBe("true");
    await page.getByRole("link", { name: "Graph" }).click();
    await expect.poll(() => wrong(page).count()).toBe(0);
    await expect.poll(() => page.evaluate(() => {
      const el = document.querySelector("openova-flow");
      return [...(el?.state?.nodes.values() ?? [])].filter((n) => n.status === "failed").some((n) => {
        const box = el?.boxOf(n.id);
        return box !== undefined && box.x >= 0 && box.y >= 0 && box.x + box.w <= (el?.clientWidth ?? 0) && box.y + box.h <= (el?.clientHeight ?? 0);
      });
    })).toBe(true);
  });

  it.each([["light", 390], ["dark", 390], ["light", 1024]] as const)("has no violation in %s at a width of %i", async (scheme, width) => {
    const page = await open("?flow=scenarios", { scheme, width, height: 844 });
    await says(wrong(page), /slowbase/);
    expect(await violations(page)).toEqual([]);
  });
});

describe("inPlace", () => {
  const keys = (before: string, now: string): string =>
    inPlace([...before].map((key) => ({ key })), [...now].map((key) => ({ key }))).map((i) => i.key).join("");
  it.each([["", "abc", "abc"], ["abc", "cab", "abc"], ["abc", "ac", "ac"], ["abc", "xcab", "abxc"], ["ab", "xyab", "xyab"], ["ab", "abx", "abx"]])("%s then %s: %s", (before, now, out) => {
    expect(keys(before, now)).toBe(out);
  });
});

describe("Markdown", () => {
  const problem = { id: "r/a", key: "k", ids: ["r/a"], label: "a", region: "r", display: "broken", reason: "install-failed", message: "", sentence: "a *failed*\n[x](y)", blocks: [], since: 0 } as const;
  it("escapes text from a cluster", () => {
    expect(problemMarkdown({ ...problem, name: "r/a_b", command: "echo ```" }, "f", "http://s/")).toBe("**r/a\\_b** in f: install failed (since 1970-01-01 00:00:00 UTC)\na \\*failed\\* \\[x\\](y)\n````\necho ```\n````\nhttp://s/");
  });
  it("of a rollout has outcome, failures and changes", () => {
    const members = [
      { id: "a", label: "a", status: "failed", versionFrom: "1", versionTo: "2" },
      { id: "b", label: "b", status: "succeeded" },
    ] as const;
    const text = rolloutMarkdown({ id: "x", startedAt: 0, endedAt: 61_000, outcome: "failed", members, alreadyBroken: [] }, (id) => `r/${id}`, "f", "http://s/");
    expect(text).toBe("**Rollout of f**: failed, 2 releases, began 1970-01-01 00:00:00 UTC, took 1m 01s\nFailed: r/a\n- r/a 1 → 2\nhttp://s/");
  });
});
