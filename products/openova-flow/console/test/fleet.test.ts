import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { launch, says, visit, type Visit, type VisitOptions } from "./support/browser.ts";
import { replay } from "./support/replay.ts";
import { Server } from "./support/server.ts";

let browser: Browser;
let server: Server;
let visits: Visit[];
/** Paths of the page's requests. */
let requested: string[];

beforeAll(async () => {
  browser = await launch();
});
afterAll(() => browser?.close());
beforeEach(async () => {
  server = await Server.start();
  visits = [];
  requested = [];
});
afterEach(async () => {
  for (const v of visits) await v.close();
  await server.kill();
});

/** `allowed` matches the faults that the test causes on purpose. */
async function open(options: VisitOptions = {}, allowed: RegExp | null = null): Promise<Page> {
  const v = await visit(browser, server.url, {
    ...options,
    setup: async (page) => {
      page.on("request", (r) => requested.push(new URL(r.url()).pathname));
      await options.setup?.(page);
    },
  });
  visits.push({ ...v, close: () => v.close().then(() => expect(v.faults.filter((f) => allowed?.test(f) !== true)).toEqual([])) });
  return v.page;
}
/**
 * Opens the page with a stopped clock until the stream is live: otherwise it would poll if that took more than 1.5 s.
 */
async function openLive(allowed: RegExp | null = null): Promise<Page> {
  const page = await open({
    setup: async (page) => {
      const now = Date.now();
      await page.clock.install({ time: now - 600_000 });
      await page.clock.pauseAt(now);
    },
  }, allowed);
  await says(page.locator("h1"), /^1 flow/);
  await page.clock.resume();
  return page;
}
const node = (flow: string, label: string, status: string, meta: Record<string, unknown> = {}): string =>
  JSON.stringify({ type: "upsert-nodes", nodes: [{ id: `r1/${label}`, flowId: flow, label, region: "r1", status, startedAt: Date.now() - 1000, meta: { kind: "HelmRelease", ...meta } }] });
const count = (path: RegExp): number => requested.filter((p) => path.test(p)).length;
async function streams(): Promise<number> {
  const metrics = await (await fetch(`${server.url}metrics`)).text();
  return Number(/^openova_flow_subscribers (\d+)$/m.exec(metrics)?.[1]);
}

describe("the fleet over one stream", () => {
  it("shows a flow that is added, changed and deleted, without polling", async () => {
    await server.post("first", [node("first", "a", "succeeded")]);
    // The page may request something of the flow while that is being deleted.
    const page = await openLive(/status of 404 .*\/v1\/flows\/second\/rollouts/);
    const card = page.getByRole("article").filter({ hasText: "second" });
    await says(page.getByRole("article"), /first .*1 ready/);
    await server.post("second", [node("second", "a", "running"), node("second", "b", "pending")]);
    await says(card, /second .*1 working 1 not started/);
    await server.post("second", [node("second", "a", "failed", { reason: "InstallFailed" }), node("second", "b", "running")]);
    await says(card, /1 broken 1 working .*a: failed/);
    await says(page.locator("h1"), /^2 flows, 1 with something wrong$/);
    await says(page.getByRole("article").first(), /second/);
    await fetch(`${server.url}v1/flows/second`, { method: "DELETE" });
    await says(page.locator("h1"), /^1 flow, nothing wrong$/);
    expect(await card.count()).toBe(0);
    expect(count(/\/v1\/stream$/)).toBe(1);
    expect(count(/\/v1\/flows$/)).toBe(1);
    expect(count(/\/(snapshot|events)$/)).toBe(0);
    expect(await streams()).toBe(1);
  });

  it("closes the connection while the tab is hidden, and resumes when it is visible", async () => {
    await server.post("a", [node("a", "x", "running")]);
    const page = await openLive();
    await says(page.getByRole("article"), /1 working/);
    const see = (state: string): Promise<void> =>
      page.evaluate((to) => {
        Object.defineProperty(document, "visibilityState", { value: to, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
      }, state);
    await see("hidden");
    await expect.poll(streams).toBe(0);
    await server.post("a", [node("a", "x", "succeeded")]);
    await server.post("b", [node("b", "x", "running")]);
    const again = page.waitForRequest("**/v1/stream");
    await see("visible");
    expect(Number((await again).headers()["last-event-id"])).toBeGreaterThan(0);
    await says(page.getByRole("article").first(), /^b .*1 working/);
    await says(page.getByRole("article").last(), /^a .*1 ready/);
  });

  it("shows that the server is unreachable, keeps its state, and reconnects", async () => {
    await replay(server, ["kit-fsn1"]);
    const page = await open({}, /net::ERR_/);
    await says(page.getByRole("article"), /24 ready/);
    // Scripts that have not loaded yet could not be loaded after the kill.
    await says(page.locator("h1"), /wrong$/);
    await server.kill();
    await says(page.getByRole("status"), /The server cannot be reached. The page shows the last known state/);
    await says(page.getByRole("article"), /24 ready/);
    await server.start();
    await server.post("other", [node("other", "a", "running")]);
    await expect.poll(() => page.getByRole("status").count()).toBe(0);
    await says(page.getByRole("article"), /^other/);
    expect(await page.getByRole("article").count()).toBe(1);
  });
});

describe("the fleet without a stream", () => {
  it.each([
    ["of an older server", 404, 61_000],
    ["of a server that follows too many selections", 503, 31_000],
    ["behind a gateway that buffers it for a while", null, 0],
  ] as const)("the fleet %s is polled, shows that, and becomes live once there is a stream", async (_, status, patience) => {
    const page = await open(
      {
        setup: async (page) => {
          await page.clock.install();
          await page.route("**/v1/stream", (route) => (status === null ? undefined : route.fulfill({ status, contentType: "application/problem+json", body: "{}" })));
        },
      },
      /status of (404|503)/,
    );
    await says(page.locator("main"), /No flow yet/);
    await server.post("a", [node("a", "x", "running")]);
    await says(page.getByRole("article"), /1 working/);
    await says(page.locator("h1"), /not live, polled every 2 s/);
    await server.post("a", [node("a", "x", "failed", { reason: "InstallFailed" })]);
    await says(page.getByRole("article"), /: failed/);
    await fetch(`${server.url}v1/flows/a`, { method: "DELETE" });
    await says(page.locator("main"), /No flow yet/);

    await server.post("b", [node("b", "x", "running")]);
    await page.unroute("**/v1/stream");
    await page.clock.fastForward(patience);
    await says(page.locator("h1"), /^1 flow, nothing wrong$/);
    await expect.poll(streams).toBe(1);
    // The next change comes only over the stream.
    await server.post("b", [node("b", "x", "failed", { reason: "InstallFailed" })]);
    await says(page.getByRole("article"), /: failed/);
    requested.length = 0;
    await page.clock.fastForward(10_000);
    await server.post("b", [node("b", "x", "succeeded")]);
    await says(page.getByRole("article"), /1 ready/);
    expect(count(/\/v1\/flows$/)).toBe(0);
  });
});

describe("a fleet of 1,000 flows", () => {
  it("draws only cards near the view, and finds the others by search", async () => {
    const ids = Array.from({ length: 1000 }, (_, i) => `env-${1000 + i}`);
    for (let i = 0; i < ids.length; i += 50) await Promise.all(ids.slice(i, i + 50).map((id) => server.post(id, [node(id, "a", "succeeded"), node(id, "b", "running")])));
    const page = await open();
    await says(page.locator("h1"), /^1,000 flows, nothing wrong$/);
    await says(page.getByRole("article").first(), /env-1000 .*1 working 1 ready/);
    expect(await page.evaluate(() => document.querySelectorAll("*").length)).toBeLessThan(6000);
    const before = await page.getByRole("article").count();
    await page.getByText(/^and \d+ more flows$/).scrollIntoViewIfNeeded();
    await expect.poll(() => page.getByRole("article").count()).toBeGreaterThan(before);
    await server.post("env-1777", [node("env-1777", "b", "failed", { reason: "InstallFailed" })]);
    await says(page.getByRole("article").first(), /env-1777 .*: failed/);
    await says(page.locator("h1"), /^1,000 flows, 1 with something wrong$/);
    await page.getByRole("searchbox").fill("env-1555");
    await says(page.getByRole("article"), /^env-1555 .*1 working 1 ready/);
    expect(await page.getByRole("article").count()).toBe(1);
  });
});
