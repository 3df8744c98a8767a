import type {} from "@openova/flow-canvas";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Browser, Page } from "playwright-core";
import { violations } from "./support/axe.ts";
import { launch, says, whole, type VisitOptions } from "./support/browser.ts";
import { replay } from "./support/replay.ts";
import { Server } from "./support/server.ts";
import { visits } from "./support/visits.ts";

let browser: Browser;
let server: Server;
const openPage = visits();

const release = (flow: string, label: string, status: string, meta: Record<string, unknown> = {}, id = `r1/${label}`): string =>
  JSON.stringify({ type: "upsert-nodes", nodes: [{ id, flowId: flow, label, region: id.split("/")[0], status, startedAt: Date.now() - 1000, meta: { kind: "HelmRelease", namespace: "apps", ...meta } }] });

beforeAll(async () => {
  browser = await launch();
  server = await Server.start();
  await replay(server, ["scenarios"], { flow: "scenarios" });
  await server.post("calm", [release("calm", "a", "succeeded", { ready: "True" })]);
  await server.post("calm", [release("calm", "twin", "succeeded", { ready: "True" }), release("calm", "twin", "succeeded", { ready: "True", namespace: "other" }, "r1/other/twin")]);
  await server.post("moving", [release("moving", "lonely-name", "running", { reason: "Progressing" })]);
});
afterAll(async () => {
  await browser?.close();
  await server?.kill();
});

const open = (query: string, options: VisitOptions = {}): Promise<Page> => openPage(browser, `${server.url}${query}`, options);
const names = (page: Page): Promise<string[]> => page.getByRole("article").locator("h2 a").allInnerTexts();

describe("the fleet", () => {
  it("lists broken flows first, then active ones, and filters by state, also from a link", async () => {
    const page = await open("");
    await says(page.locator("h1"), /^3 flows/);
    await expect.poll(() => names(page)).toEqual(["scenarios", "moving", "calm"]);
    await page.getByRole("group", { name: "Filter by state" }).getByRole("button", { name: /working$/ }).click();
    await expect.poll(() => names(page)).toEqual(["moving"]);
    await says(page.locator("h1"), /^1 of 3 flows/);
    expect(page.url()).toContain("state=working");
    await page.reload();
    await expect.poll(() => names(page)).toEqual(["moving"]);
    expect(await violations(page)).toEqual([]);
  });
});

describe("the palette", () => {
  it("finds a release of another flow by keyboard", async () => {
    const page = await open("?flow=scenarios&view=table");
    await says(page.locator("tbody"), /slowbase/);
    await page.keyboard.press("Control+k");
    await page.getByRole("combobox", { name: /^Go to/ }).waitFor();
    await page.keyboard.type("lonely");
    await says(page.getByRole("dialog").getByRole("option"), /^working lonely-name moving · r1/);
    expect(await violations(page)).toEqual([]);
    await page.keyboard.press("Enter");
    await expect.poll(() => new URL(page.url()).search).toBe("?flow=moving&node=r1/lonely-name");
    await expect.poll(() => page.getByRole("dialog").count()).toBe(0);
  });

  it("shows the same unambiguous names as the rest of the page", async () => {
    const page = await open("?flow=calm");
    await says(page.getByRole("tree"), /apps .* twin other .* twin/);
    await page.keyboard.press("Control+k");
    await page.getByRole("combobox", { name: /^Go to/ }).waitFor();
    await page.keyboard.type("twin");
    await expect.poll(() => page.getByRole("dialog").getByRole("option").locator(".cut:not(.where)").allInnerTexts().then((all) => all.sort())).toEqual(["apps/twin", "other/twin"]);
  });

  it("leads from the fleet to a flow, and in a flow to a view", async () => {
    const page = await open("");
    await says(page.locator("h1"), /^3 flows/);
    await page.keyboard.press("Control+k");
    await page.getByRole("combobox", { name: /^Go to/ }).waitFor();
    await page.keyboard.type("calm");
    await says(page.getByRole("dialog").getByRole("option").first(), /flow calm/);
    await page.keyboard.press("Enter");
    await expect.poll(() => new URL(page.url()).search).toBe("?flow=calm");
    await says(page.getByRole("tree"), /a/);
    await whole(page);
    await page.keyboard.press("Control+k");
    await page.getByRole("combobox", { name: /^Go to/ }).waitFor();
    await page.keyboard.type("timel");
    await says(page.getByRole("dialog").getByRole("option").first(), /Timeline/);
    await page.keyboard.press("Enter");
    await expect.poll(() => new URL(page.url()).search).toBe("?flow=calm&view=timeline");
  });

  it("leads to a match that appears after an arrow key", async () => {
    const page = await open("");
    await says(page.locator("h1"), /^\d+ flows/);
    let answer: () => void = () => undefined;
    const typed = new Promise<void>((resolve) => (answer = resolve));
    await page.route("**/v1/stream**", (route) => typed.then(() => route.continue()));
    await page.keyboard.press("Control+k");
    await page.getByRole("combobox", { name: /^Go to/ }).waitFor();
    await page.keyboard.type("coming");
    await says(page.getByRole("dialog"), /Loading/);
    answer();
    await says(page.getByRole("dialog"), /Nothing matches/);
    await page.keyboard.press("ArrowDown");
    await server.post("coming", [release("coming", "a", "succeeded", { ready: "True" })]);
    await says(page.getByRole("dialog").getByRole("option").first(), /flow coming/);
    await page.keyboard.press("Enter");
    await expect.poll(() => new URL(page.url()).search).toBe("?flow=coming");
  });
});

describe("notifications", () => {
  const recordNotifications = async (page: Page): Promise<void> => void (await page.addInitScript(() => {
    const notified: string[] = [];
    class Fake {
      static requestPermission = (): Promise<string> => Promise.resolve("granted");
      constructor(title: string, options: { body: string }) {
        notified.push(`${title}: ${options.body}`);
      }
    }
    Object.assign(globalThis, { Notification: Fake, notified });
  }));
  const notified = (page: Page): Promise<string[]> => page.evaluate(() => (globalThis as unknown as { notified: string[] }).notified);

  it("are shown on request, and the icon shows that something is broken", async () => {
    const page = await open("?flow=notified", { setup: recordNotifications });
    await server.post("notified", [release("notified", "db", "running", { reason: "Progressing" }), release("notified", "db", "succeeded", { ready: "True", namespace: "other" }, "r2/other/db")]);
    await says(page.locator("header").first(), /notified/);
    const icon = (): Promise<string> => page.locator("link[rel=icon]").evaluate((e) => (e as HTMLLinkElement).href);
    await expect.poll(icon).toMatch(/favicon-working\.svg$/);
    await page.getByRole("button", { name: "Notify me when it is done or broken" }).click();
    await server.post("notified", [release("notified", "db", "failed", { reason: "InstallFailed" })]);
    await expect.poll(() => notified(page)).toEqual([expect.stringMatching(/^notified: r1\/apps\/db: /)]);
    await expect.poll(icon).toMatch(/favicon-broken\.svg$/);
    await expect.poll(() => page.title()).toMatch(/^\(1 broken\)/);
  });

  it("report a rollout that ended just before the next one began", async () => {
    let answer = rollouts(running("1", 1000));
    const page = await open("?flow=calm", {
      setup: async (page) => {
        await page.clock.install();
        await recordNotifications(page);
        await page.route("**/rollouts", (route) => route.fulfill({ body: answer }));
      },
    });
    await says(page.locator("header").first(), /rollout/);
    await page.getByRole("button", { name: "Notify me when it is done or broken" }).click();
    await whole(page);
    answer = rollouts(running("2", 9000), { ...running("1", 1000), endedAt: 6000, outcome: "succeeded" });
    await page.clock.fastForward(5000);
    await server.post("calm", [release("calm", "a", "succeeded", { ready: "True" })]);
    await expect.poll(() => notified(page)).toEqual(["calm: Rollout succeeded after 5s"]);
  });
});

const running = (id: string, startedAt: number): Readonly<Record<string, unknown>> => ({ id, startedAt, outcome: "running", members: [], alreadyBroken: [] });
const rollouts = (...all: readonly unknown[]): string => JSON.stringify({ rollouts: all });

describe("the list of rollouts", () => {
  it("is not replaced by an older answer that comes later", async () => {
    let answers = 0, answer = (): void => undefined;
    const isLate = new Promise<void>((resolve) => (answer = resolve));
    const page = await open("?flow=calm&view=rollouts", {
      setup: async (page) => {
        await page.clock.install();
        await page.route("**/rollouts", async (route) => {
          if (++answers > 1) return route.fulfill({ body: rollouts(running("2", 9000), running("1", 1000)) });
          await isLate;
          return route.fulfill({ body: rollouts(running("1", 1000)) });
        });
      },
    });
    await expect.poll(() => answers).toBe(1);
    await page.clock.fastForward(5000);
    await server.post("calm", [release("calm", "a", "succeeded", { ready: "True" })]);
    await says(page.locator("main"), /2 rollouts/);
    const late = page.waitForResponse(/rollouts$/);
    answer();
    await (await late).finished();
    await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 50)));
    expect(await page.locator("main").innerText()).toContain("2 rollouts");
  });
});

/** Whether a node is drawn within the width of the graph. */
const isSeen = (page: Page, id: string): Promise<boolean> => page.evaluate((id) => {
  const el = document.querySelector("openova-flow");
  const box = el?.boxOf(id);
  return el !== null && box !== undefined && box.x >= 0 && box.x + box.w <= el.clientWidth;
}, id);

describe("the graph", () => {
  it("has a legend of states and lines", async () => {
    const page = await open("?flow=scenarios");
    await page.getByRole("button", { name: "Legend" }).click();
    await says(page.locator(".legend"), /broken .* unconfirmed .* ready .* critical path/);
    expect(await violations(page)).toEqual([]);
  });

  it("shows what blocks a release", async () => {
    const nodes = Array.from({ length: 40 }, (_, i) => ({ id: `r1/n${i}`, flowId: "chain", label: `n${i}`, region: "r1", status: i === 0 ? "failed" : "running", meta: { kind: "HelmRelease", ...(i === 0 ? { reason: "InstallFailed" } : { reason: "DependencyNotReady", waitingSince: Date.now(), waitingFor: [`r1/n${i - 1}`] }) } }));
    const relationships = nodes.slice(1).map((n, i) => ({ fromId: `r1/n${i}`, toId: n.id, type: "finish-to-start" }));
    await server.post("chain", [JSON.stringify({ type: "upsert-nodes", nodes }), JSON.stringify({ type: "upsert-rels", relationships })]);
    const page = await open("?flow=chain&node=r1/n39");
    await expect.poll(() => isSeen(page, "r1/n39")).toBe(true);
    expect(await isSeen(page, "r1/n0")).toBe(false);
    await page.getByRole("button", { name: "Show what blocks it" }).click();
    await expect.poll(() => isSeen(page, "r1/n0")).toBe(true);
  });

  it("shows the critical path on the first request", async () => {
    const at = Date.now() - 60_000;
    const nodes = Array.from({ length: 40 }, (_, i) => ({ id: `r1/n${i}`, flowId: "path", label: `n${i}`, region: "r1", status: "succeeded", startedAt: at + i * 1000, endedAt: at + (i + 1) * 1000, meta: { kind: "HelmRelease", ready: "True" } }));
    const relationships = nodes.slice(1).map((n, i) => ({ fromId: `r1/n${i}`, toId: n.id, type: "finish-to-start" }));
    await server.post("path", [JSON.stringify({ type: "upsert-nodes", nodes }), JSON.stringify({ type: "upsert-rels", relationships })]);
    const page = await open("?flow=path&node=r1/n39");
    await expect.poll(() => isSeen(page, "r1/n39")).toBe(true);
    expect(await isSeen(page, "r1/n0")).toBe(false);
    await page.getByRole("button", { name: "Critical path" }).click();
    await expect.poll(() => isSeen(page, "r1/n0")).toBe(true);
  });
});

describe("printing", () => {
  it("prints only the view", async () => {
    const page = await open("?flow=scenarios&view=table&node=scenarios/demo2/slowbase");
    await says(page.locator("tbody"), /slowbase/);
    await whole(page);
    await page.emulateMedia({ media: "print" });
    expect(await page.locator("main").evaluate((e) => e.scrollWidth - e.clientWidth)).toBeLessThanOrEqual(0);
    for (const part of [".side", ".tools", ".page > .time", "aside.details"]) expect(await page.locator(part).first().isVisible(), part).toBe(false);
    expect(await page.locator("main").evaluate((e) => e.getBoundingClientRect().left)).toBe(0);
  });
});

describe.each(["table", "timeline", "matrix"])("a long %s", (view) => {
  it("is printed completely, and is windowed again afterwards", async () => {
    const labels = Array.from({ length: 200 }, (_, i) => `n${String(i).padStart(3, "0")}`);
    const at = Date.now() - 60_000;
    const of = (region: string, first: string): string => JSON.stringify({ type: "upsert-nodes", nodes: labels.map((label, i) => ({ id: `${region}/${label}`, flowId: "long", label, region, status: "succeeded", startedAt: at + i, endedAt: at + 1000 + i, meta: { kind: "HelmRelease", namespace: "apps", ready: "True", versionApplied: first } })) });
    await server.post("long", [of("r1", "1.0.0"), of("r2", "1.0.1")]);
    const page = await open(`?flow=long&view=${view}`);
    const drawn = (): Promise<number> => page.locator("main").evaluate((main) => new Set((main as HTMLElement).innerText.match(/\bn\d{3}\b/g)).size);
    await expect.poll(drawn).toBeGreaterThan(5);
    expect(await drawn()).toBeLessThan(100);
    const pages = (await page.pdf({ format: "A4" })).toString("latin1").match(/\/Type\s*\/Page\b/g)?.length ?? 0;
    expect(pages).toBeGreaterThan(5);
    await page.emulateMedia({ media: "print" });
    await expect.poll(drawn).toBe(labels.length);
    await page.emulateMedia({ media: "screen" });
    await expect.poll(drawn).toBeLessThan(100);
  });
});

describe("a slow network", () => {
  it("shows the skeleton after one round trip, and has every script of a flow after two", async () => {
    const page = await open("?flow=scenarios", {
      setup: async (page) => {
        const cdp = await page.context().newCDPSession(page);
        await cdp.send("Network.enable");
        await cdp.send("Network.emulateNetworkConditions", { offline: false, latency: 600, downloadThroughput: 50_000, uploadThroughput: 50_000 });
      },
    });
    await says(page.locator("header").first(), /scenarios/);
    await whole(page);
    const { rounds, painted, styled } = await page.evaluate(() => {
      const html = performance.getEntriesByType("navigation")[0] as PerformanceNavigationTiming;
      const files = (performance.getEntriesByType("resource") as PerformanceResourceTiming[]).filter((r) => /\/assets\/.*\.(js|css)$/.test(r.name) && !/worker/.test(r.name));
      const round = new Map<PerformanceResourceTiming, number>();
      for (const f of files.sort((a, b) => a.startTime - b.startTime)) round.set(f, 1 + Math.max(0, ...[...round].filter(([g]) => g.responseEnd <= f.startTime).map(([, n]) => n)));
      const first = performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? Infinity;
      return { rounds: [...round].map(([f, n]) => [f.name.replace(/.*\//, ""), n] as const), painted: first - html.responseEnd, styled: (files.find((f) => f.name.endsWith(".css"))?.responseEnd ?? 0) - html.responseEnd };
    });
    expect(rounds.filter(([, n]) => n > 2)).toEqual([]);
    expect(rounds.find(([name]) => name.endsWith(".css"))?.[1]).toBe(1);
    // Painted before the scripts of the second round trip have loaded.
    expect(painted - styled).toBeLessThan(600);
  });
});
