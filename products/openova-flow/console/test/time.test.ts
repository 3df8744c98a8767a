import type {} from "@openova/flow-canvas";
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { violations } from "./support/axe.ts";
import { launch, says, visit, type Visit } from "./support/browser.ts";
import { nodes, regionNode, release } from "./support/release.ts";
import { Server } from "./support/server.ts";

const flow = "prod";
let browser: Browser;
let server: Server;
const visits: Visit[] = [];
/** The start of the last rollout. */
let begun: number;

beforeAll(async () => {
  browser = await launch();
  server = await Server.start();
  const one = (name: string, status: "running" | "succeeded" | "failed", startedAt: number, endedAt?: number): string =>
    nodes(release({ flow, region: "eu", name, status, startedAt, ...(endedAt === undefined ? {} : { endedAt }) }));
  await server.post(flow, [nodes(regionNode(flow, "eu"))]);
  const day = 86_400_000, created = Date.now();
  // Three earlier rollouts: api took 40, 30 and 60 seconds.
  for (const [k, seconds] of [40, 30, 60].entries()) {
    const at = created - (5 - k) * day;
    await server.post(flow, [one("api", "running", at)]);
    await server.post(flow, [one("api", "succeeded", at, at + seconds * 1000)]);
  }
  // The server's log must begin well before the last rollout.
  await new Promise((resolve) => setTimeout(resolve, 2500));
  begun = Date.now();
  await server.post(flow, [one("api", "running", begun), one("web", "running", begun)]);
  // Two at the same time are one mark.
  await server.post(flow, [nodes(...["web", "db"].map((name) => release({ flow, region: "eu", name, status: "failed", startedAt: begun, endedAt: begun + 500 })))]);
});
afterAll(async () => {
  await browser?.close();
  await server?.kill();
});
afterEach(async () => {
  const all = visits.splice(0);
  for (const v of all) await v.close();
  for (const v of all) expect(v.faults).toEqual([]);
});

async function open(query: string, width = 1440): Promise<Page> {
  const v = await visit(browser, `${server.url}${query}`, { width });
  visits.push(v);
  return v.page;
}

describe("the usual duration of a release", () => {
  it("is on its card", async () => {
    const page = await open(`?flow=${flow}`);
    const drawn = (): Promise<string> => page.evaluate(async () => (await document.querySelector("openova-flow")?.exportSVG().catch(() => "")) ?? "");
    await expect.poll(drawn, { timeout: 20_000 }).toMatch(/>\d+(s|m \d\ds), usually 40s/);
  });

  it.each([1440, 1024])("is drawn at its bar, within the timeline, at a width of %i", async (width) => {
    const page = await open(`?flow=${flow}&view=timeline`, width);
    const took = page.locator("text.took");
    await expect.poll(() => took.allTextContents(), { timeout: 20_000 }).toEqual([expect.stringMatching(/^\d+(s|m \d\ds), usually 40s \(30s to 1m 00s\)$/)]);
    const [text, timeline] = await Promise.all([took.boundingBox(), page.getByRole("region", { name: "Timeline" }).boundingBox()]);
    expect((text?.x ?? Infinity) + (text?.width ?? 0)).toBeLessThanOrEqual((timeline?.x ?? 0) + (timeline?.width ?? 0));
    await says(page.locator(".legend"), /waited .*working .*done .*failed .*earlier run .*usual time and range .*critical path .*now/);
    expect(await violations(page)).toEqual([]);
  });
});

describe("the time bar", () => {
  it("marks where rollouts began and releases failed", async () => {
    const page = await open(`?flow=${flow}`);
    await expect.poll(() => page.locator(".track i.failed").count()).toBe(1);
    expect(await page.locator(".track i:not(.failed)").count()).toBeGreaterThan(0);
  });

  it("can be limited to the last rollout", async () => {
    const page = await open(`?flow=${flow}`);
    const slider = page.getByRole("slider", { name: "Instant" });
    await expect.poll(() => page.locator(".track i.failed").count()).toBe(1);
    const first = async (): Promise<number> => {
      await slider.press("Home");
      await expect.poll(() => new URL(page.url()).searchParams.has("at")).toBe(true);
      return Date.parse(new URL(page.url()).searchParams.get("at") ?? "");
    };
    expect(await first()).toBeLessThan(begun - 1000);
    await page.keyboard.press("n");
    await page.getByRole("combobox", { name: "Range" }).selectOption("Rollout");
    expect(await first()).toBeGreaterThan(begun - 1000);
    await slider.press("End");
    await expect.poll(() => new URL(page.url()).searchParams.has("at")).toBe(false);
    expect(await violations(page)).toEqual([]);
  });

  it("does not begin to play after the page of the flow was left", async () => {
    let asked = (): void => undefined, load = (): void => undefined;
    const isAsked = new Promise<void>((resolve) => (asked = resolve)), isLoaded = new Promise<void>((resolve) => (load = resolve));
    const v = await visit(browser, `${server.url}?flow=${flow}&at=${new Date(begun).toISOString()}`, {
      setup: async (page) => {
        await page.addInitScript(() => {
          const timers = new Set<unknown>(), { setInterval: start, clearInterval: stop } = globalThis;
          Object.assign(globalThis, {
            timers,
            setInterval: (fn: () => void, ms: number): unknown => {
              const timer = start(fn, ms);
              if (ms === 100) timers.add(timer);
              return timer;
            },
            clearInterval: (timer: number): void => {
              timers.delete(timer);
              stop(timer);
            },
          });
        });
        await page.route("**/past-*.js", async (route) => {
          asked();
          await isLoaded;
          await route.continue();
        });
      },
    });
    visits.push(v);
    const { page } = v;
    await page.getByRole("slider", { name: "Instant" }).waitFor();
    await page.keyboard.press("p");
    await isAsked;
    await page.getByRole("link", { name: "OpenovaFlow, all flows" }).click();
    await says(page.locator("h1"), /1 flow/);
    const script = page.waitForResponse(/past-/);
    load();
    await (await script).finished();
    expect(await page.evaluate(() => new Promise((resolve) => setTimeout(() => resolve((globalThis as unknown as { timers: Set<unknown> }).timers.size), 50)))).toBe(0);
  });

  it("does not block the shortcuts of the page while it has the focus", async () => {
    const page = await open(`?flow=${flow}`);
    const slider = page.getByRole("slider", { name: "Instant" });
    await slider.press("Home");
    await expect.poll(() => new URL(page.url()).searchParams.has("at")).toBe(true);
    await page.keyboard.press("p");
    await says(page.getByRole("button", { name: "Pause" }), /^$/);
    await page.keyboard.press("p");
    await says(page.getByRole("button", { name: "Play the past" }), /^$/);
    await page.keyboard.press("n");
    await expect.poll(() => new URL(page.url()).searchParams.has("at")).toBe(false);
  });
});
