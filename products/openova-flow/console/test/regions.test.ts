import type { RegionLease } from "@openova/flow-core";
import type {} from "@openova/flow-canvas";
import type { Browser, Locator, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { VIEWS } from "../src/lib/views.ts";
import { violations } from "./support/axe.ts";
import { AT, launch, recordAnnouncements, says, visit, type Visit, type VisitOptions } from "./support/browser.ts";
import { Relay } from "./support/relay.ts";
import { replay } from "./support/replay.ts";
import { Server } from "./support/server.ts";

const A = "6f1c2a1e-4b7d-4e11-9d55-0b6f0f6f7a10";
const B = "c0ffee00-77aa-4c2e-8a0e-1d2e3f405162";

let browser: Browser;
let server: Server;
let relay: Relay;
let visits: Visit[];

beforeAll(async () => {
  browser = await launch();
  server = await Server.start();
  await replay(server, ["kit-fsn1", "kit-hel1"], { until: 70_000, endsAt: Date.now() - 240_000 });
});
afterAll(async () => {
  await browser?.close();
  await server?.kill();
});
beforeEach(async () => {
  relay = await Relay.before(server);
  visits = [];
});
afterEach(async () => {
  for (const v of visits) await v.close();
  relay.close();
  for (const v of visits) expect(v.faults).toEqual([]);
});

async function open(query: string, options: VisitOptions = {}): Promise<Page> {
  const v = await visit(browser, `${relay.url}${query}`, options);
  visits.push(v);
  return v.page;
}
const fresh = (cluster = A): RegionLease => ({ state: "fresh", since: Date.now() - 900_000, heard: Date.now(), cluster });
const stale = (forMs: number): RegionLease => ({ state: "stale", since: Date.now() - forMs + 30_000, heard: Date.now() - forMs, cluster: A });
const header = (page: Page): Locator => page.locator("header").first();
const banner = (page: Page): Locator => page.getByRole("region", { name: "Stale regions" });
const row = (page: Page, name: string): Locator => page.getByRole("treeitem").filter({ hasText: name }).first();
const unconfirmed = (page: Page): Locator => page.getByRole("group", { name: "Filter by state" }).getByRole("button", { name: / unconfirmed$/ });

describe("a region that becomes stale", () => {
  it("is marked everywhere, and is shown as before once it reports again", async () => {
    relay.setRegions("bootstrap", { fsn1: fresh(B), hel1: fresh() });
    const page = await open("?flow=bootstrap");
    await says(header(page), /live/);
    expect(await banner(page).count()).toBe(0);
    relay.setRegions("bootstrap", { fsn1: fresh(B), hel1: stale(245_000) });
    await says(banner(page), /^ ?hel1 was last seen 4 min ago\. Its state is as of then\.$/);
    await says(header(page), /1 of 2 regions live/);
    await row(page, "fsn1").click();
    await says(row(page, "hel1"), /last seen 4 min ago/);
    await says(header(page), /23 as last seen/);
    expect(await unconfirmed(page).count()).toBe(0);
    await says(page.getByRole("region", { name: /What is wrong/ }), /hel1: region stale/);
    await says(page.getByRole("region", { name: /What is wrong/ }), /hel1\/bp-powerdns: install failed .*last seen 4 min ago/);
    const views = page.getByRole("navigation", { name: "Views" });
    await views.getByRole("link", { name: "Matrix" }).click();
    await says(page.locator("thead"), /hel1 ?last seen 4 min ago/);
    await says(page.getByRole("button", { name: /Only what differs/ }), /differs: 1$/);
    await views.getByRole("link", { name: "Table" }).click();
    await says(page.locator("tbody"), /waiting .*hel1 ?last seen 4 min ago .*as of \d\d:\d\d:\d\d; waits for/);
    const worked = (): Promise<string> => page.locator("tbody tr", { hasText: "as of" }).filter({ hasText: "working" }).first().locator("td").nth(8).innerText();
    const before = await worked();
    expect(before).toMatch(/^\d+(s|m \d\ds)$/);
    const elapsed = await page.locator("header .time").innerText();
    await expect.poll(() => page.locator("header .time").innerText()).not.toBe(elapsed);
    expect(await worked()).toBe(before);
    await views.getByRole("link", { name: "Timeline" }).click();
    await says(page.locator("main"), /hel1 ?last seen 4 min ago/);
    relay.setRegions("bootstrap", { fsn1: fresh(B), hel1: fresh() });
    await expect.poll(() => banner(page).count()).toBe(0);
    await says(header(page), /live/);
    expect(await header(page).innerText()).not.toMatch(/regions/);
    expect(await header(page).innerText()).not.toMatch(/as last seen/);
  });

  it("updates the time since it was last seen, also in the details of a release and of the region", async () => {
    relay.setRegions("bootstrap", { hel1: fresh() });
    const page = await open("?flow=bootstrap&node=hel1/bp-harbor");
    await says(header(page), /live/);
    relay.setRegions("bootstrap", { hel1: stale(52_000) });
    await says(banner(page), /hel1 was last seen 5\d s ago/);
    await says(page.locator("#details"), /hel1 was last seen \d+ (s|min) ago, and this was waiting\. Below is its state from then\./);
    await says(banner(page), /hel1 was last seen 1 min ago/);
    await page.goto(`${relay.url}?flow=bootstrap&node=hel1`);
    await says(page.locator("#details"), new RegExp(String.raw`\d+ of 23 were ready Last seen \d min ago, ${AT.source}\. Its state is as of then\. Held by cluster 6f1c2a1e`));
  });

  it("is announced to screen readers", async () => {
    relay.setRegions("bootstrap", { fsn1: fresh(B), hel1: fresh() });
    const page = await open("?flow=bootstrap", { setup: (page) => page.clock.install() });
    await says(row(page, "fsn1"), /fsn1/);
    const announcements = await recordAnnouncements(page);
    relay.setRegions("bootstrap", { fsn1: fresh(B), hel1: stale(40_000) });
    await expect.poll(announcements).toMatch(/^Region hel1 is stale\.$/);
    relay.setRegions("bootstrap", { fsn1: { ...fresh(B), refused: { cluster: A, at: Date.now() } }, hel1: fresh() });
    await expect.poll(announcements).toMatch(/\nA second cluster claims region fsn1 and is refused\. Region hel1 reports again\.$/);
  });

  it("is stale at instants since then, and not before", async () => {
    const now = Date.now();
    relay.setRegions("bootstrap", { hel1: stale(31_000) });
    const page = await open("?flow=bootstrap&view=table&node=hel1");
    await says(header(page), /1 of 2 regions live/);
    const go = (at: number): Promise<void> => page.evaluate((t) => {
      history.pushState(null, "", `?flow=bootstrap&view=table&node=hel1&at=${t}`);
      dispatchEvent(new PopStateEvent("popstate"));
    }, at);
    await go(now);
    await says(header(page), AT);
    await says(header(page), /23 as last seen/);
    await go(now - 1500);
    await expect.poll(() => header(page).innerText()).not.toMatch(/as last seen/);
  });

  it("is shown in the fleet, and counts as a problem of the flow", async () => {
    relay.setRegions("bootstrap", { hel1: stale(245_000) });
    const page = await open("");
    const card = page.getByRole("article");
    await says(card, /hel1 last seen 4 min ago/);
    await says(page.locator("h1"), /1 with something wrong/);
    relay.setRegions("bootstrap", { hel1: fresh() });
    await expect.poll(() => card.innerText()).not.toMatch(/last seen/);
  });
});

describe("a second cluster in a region", () => {
  it("is a problem that names the holder, the refused cluster, and what to do", async () => {
    relay.setRegions("bootstrap", { hel1: { ...fresh(), refused: { cluster: B, at: Date.now() } } });
    const page = await open("?flow=bootstrap");
    const wrong = page.getByRole("region", { name: /What is wrong/ });
    // Other problems of the recording appear with its age, and may come first.
    const line = wrong.locator("button[aria-expanded]").filter({ hasText: "hel1: cluster refused" });
    if ((await line.getAttribute("aria-expanded")) === "false") await line.click();
    await says(wrong, new RegExp(`hel1: cluster refused .*hel1 is held by cluster ${A}\\. Cluster ${B} also claims it and is refused\\. Give one of the two another REGION_KEY`));
    await says(wrong, /kubectl get namespace kube-system/);
    await wrong.getByRole("link", { name: "Details" }).click();
    await says(page.locator("#details"), new RegExp(`cluster refused: .*${B}.* Held by cluster ${A}`));
    await page.goto(relay.url);
    await says(page.getByRole("article"), /hel1: cluster refused/);
  });

  it("is shown for a region without a node", async () => {
    relay.setRegions("bootstrap", { elsewhere: { ...fresh(), refused: { cluster: B, at: Date.now() } } });
    const page = await open("?flow=bootstrap&node=elsewhere");
    await says(page.locator("#details"), new RegExp(`elsewhere .*cluster refused: .* Held by cluster ${A}`));
  });
});

describe("tabs of one browser", () => {
  it("show the same claims, also a tab that opens later", async () => {
    relay.setRegions("bootstrap", { hel1: stale(245_000) });
    const first = await open("?flow=bootstrap");
    await says(banner(first), /hel1 was last seen 4 min ago/);
    const second = await visits[0]!.context.newPage();
    await second.goto(`${relay.url}?flow=bootstrap`);
    await says(banner(second), /hel1 was last seen 4 min ago/);
    relay.setRegions("bootstrap", { hel1: fresh() });
    for (const page of [first, second]) await expect.poll(() => banner(page).count()).toBe(0);
  });
});

describe("claims of the real server", () => {
  it("shows a stale region, the cluster that is refused meanwhile, and that the region reports again", async () => {
    const own = await Server.start();
    let v: Visit | undefined;
    try {
      await replay(own, ["kit-fsn1"], { until: 60_000 });
      expect(await own.claim("bootstrap", "fsn1", A, 5)).toBe(200);
      v = await visit(browser, `${own.url}?flow=bootstrap`);
      const { page } = v;
      await says(header(page), /live/);
      await says(banner(page), /fsn1 was last seen \d+ s ago/);
      await says(header(page), /no region live/);
      await says(header(page), /as of \d\d:\d\d:\d\d/);
      expect(await own.claim("bootstrap", "fsn1", B, 3600)).toBe(409);
      await says(page.getByRole("region", { name: /What is wrong/ }), new RegExp(`fsn1 is held by cluster ${A}; its claim has expired\\. Cluster ${B} also claims it`));
      expect(await own.claim("bootstrap", "fsn1", A, 3600)).toBe(200);
      await expect.poll(() => banner(page).count()).toBe(0);
      await expect.poll(() => header(page).innerText()).not.toMatch(/as of/);
      await says(page.getByRole("region", { name: /What is wrong/ }), new RegExp(`fsn1 is held by cluster ${A}\\. Cluster ${B} also claims it`));
      expect(await own.claim("bootstrap", "fsn1", A, 5)).toBe(200);
      await page.goto(own.url);
      await says(page.getByRole("article"), /fsn1: cluster refused/);
      await says(page.getByRole("article"), /fsn1 last seen \d+ s ago/);
    } finally {
      await v?.close();
      await own.kill();
    }
    expect(v?.faults).toEqual([]);
  });
});

describe("accessibility", () => {
  for (const scheme of ["light", "dark"] as const) {
    it.each(["", ...VIEWS.map((v) => `?flow=bootstrap&view=${v.id}&node=hel1`)])(`has no violation in ${scheme} while a region is stale and a cluster refused: %s`, async (query) => {
      relay.setRegions("bootstrap", { fsn1: { ...fresh(B), refused: { cluster: A, at: Date.now() } }, hel1: stale(245_000) });
      const page = await open(query, { scheme });
      await says(page.locator("body"), query === "" ? /last seen 4 min ago/ : /Held by cluster/);
      expect(await violations(page)).toEqual([]);
    });
  }

  it.each([320, 390])("fits into a width of %i", async (width) => {
    for (const query of ["", "?flow=bootstrap", "?flow=bootstrap&view=matrix"]) {
      relay.setRegions("bootstrap", { hel1: stale(245_000) });
      const page = await open(query, { width, height: 780 });
      await says(page.locator("body"), /last seen 4 min ago/);
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
    }
  });
});
